"""Copies of the project in which its workflow can be run, and files changed."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = ["--configfile", "config/tiny.yaml"]
RULES = "".join(file.read_text() for file in sorted((ROOT / "rules").glob("*.smk"))).split("\nrule ")
MODEL_RULES = {rule.partition(":")[0] for rule in RULES if re.search("^ +gpu=model_gpus,$", rule, re.MULTILINE)}
"""The rules that ask a model."""
ONE_THREAD = ["--set-threads", *(f"{rule}=1" for rule in sorted(MODEL_RULES))]
"""For jobs of seconds, and for a node that claims more than the machine has. Tables tell how many threads a job had."""
FOLDERS = ["rules", "workflow", "config", "profiles", "envs", "resources", "report"]
FILES = ["Snakefile", "LICENSE", "CITATION.cff"]


class Project:
    """A copy of the project."""

    def __init__(self, folder: Path):
        self.folder = folder

    @classmethod
    def new(cls, folder: Path, model: Path | None = None) -> "Project":
        """A copy in which nothing is made yet, in a folder that may be there; with the model of the tiny study."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(ROOT / name, folder)
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        if model is not None:
            (folder / ".cache").mkdir()
            (folder / ".cache" / "planted-model").symlink_to(model)
        return cls(folder)

    def copy(self, folder: Path) -> "Project":
        """The same once more, with all that is made and when it was made."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Project(folder)

    def path(self, *parts: str) -> Path:
        """A path inside the copy."""
        return self.folder.joinpath(*parts)

    def change(self, file: str, before: str, after: str) -> None:
        """Put text in the place of other text in a file of the project."""
        path = self.path(file)
        text = path.read_text(encoding="utf-8")
        assert before in text, f"{file} has no {before!r}"
        path.write_text(text.replace(before, after, 1), encoding="utf-8")

    def snakemake(self, *arguments: str, succeed: bool = True) -> str:
        """Run Snakemake as users do, in a process of its own, and return all it says."""
        run = self.python("-m", "snakemake", *arguments)
        said = run.stdout + run.stderr
        assert (run.returncode == 0) == succeed, said
        return said

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """Run Python in the copy."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=1800,
        )

    def plan(self, *arguments: str, succeed: bool = True) -> str:
        """All that Snakemake says in a dry run, which takes a third of the time where Snakemake is loaded already."""
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as file:
            command = [str(self.folder), ["-n", *arguments], dict(os.environ), file.name]
            server = _loaded_snakemake()
            print(json.dumps(command), file=server.stdin, flush=True)
            status, said = server.stdout.readline(), file.read()
        assert (status == "0\n") == succeed, f"{status}{said}"
        return said

    def stale(self) -> dict[str, int]:
        """Rules that a dry run of the tiny study would run, with the number of jobs; ``all`` left out."""
        return planned(self.plan("--quiet", "host", *TINY))


def planned(said: str) -> dict[str, int]:
    """Rules and their number of jobs in what a dry run says; ``all`` left out."""
    if "Nothing to be done" in said:
        return {}
    jobs = said.split("Job stats:")[1].split("total")[0]
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", jobs, re.MULTILINE)}
    counts.pop("all", None)
    return counts


@cache
def _loaded_snakemake() -> subprocess.Popen:
    server = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("loaded_snakemake.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)  # it ends with its input
    return server

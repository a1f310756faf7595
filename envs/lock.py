"""Pins every package from the .in files: make lock.

requirements.in and requirements-dev.in say what is needed and why. From them alone come requirements.txt and
requirements-dev.txt, with the hashes of each package's files for every platform, and the versions in the environments
for conda. torch is left out of the first two: its builds for CPUs and GPUs have the same version and other hashes, so
it is installed by its version, which requirements.in pins. So is what only its builds for GPUs need.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
BY_VERSION = re.compile(r"(torch|triton|nvidia-|cuda-)")
"""Packages that are installed by their versions, without hashes."""
CONDA_NAMES = {"matplotlib-base": "matplotlib", "seaborn-base": "seaborn"}
"""Of packages that conda-forge calls otherwise than PyPI."""
HEAD = "# Made by make lock: not to be changed by hand.\n"
ALONE = [ROOT / "requirements-model.txt", ROOT / "requirements-edgar.txt", *sorted(ROOT.glob("config/*.txt"))]
"""Files that name all that they need, with versions, such as packages that ship models: they get hashes alone."""


def compiled(*files: Path, options: Iterable[str] = ()) -> list[str]:
    """The pinned packages that some files come to, each as its lines; with options of ``uv pip compile``."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", *options, *map(str, files)]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout
    return re.findall(r"^\S+(?:.*\\\n)*.*\n", text, re.MULTILINE)


def name_of(pinned: str) -> str:
    """The name of a pinned package."""
    return re.split(r"==| @", pinned, maxsplit=1)[0].lower().replace("_", "-")


def with_conda_versions(text: str, versions: dict[str, str]) -> str:
    """An environment file with the versions of the pinned packages: of conda's packages the first two parts."""

    def pin(match: re.Match) -> str:
        start, name, sign = match.groups()
        known = versions.get(CONDA_NAMES.get(name, name))
        if known is None:
            return match[0]
        return f"{start}{name} {sign}{known if sign == '==' else '.'.join(known.split('.')[:2])}"

    return re.sub(r"^( *- )([\w-]+) (==?)[\d.]+$", pin, text, flags=re.MULTILINE)


def comments(file: Path) -> Iterator[str]:
    """The comments that a file begins with."""
    for line in file.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith("#"):
            return
        yield line


def main(options: list[str]) -> None:
    """Write all files anew, with further options for ``uv pip compile``."""
    needed = compiled(ROOT / "requirements.in", options=options)
    locked = [pinned for pinned in needed if not BY_VERSION.match(pinned)]
    names = {name_of(pinned) for pinned in needed}
    (ROOT / "requirements.txt").write_text(HEAD + "".join(locked), encoding="utf-8")
    both = (ROOT / "requirements.in", ROOT / "requirements-dev.in")
    every = compiled(*both, options=["--constraints", "requirements.txt", *options])
    (ROOT / "requirements-dev.txt").write_text(
        HEAD + "".join(pinned for pinned in every if name_of(pinned) not in names), encoding="utf-8"
    )
    for file in ALONE:
        file.write_text("".join([*comments(file), *compiled(file, options=["--no-deps"])]), encoding="utf-8")
    versions: dict[str, str] = {}
    for pinned in every:  # the first of several is for the oldest Python, which the environments have
        versions.setdefault(name_of(pinned), re.split(r"==|[ ;\\\n]", pinned)[1])
    for file in sorted(ROOT.glob("envs/*.yaml")):
        file.write_text(with_conda_versions(file.read_text(encoding="utf-8"), versions), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Kill the tiny study again and again, at moments that seeds choose, go on by the same command, compare all outputs.

    make faults                     # two studies that are killed 15 times each, and one on SLURM 5 times
    make faults FAULTS="--only 2"   # one of them again

Each kind of job is hit, in the order of the workflow, while it works or while it writes. A third of the kills hit
Snakemake alone, a third the job, a third both. Further ones hit a run at any time. Ends with a table of what was hit.
"""

import argparse
import filecmp
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

import one_node_slurm
import planted
from planted_corpus import corpus
from projects import ONE_THREAD, ROOT, TINY, Project

INSIDE = Path(__file__).with_name("inside")
STUDY = Path("results", "tiny")
_HOLD_TIME = {"logs", "verification.json", "ro-crate-metadata.json"}
"""What tells when something was made, by the first part of its path in the study's folder: it differs between runs."""

VICTIMS = (("snakemake",), ("job",), ("snakemake", "job"))
KILLS, STUDIES, KILLS_ON_SLURM = 15, 2, 5
_AT_ANY_TIME_S = 30
"""Kills at any time come so soon after a run has begun, at the latest."""


@dataclass(frozen=True)
class Job:
    """What a job did when nobody disturbed it: its log, by which it is known, its times, what it put in place."""

    log: str
    started: float
    seconds: float
    steps: int
    made: list[str]

    @property
    def rule(self) -> str:
        """The rule; ``draw_figure`` for all figures."""
        return Path(self.log).relative_to(STUDY / "logs").parts[0].removesuffix(".log")


class Undisturbed:
    """A study as it is made when nobody disturbs it, and what its jobs did."""

    def __init__(self, project: Project):
        self.project = project
        lines = project.path("watched", "jobs.jsonl").read_text().splitlines()
        self.jobs = sorted((Job(**json.loads(line)) for line in lines), key=lambda job: job.started)
        self.kinds = sorted({job.rule for job in self.jobs})

    def take_away(self, job: Job, project: Project) -> None:
        """Have a copy of the study be as before a job: nothing is there of what it made, or of what began after it."""
        for later in self.jobs:
            for made in later.made if later.started >= job.started else ():
                path = project.path(made)
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Kill:
    """One kill.

    Parameters
    ----------
    victims : who dies: ``snakemake``, ``job`` or both.
    moment : ``working`` or ``writing``, of the job; ``any``, where none is chosen.
    share : of the job's time, or of its steps of writing, that pass before.
    """

    victims: tuple[str, ...]
    moment: str
    share: float
    job: Job | None = None

    @property
    def rule(self) -> str:
        """The rule that is hit."""
        return self.job.rule if self.job else "any"

    def order(self, snakemake: int) -> dict:
        """The order to the job that carries it out, given the process of Snakemake."""
        writing = self.moment == "writing"
        return {
            "log": self.job.log,
            "step": 1 + int(self.share * self.job.steps) if writing else None,
            "after": None if writing else self.share * self.job.seconds,
            "victims": self.victims,
            "snakemake": snakemake,
        }


@dataclass(frozen=True)
class Case:
    """A study that is killed several times, and how it is run."""

    seed: int
    shards: int
    keep_going: bool
    slurm: bool = False

    @classmethod
    def of(cls, seed: int) -> "Case":
        """What a seed stands for; the one after those of this machine is on SLURM."""
        return cls(seed, 1 + seed % 2, keep_going=seed == 1, slurm=seed > STUDIES)

    def command(self) -> list[str]:
        """What runs the study, before each kill and after it."""
        how = one_node_slurm.OPTIONS if self.slurm else ["--cores", "2"]
        return [*how, *ONE_THREAD, *(["--keep-going"] * self.keep_going), *TINY]

    def kills(self, undisturbed: Undisturbed) -> list[Kill]:
        """Whom to kill, and when: every other kind of job, in the order of the workflow, and the rest at any time."""
        chance, kinds = random.Random(self.seed), undisturbed.kinds
        kinds = chance.sample(kinds, KILLS_ON_SLURM) if self.slurm else kinds[self.seed % STUDIES :: STUDIES]
        jobs = [chance.choice([job for job in undisturbed.jobs if job.rule == kind]) for kind in kinds]
        kills = []
        for number, job in enumerate(sorted(jobs, key=lambda job: job.started)):
            victims = VICTIMS[(number + self.seed) % 3]
            if self.slurm:  # which runs a job again that alone was killed, and goes on to the end
                victims = VICTIMS[1] if number == len(jobs) - 1 else VICTIMS[2 * (number % 2)]
            kills.append(Kill(victims, chance.choice(["working", "writing"]), chance.random(), job))
        while len(kills) < KILLS and not self.slurm:
            victims = VICTIMS[2 * (len(kills) % 2)]
            kills.insert(chance.randrange(len(kills)), Kill(victims, "any", chance.random()))
        return kills


def survive(project: Project, command: list[str], kills: list[Kill], undisturbed: Undisturbed) -> list[dict]:
    """Run a study, kill it, go on by the same command, and so on; then hold every output against the undisturbed one.

    Returns
    -------
    list of dict
        What was hit by each kill, and how many half-written outputs it left.

    Raises
    ------
    AssertionError
        when a moment does not come, a command does not go on, or an output differs.
    """
    hits = []
    for kill in kills:
        if kill.job:
            undisturbed.take_away(kill.job, project)
        while not (hit := _carry_out(kill, project, command)):
            # The run was over before its time had come.
            undisturbed.take_away(undisturbed.jobs[0], project)
            kill = replace(kill, share=kill.share / 2)
        hits.append(hit)
    run(project, command)
    wrong = differences(undisturbed.project.path(STUDY), project.path(STUDY))
    assert not wrong, "\n".join(wrong)
    return hits


def _carry_out(kill: Kill, project: Project, command: list[str]) -> dict | None:
    """What was hit; nothing, where the run ended well before a time that is no job's own."""
    # A folder of its own, as a job of the run that was killed before may begin only now, and would take the order.
    watched = Path(tempfile.mkdtemp(prefix="watched-", dir=project.folder))
    process = _begin(project, command, watched)
    if kill.job:
        (watched / "kill.json").write_text(json.dumps(kill.order(process.pid)))
    else:
        try:
            process.wait(kill.share * _AT_ANY_TIME_S)
        except subprocess.TimeoutExpired:
            others = psutil.Process(process.pid).children(recursive=True) if "job" in kill.victims else []
            process.kill()
            for other in others:
                other.kill()
    status = process.wait(1800)
    if not kill.job and status == 0:
        return None
    struck = [json.loads(file.read_text()) for file in watched.glob("struck-*.json")]
    assert struck or not kill.job, f"the moment did not come:\n{_said(project)}"
    # A job that alone is killed fails the run, but on SLURM, where it comes again.
    alone = 0 if "profiles/slurm" in command else 1
    expected = -signal.SIGKILL if "snakemake" in kill.victims else alone
    assert status == expected, f"Snakemake ended with {status}, not {expected} ({kill}):\n{_said(project)}"
    left = len(list(project.path(STUDY).rglob("*.partial")))
    return {"rule": kill.rule, "moment": kill.moment, "victims": " and ".join(kill.victims), "left": left}


def holds_time(path: Path) -> bool:
    """Whether an output, by its path in the study's folder, tells when it was made."""
    return path.parts[0] in _HOLD_TIME


def differences(one: Path, other: Path) -> list[str]:
    """What two folders of a study do not have in common, byte by byte, but for what holds time."""
    files = [
        {path.relative_to(folder) for path in folder.rglob("*") if not holds_time(path.relative_to(folder))}
        for folder in (one, other)
    ]
    lacking = [f"{path}: is only in {(other, one)[path in files[0]]}" for path in sorted(files[0] ^ files[1])]
    both = [path for path in sorted(files[0] & files[1]) if (one / path).is_file()]
    return lacking + [f"{path}: differs" for path in both if not filecmp.cmp(one / path, other / path, shallow=False)]


def _begin(project: Project, command: list[str], watched: Path) -> subprocess.Popen:
    """Begin a run whose jobs leave their notes in the folder ``watched``; what it says goes to ``said.txt``."""
    with project.path("said.txt").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *command],
            cwd=project.folder,
            env={**os.environ, "PYTHONPATH": str(INSIDE), "WATCHED": str(watched)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )


def run(project: Project, command: list[str]) -> None:
    """Run a study to its end, while its jobs are watched."""
    (watched := project.path("watched")).mkdir(exist_ok=True)
    status = _begin(project, command, watched).wait(1800)
    assert status == 0, f"the run ended with {status}:\n{_said(project)}"


def _said(project: Project) -> str:
    return project.path("said.txt").read_text(errors="replace")[-3000:]


def main() -> None:
    """Carry out all kills, or those of the seeds that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", type=int, nargs="+", default=range(1, STUDIES + 2), help="these seeds alone")
    parser.add_argument("--folder", type=Path, help="where to work, and what to keep; else it is deleted at the end")
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder, hits = asked.folder or Path(temporary), []
        for seed in asked.only:
            case = Case.of(seed)
            if case.slurm and (reason := one_node_slurm.install()):
                print(f"no kills on SLURM: {reason}")
                continue
            with one_node_slurm.Cluster() if case.slurm else nullcontext():
                try:
                    hits += _carry_out_case(case, folder)
                except AssertionError as error:
                    sys.exit(f"{case}\n{error}\nOnce more: make faults FAULTS='--only {seed}'")
        print(table(hits))


def _carry_out_case(case: Case, folder: Path) -> list[dict]:
    model, made = folder / "planted", folder / f"undisturbed-{case.shards}"
    if not model.exists():
        planted.save(model, corpus(ROOT))
    if not (made / "done").exists():
        shutil.rmtree(made, ignore_errors=True)
        run(_new(made, model, case), ["--cores", "2", *ONE_THREAD, *TINY])
        (made / "done").touch()
    undisturbed = Undisturbed(Project(made))
    begun = time.monotonic()
    place = folder / f"seed-{case.seed}"
    shutil.rmtree(place, ignore_errors=True)
    # On SLURM, where each job takes long to begin, what comes before the first kill is there already.
    project = undisturbed.project.copy(place) if case.slurm else _new(place, model, case)
    hits = survive(project, case.command(), case.kills(undisturbed), undisturbed)
    print(f"{case}: {len(hits)} kills survived in {time.monotonic() - begun:.0f} s", flush=True)
    shutil.rmtree(place)
    return hits


def _new(folder: Path, model: Path, case: Case) -> Project:
    project = Project.new(folder, model)
    with project.path("config", "tiny.yaml").open("a", encoding="utf-8") as config:
        config.write(f"\ncompute:\n  shards: {case.shards}\n")
    return project


def table(hits: list[dict]) -> str:
    """How many kills hit which rule, whom, and into what."""
    moments = ("working", "writing", "any")
    counts = Counter((hit["rule"], hit["moment"]) for hit in hits)
    lines = ["| Rule | while it worked | while it wrote | at any time |", "| --- | ---: | ---: | ---: |"]
    for rule in sorted({rule for rule, _ in counts}):
        lines.append(f"| `{rule}` | {' | '.join(str(counts[rule, moment] or '') for moment in moments)} |")
    victims = ", ".join(f"{who} {number}" for who, number in Counter(hit["victims"] for hit in hits).items())
    left = sum(hit["left"] > 0 for hit in hits)
    return "\n".join([*lines, "", f"{len(hits)} kills: {victims}; {left} left something half written."])


if __name__ == "__main__":
    main()

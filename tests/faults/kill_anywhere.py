"""Kill a run of the tiny study at a moment that a seed chooses, go on by the same command, and compare all outputs.

    make faults                    # 30 kills on this machine, 5 on a SLURM of one node
    make faults KILLS="--only 17"  # one of them again

A third of the kills hit Snakemake alone, a third the job that is under way, a third both. Each kind of job is hit in
turn, while it works or while it writes, with all that was made after its beginning taken away before; every fifth kill
hits a run from nothing, at any time. Ends with a table of what was hit.
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
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

import planted
from planted_corpus import corpus
from projects import ROOT, TINY, Project

INSIDE = Path(__file__).with_name("inside")
STUDY = Path("results", "tiny")
HOLDS_TIME = {"logs", "verification.json", "ro-crate-metadata.json"}
"""What tells when something was made, by the first part of its path in the study's folder: it differs between runs."""

VICTIMS = (("snakemake",), ("job",), ("snakemake", "job"))
_SLURM = [
    *("--workflow-profile", "profiles/slurm", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "10"),
]


@dataclass(frozen=True)
class Kill:
    """One kill: whom it hits, and when.

    Parameters
    ----------
    moment : ``working`` or ``writing``, of a job; ``any`` of a run from nothing.
    share : of the time or of the steps of writing that pass before, of the run's time where the moment is ``any``; it
        also chooses among the jobs of a kind.
    """

    seed: int
    victims: tuple[str, ...]
    moment: str
    share: float
    shards: int
    keep_going: bool
    slurm: bool

    @classmethod
    def of(cls, seed: int, slurm: bool = False) -> "Kill":
        """The kill that a seed stands for."""
        chance = random.Random(seed)
        moment = "any" if seed % 5 == 0 and not slurm else ("working", "writing")[seed % 2]
        victims = VICTIMS[seed % 3]
        if moment == "any" and victims == ("job",):
            victims = ("snakemake",)
        shards = chance.choice([1, 2])
        return cls(seed, victims, moment, chance.random(), shards, chance.choice([False, True]), slurm)

    def command(self) -> list[str]:
        """What runs the study, before the kill and after it."""
        how = [*_SLURM, "--set-threads", *THREADS] if self.slurm else ["--cores", "2"]
        return [*how, *(["--keep-going"] * self.keep_going), *config_of(self.shards)]


# A job on the pretended node claims no more than one of its processors.
THREADS = [
    f"{rule}=1"
    for rule in ("score_heads", "answer_unablated", "ablate_heads", "measure_guard", "measure_effects", "label_heads")
]


def config_of(shards: int) -> list[str]:
    """The tiny study, with so many shards."""
    return [*TINY, "--config", f"compute={{shards: {shards}}}"]


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
    """The study as it is made when nobody disturbs it, and what its jobs did."""

    def __init__(self, folder: Path, model: Path, shards: int):
        self.project = Project(folder)
        if not (folder / "seconds").exists():
            shutil.rmtree(folder, ignore_errors=True)
            begun = time.monotonic()
            _run(Project.new(folder, model), ["--cores", "2", *config_of(shards)])
            (folder / "seconds").write_text(str(time.monotonic() - begun))
        self.seconds = float((folder / "seconds").read_text())
        lines = (folder / "watched" / "jobs.jsonl").read_text().splitlines()
        self.jobs = sorted((Job(**json.loads(line)) for line in lines), key=lambda job: job.started)
        self.kinds = sorted({job.rule for job in self.jobs})

    def before(self, job: Job, folder: Path) -> Project:
        """A copy of the study as it was before a job: nothing is there of what it made, or of what began after it."""
        copy = self.project.copy(folder)
        shutil.rmtree(copy.path("watched"))
        for later in self.jobs:
            for made in later.made if later.started >= job.started else ():
                path = copy.path(made)
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return copy


def carry_out(kill: Kill, undisturbed: Undisturbed, model: Path, folder: Path) -> dict:
    """Kill, go on by one command, and hold every output against the undisturbed study's.

    Returns
    -------
    dict
        What was hit: the rule, whether something half written was left, and how long going on took, in seconds.

    Raises
    ------
    AssertionError
        when the moment does not come, one command does not go on, or an output differs.
    """
    if kill.moment == "any":
        project, hit = Project.new(folder, model), {"rule": "any"}
        after: float | None = kill.share * undisturbed.seconds
    else:
        kind = undisturbed.kinds[(kill.seed - kill.seed // 5) % len(undisturbed.kinds)]
        jobs = [job for job in undisturbed.jobs if job.rule == kind]
        job = jobs[int(kill.share * len(jobs))]
        project, hit, after = undisturbed.before(job, folder), {"rule": kind, "log": job.log}, None
        writing = kill.moment == "writing"
        share = random.Random(-kill.seed).random()
        order = {"step": 1 + int(share * job.steps) if writing else None}
        order |= {"after": None if writing else share * job.seconds, "log": job.log, "victims": kill.victims}
    watched = project.path("watched")
    watched.mkdir()
    run = _begin(project, kill.command())
    if kill.moment == "any":
        time.sleep(after)
        everyone = psutil.Process(run.pid).children(recursive=True) if "job" in kill.victims else []
        run.kill()
        for process in everyone:
            process.kill()
    else:
        (watched / "kill.json").write_text(json.dumps({**order, "snakemake": run.pid}))
    status = run.wait(600)
    killed = run.returncode == -signal.SIGKILL
    assert killed == ("snakemake" in kill.victims), f"Snakemake ended with {status}:\n{_said(project)}"
    if kill.moment != "any":
        struck = list(watched.glob("struck-*.json"))
        assert struck, f"the moment did not come:\n{_said(project)}"
        hit |= {key: json.loads(struck[0].read_text())[key] for key in ("seconds", "steps")}
    hit["left"] = len(list(project.path(STUDY).rglob("*.partial")))
    begun = time.monotonic()
    _run(project, kill.command())
    hit["going_on"] = time.monotonic() - begun
    wrong = differences(undisturbed.project.path(STUDY), project.path(STUDY))
    assert not wrong, "\n".join(wrong)
    return hit


def differences(one: Path, other: Path) -> list[str]:
    """What two folders of a study do not have in common, byte by byte, but for what holds time."""
    files = [
        {path.relative_to(folder) for path in folder.rglob("*") if path.relative_to(folder).parts[0] not in HOLDS_TIME}
        for folder in (one, other)
    ]
    lacking = [f"{path}: is only in {(other, one)[path in files[0]]}" for path in sorted(files[0] ^ files[1])]
    both = [path for path in sorted(files[0] & files[1]) if (one / path).is_file()]
    return lacking + [f"{path}: differs" for path in both if not filecmp.cmp(one / path, other / path, shallow=False)]


def _begin(project: Project, command: list[str]) -> subprocess.Popen:
    """Begin a run whose jobs are watched; what it says goes to ``said.txt``."""
    with project.path("said.txt").open("a") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *command],
            cwd=project.folder,
            env={**os.environ, "PYTHONPATH": str(INSIDE), "WATCHED": str(project.path("watched"))},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )


def _run(project: Project, command: list[str]) -> None:
    project.path("watched").mkdir(exist_ok=True)
    status = _begin(project, command).wait(1800)
    assert status == 0, f"the run ended with {status}:\n{_said(project)}"


def _said(project: Project) -> str:
    return project.path("said.txt").read_text(errors="replace")[-3000:]


def main() -> None:
    """Carry out all kills, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="how many on this machine")
    parser.add_argument("--slurm", type=int, default=5, help="how many on a SLURM of one node")
    parser.add_argument("--only", type=int, nargs="+", help="these seeds alone")
    parser.add_argument("--folder", type=Path, help="where to work, and what to keep; else it is deleted at the end")
    asked = parser.parse_args()
    seeds = asked.only or range(1, asked.kills + asked.slurm + 1)
    kills = [Kill.of(seed, slurm=seed > asked.kills) for seed in seeds]
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = asked.folder or Path(temporary)
        print(table(run_all(kills, folder)))


def run_all(kills: list[Kill], folder: Path) -> list[tuple[Kill, dict]]:
    """Carry out kills one after the other; the first that is not survived ends it, and says how to repeat it."""
    import one_node_slurm

    os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    model = folder / "planted"
    if not model.exists():
        planted.save(model, corpus(ROOT))
    cluster, done = None, []
    try:
        for kill in kills:
            if kill.slurm and cluster is None:
                if reason := one_node_slurm.install():
                    print(f"no kills on SLURM: {reason}")
                    break
                cluster = one_node_slurm.Cluster().__enter__()
            undisturbed = Undisturbed(folder / f"undisturbed-{kill.shards}", model, kill.shards)
            place = folder / f"seed-{kill.seed}"
            try:
                hit = carry_out(kill, undisturbed, model, place)
            except AssertionError as error:
                sys.exit(f"{asdict(kill)}\n{error}\nOnce more: make faults KILLS='--only {kill.seed}'")
            shutil.rmtree(place)
            done.append((kill, hit))
            who = " and ".join(kill.victims)
            print(f"{kill.seed}: {who} killed, {hit}, {kill.shards} shards", flush=True)
    finally:
        if cluster is not None:
            cluster.__exit__()
    return done


def table(done: list[tuple[Kill, dict]]) -> str:
    """How many kills hit which rule, whom, and into what."""
    rules = Counter((hit["rule"], kill.moment) for kill, hit in done)
    lines = ["| Rule | while it worked | while it wrote | at any time |", "| --- | ---: | ---: | ---: |"]
    for rule in sorted({rule for rule, _ in rules}):
        counts = " | ".join(str(rules[rule, moment]) for moment in ("working", "writing", "any"))
        lines.append(f"| `{rule}` | {counts} |")
    victims = Counter(" and ".join(kill.victims) for kill, _ in done)
    left = sum(hit["left"] > 0 for _, hit in done)
    return "\n".join([*lines, "", f"{dict(victims)}; {left} of {len(done)} left something half written"])


if __name__ == "__main__":
    main()

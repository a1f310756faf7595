"""A run of the workflow: one Snakemake process, the jobs that end with it and rest on what it began with, and what
nobody else may make meanwhile.

Snakemake waits for its jobs when it is interrupted, and leaves them to themselves when it is killed. So a run has a
file, ``.snakemake/runs/{machine}.{random}``, that it holds a lock on as long as it lives: the system takes the lock
away however the process ends, and the run itself removes the file when it ends in order. The next run on the same
machine removes the file of one that was killed: with that, it is over on all machines. Each job looks at the file of
its run, and, on a cluster, also at that of the Snakemake which runs it on its node.

What a run makes is claimed in the same way, by a locked file in the folder of results, so that two runs never make the
same, from whatever folder or machine they are begun.
"""

import atexit
import fcntl
import json
import os
import platform
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from retrieval_heads.errors import StudyError, disk_trouble

FILE = "RETRIEVAL_HEADS_RUN"
"""The environment variable that tells a job the file of its run; two files on the node of a cluster."""

_PUBLISH_WITHIN_S = 10
"""How long a job may take to put in place what it has written."""

_CHECK_EVERY_S = 1

_BEGAN_WITH = "RETRIEVAL_HEADS_BEGAN_WITH"
"""The environment variable that tells a job of a cluster what its run began with."""

_held: IO[str] | None = None
_claims: dict[Path, IO[str]] = {}


def begin(folder: Path = Path(".snakemake"), of_job: bool = False) -> None:
    """Begin a run in this process, to which all jobs that it starts belong.

    Runs that were killed on this machine are over from then on: their files are removed, once none of their jobs is
    about to put an output in place. On a file system without locks nothing can be told of a run, and nothing is done.

    Parameters
    ----------
    folder : where Snakemake keeps its records of the working directory.
    of_job : whether this process runs a job of another run, on the node of a cluster: it ends with that one.

    Raises
    ------
    StudyError
        when that other run is over, when a job of a killed run was stopped while it put an output in place, or when
        nothing can be written there.
    """
    runs = folder.absolute() / "runs"
    try:
        _begin(runs, of_job)
    except OSError as error:
        if (trouble := disk_trouble(error, runs)) is None:
            raise
        raise StudyError(trouble) from error


def _begin(runs: Path, of_job: bool) -> None:
    global _held
    around = _files() if of_job else []
    if any(map(_is_free, around)):
        raise StudyError("the run that sent this job is over, so nothing is made.")
    end()
    runs.mkdir(parents=True, exist_ok=True)
    file = runs / f"{platform.node()}.{secrets.token_hex(6)}"
    with _gate(runs).open("a", encoding="utf-8") as gate:
        if not _take_gate(gate):
            return
        held = file.open("w", encoding="utf-8")
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("process", os.getpid(), file=held, flush=True)
        _held, os.environ[FILE] = held, os.pathsep.join(map(str, [*around, file]))
        atexit.register(end)
        if around:
            threading.Thread(target=_end_with, args=(around,), daemon=True).start()
        for other in runs.iterdir():
            if other != file and _is_free(other):
                other.unlink(missing_ok=True)


def end() -> None:
    """End the run of this process, if it has one: its jobs end too."""
    global _held
    os.environ.pop(FILE, None)
    if _held is not None:
        Path(_held.name).unlink(missing_ok=True)
        _held.close()
    _held = None


def end_on_signals(end_jobs: Callable[[], None]) -> None:
    """Have an interrupt of this process alone (SIGINT or SIGTERM) end its run and its jobs at once.

    Parameters
    ----------
    end_jobs : ends the jobs that this process has started.
    """

    def interrupted(number: int, frame: object) -> None:
        end()
        end_jobs()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError):  # outside of the main thread, whose program sees to its signals
            signal.signal(number, interrupted)


def as_it_began(study: str, find: Callable[[], dict[str, Any]], in_job: bool) -> dict[str, Any]:
    """What a study rests on that may change while it runs, as it was when the run began.

    Parameters
    ----------
    study : tells one study from another, should a run have several.
    find : finds it out, as JSON can hold it.
    in_job : whether this process is a job's, which reads the Snakefile again, as on a cluster: it is told by its
        environment, or where that was not passed on, finds it out anew.
    """
    known = json.loads(os.environ.get(_BEGAN_WITH, "{}"))
    if study not in known or not in_job:
        known[study] = find()
        os.environ[_BEGAN_WITH] = json.dumps(known)
    return known[study]


def is_over() -> bool:
    """Whether the run that this job belongs to has ended; what belongs to none goes on."""
    return _held is None and any(map(_is_free, _files()))


def leave() -> None:
    """End the Snakemake that runs this job on the node of a cluster, if one does, once the run is over.

    It would take the job for one that failed, and remove what a new run may have made in its place. As a rule it has
    noticed by itself.
    """
    for file in _files()[1:]:
        with suppress(OSError, ValueError):
            if not _is_free(file):
                os.kill(int(file.read_text(encoding="utf-8").removeprefix("process")), signal.SIGKILL)


@contextmanager
def publishing(target: Path) -> Iterator[None]:
    """Put a job's output in place: meanwhile no new run begins, and once one has, nothing is put in place any more.

    Raises
    ------
    StudyError
        when the run that this job belongs to is over.
    """
    with ExitStack() as held:
        if _files() and _held is None:
            with suppress(OSError):  # where there is no gate any more, the file of the run is gone too
                gate = held.enter_context(_gate(_files()[0].parent).open(encoding="utf-8"))
                fcntl.flock(gate, fcntl.LOCK_SH)
        if not is_over():
            yield
            return
    leave()
    raise StudyError(f"{target}: not written, for the run that this job belongs to is over; type its command again.")


def claim(file: Path, what: str) -> None:
    """Have this process alone make something, until it ends.

    Parameters
    ----------
    file : tells who makes it, and is locked by that process. Where locks do not reach, on another machine or on a file
        system without any, what stands in it decides: a run that ends in order clears it.
    what : is made, for messages.

    Raises
    ------
    StudyError
        when another run makes it, or may do so on another machine.
    """
    if file.absolute() in _claims:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # Where another file system wrote the path, or half of it, that is no reason to stop.
    opened = file.open("a+", encoding="utf-8", errors="backslashreplace")
    here, locked = f"on {platform.node()}, in ", False
    refused = False
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locked = True
    except BlockingIOError:
        refused = True
    except OSError:
        pass
    opened.seek(0)
    who = opened.read().strip()
    if refused:
        raise StudyError(f"{what}: another run makes this, {who}; wait for its end, or end it.")
    if who and not (locked and here in who):
        raise StudyError(
            f"{what}: a run that makes this did not end in order, {who}; make sure that it is over, and delete {file}."
        )
    opened.truncate(0)
    print(f"process {os.getpid()} {here}{Path.cwd()}", file=opened, flush=True)
    _claims[file.absolute()] = opened
    atexit.register(opened.truncate, 0)


def _files() -> list[Path]:
    """The files of the run that this job belongs to, the run's own first; none where it belongs to no run."""
    return [Path(file) for file in os.environ.get(FILE, "").split(os.pathsep) if file]


def _end_with(around: list[Path]) -> None:
    """End this process, without a chance to clear up, once the run is over that sent it."""
    while not any(map(_is_free, around)):
        time.sleep(_CHECK_EVERY_S)
    os._exit(1)


def _gate(runs: Path) -> Path:
    """What jobs share a lock on while they put outputs in place, and a run holds alone while it begins."""
    return runs.with_name("runs.lock")


def _take_gate(gate: IO[str]) -> bool:
    """Wait until no job puts an output in place; whether there are locks at all."""
    end = time.monotonic() + _PUBLISH_WITHIN_S
    while True:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > end:
                raise StudyError(
                    f"{gate.name}: a job of another run was stopped while it wrote an output; continue or end it."
                ) from None
            time.sleep(0.05)
        except OSError:
            return False


def _is_free(file: Path) -> bool:
    """Whether the run of a file has ended. Of another machine's, only the file tells: locks may not reach so far."""
    try:
        with file.open(encoding="utf-8") as opened:
            if file.stem != platform.node():
                return False
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return True
    except OSError:
        return False

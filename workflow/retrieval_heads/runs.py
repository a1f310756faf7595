"""A run of the workflow: one Snakemake process, and the jobs that end with it and rest on what it began with.

Snakemake waits for its jobs when it is interrupted, and leaves them to themselves when it is killed. So a run has a
file, ``.snakemake/runs/{machine}.{random}``, that it holds a lock on as long as it lives: the system takes the lock
away however the process ends, and the run itself removes the file when it ends in order. Each job looks at the file of
its run.
"""

import atexit
import fcntl
import json
import os
import platform
import secrets
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from retrieval_heads.errors import StudyError, disk_trouble

_FILE = "RETRIEVAL_HEADS_RUN"
"""The environment variable that tells a job the file of its run."""

_BEGAN_WITH = "RETRIEVAL_HEADS_BEGAN_WITH"
"""The environment variable that tells a job of a cluster what its run began with."""

_held: IO[str] | None = None


def begin(folder: Path = Path(".snakemake")) -> None:
    """Begin a run in this process, to which all jobs that it starts belong.

    A run that was killed leaves its file, and Snakemake's lock on the working directory. If it did, and if no other run
    is alive here, both are removed. One of another machine counts as alive, for locks may not reach so far. On a file
    system without locks nothing can be told of a run, and nothing is done.

    Parameters
    ----------
    folder : where Snakemake keeps its records of the working directory.

    Raises
    ------
    StudyError
        when nothing can be written there.
    """
    runs = folder.absolute() / "runs"
    file = runs / f"{platform.node()}.{secrets.token_hex(6)}"
    try:
        _begin(folder, runs, file)
    except OSError as error:
        if (trouble := disk_trouble(error, file)) is None:
            raise
        with suppress(OSError):
            file.unlink()
        raise StudyError(trouble) from error


def _begin(folder: Path, runs: Path, file: Path) -> None:
    global _held
    end()
    runs.mkdir(parents=True, exist_ok=True)
    held = file.open("w", encoding="utf-8")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        file.unlink()
        return
    # Whatever is locked has something in it, so that one that has just begun is not taken for one that is over.
    print("process", os.getpid(), file=held, flush=True)
    _held, os.environ[_FILE] = held, str(file)
    atexit.register(end)
    others = [other for other in runs.iterdir() if other != file]
    if others and all(other.stem == platform.node() and _is_free(other) for other in others):
        shutil.rmtree(folder / "locks", ignore_errors=True)
        for other in others:
            other.unlink(missing_ok=True)


def end() -> None:
    """End the run of this process, if it has one: its jobs end too."""
    global _held
    file = os.environ.pop(_FILE, None)
    if _held is not None and file is not None:
        Path(file).unlink(missing_ok=True)
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
    return _held is None and _FILE in os.environ and _is_free(Path(os.environ[_FILE]))


def _is_free(file: Path) -> bool:
    """Whether the run of a file has ended."""
    try:
        with file.open(encoding="utf-8") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return os.fstat(opened.fileno()).st_size > 0
    except FileNotFoundError:
        return True
    except OSError:
        return False

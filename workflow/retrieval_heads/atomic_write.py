"""Files and folders that are written whole or not at all.

What is being written lies in a work folder beside its target, ``{target}.{random}.partial``, which no other writer has.
A writer holds a lock in it as long as it lives, so that the next one can tell what a killed one left, and removes it.
What a disk refuses while a target is written is told as a :class:`~retrieval_heads.errors.StudyError` with its path.
A job whose run is over (:mod:`retrieval_heads.runs`) writes nothing.
"""

import errno
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from retrieval_heads import runs
from retrieval_heads.errors import StudyError, disk_trouble

_LOCK = "lock"


@contextmanager
def atomic_file(target: str | Path) -> Iterator[Path]:
    """A path to write to, which takes the target's place at the end; after an error nothing of it is left."""
    target = Path(target)
    with _work_folder(target) as work:
        yield (made := work / target.name)
        _require_run(target)
        made.replace(target)


@contextmanager
def atomic_folder(target: str | Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the target's place at the end; after an error nothing of it is left.

    A folder that was there is moved aside first: for a moment there is none, and never a half of one.
    """
    target = Path(target)
    with _work_folder(target) as work:
        (made := work / target.name).mkdir()
        yield made
        _require_run(target)
        for attempt in range(1000):
            aside = work / f"aside-{attempt}"
            with suppress(FileNotFoundError):
                target.rename(aside)
            try:
                made.rename(target)
                return
            except BaseException as error:
                # Another writer was quicker: its folder gives way to this one, as it would a moment later.
                if getattr(error, "errno", None) not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    with suppress(OSError):
                        aside.rename(target)
                    raise
        raise OSError(errno.EBUSY, "other processes write this folder without end", str(target))


@contextmanager
def _work_folder(target: Path) -> Iterator[Path]:
    work = target.with_name(f"{target.name}.{secrets.token_hex(6)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        work.mkdir()
        with (work / _LOCK).open("w", encoding="utf-8") as lock:
            if _take(lock):
                lock.write("held, or abandoned\n")
                lock.flush()
            yield work
    except Exception as error:
        if isinstance(error, StudyError) or (trouble := disk_trouble(error, target, work)) is None:
            raise
        raise StudyError(trouble) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _require_run(target: Path) -> None:
    """Refuse to put a job's output in place once another run may be making it."""
    if runs.is_over():
        raise StudyError(
            f"{target}: not written, for the run that this job belongs to is over; type its command again."
        )


def _remove_abandoned(target: Path) -> None:
    """Remove what writers of this target left that were killed; on a file system without locks it stays."""
    for work in target.parent.glob(f"{glob.escape(target.name)}.*.partial"):
        abandoned = False
        # One that has just begun may have no lock yet: it writes into the file as soon as it has.
        with suppress(OSError), (work / _LOCK).open("r+", encoding="utf-8") as lock:
            abandoned = _take(lock) and os.fstat(lock.fileno()).st_size > 0
        if abandoned:
            shutil.rmtree(work, ignore_errors=True)


def _take(lock: IO[str]) -> bool:
    """Take the lock of a work folder, if nobody has it; it is free again when the file is closed or its owner dies."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

"""Files and folders that are written whole or not at all.

What is being written lies in a work folder beside its target, ``{target}.{random}.partial``, which no other writer has.
A writer holds a lock in it as long as it lives, so that the next one can tell what a killed one left, and removes it.
What a disk refuses while a target is written is told as a :class:`~retrieval_heads.errors.StudyError` with its path.
A job whose run is over puts nothing in place (:func:`retrieval_heads.runs.publishing`).
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
        with runs.publishing(target):
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
        with runs.publishing(target):
            _swap(made, target, work)


def _swap(made: Path, target: Path, work: Path) -> None:
    """Put a folder in its place, and what was there into the work folder."""
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
        with _locked(work):
            yield work
    except Exception as error:
        if isinstance(error, StudyError) or (trouble := disk_trouble(error, target, work)) is None:
            raise
        raise StudyError(trouble) from error
    finally:
        _remove(work)


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Make a work folder, and hold its lock."""
    while True:
        work.mkdir(exist_ok=True)
        try:
            lock = (work / _LOCK).open("w", encoding="utf-8")
            break
        except FileNotFoundError:  # taken for one that somebody had half removed
            continue
    with lock:
        if _take(lock):
            lock.write("held, or abandoned\n")
            lock.flush()
        yield


def _remove_abandoned(target: Path) -> None:
    """Remove what writers of this target left that were killed; on a file system without locks it stays."""
    for work in target.parent.glob(f"{glob.escape(target.name)}.*.partial"):
        # One that has just begun may have nothing in its lock yet: it writes into the file as soon as it has it.
        try:
            with (work / _LOCK).open("r+", encoding="utf-8") as lock:
                if _take(lock) and os.fstat(lock.fileno()).st_size > 0:
                    _remove(work)
        except OSError:
            # Without a lock it is empty: it is made or removed just now, or whoever removed it was killed.
            with suppress(OSError):
                work.rmdir()


def _remove(work: Path) -> None:
    """Remove a work folder: what it holds, then its lock, then itself, so that what a killed one leaves can be told."""
    with suppress(OSError):
        for path in work.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()
        (work / _LOCK).unlink(missing_ok=True)
        work.rmdir()


def _take(lock: IO[str]) -> bool:
    """Take the lock of a work folder, if nobody has it; it is free again when the file is closed or its owner dies."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

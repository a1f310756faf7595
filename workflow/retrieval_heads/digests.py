"""Digests of files and of values, by which one content is told from another."""

import hashlib
import json
import logging
import time
from pathlib import Path

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError

log = logging.getLogger("retrieval_heads")

# A file that was changed a moment ago may change again without a later time stamp, so its digest is not kept.
_SETTLED_S = 3
# Beyond this size, reading takes long enough to be told.
_LARGE = 2 * 10**9


def digest(value: object) -> str:
    """The SHA-256 of a value that can be written as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_digest(file: Path) -> str:
    """The SHA-256 of a file, as ``sha256sum`` tells it."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def kept_digest(file: Path, kept: Path) -> str:
    """The same of a file that may be large, read once.

    Its digest is kept with size, time stamps and inode, by which a change is noticed: no program can change a file
    without a new time of change (ctime), as ``rsync -t`` and ``cp -p`` do with mtime.

    Parameters
    ----------
    kept : the folder of the digests that are kept.

    Raises
    ------
    StudyError
        when the file is gone.
    """
    record = kept / f"{hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:16]}.json"
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    try:
        state = _state(file)
    except FileNotFoundError:
        raise StudyError(f"{file}: this file of a model is gone; check the model's source.") from None
    if known.get("state") == state:
        return known["sha256"]
    if state["size"] > _LARGE:
        log.warning("%s: reading %.1f GB once, to know the model by its content", file, state["size"] / 1e9)
    found = file_digest(file)
    changed = max(state["mtime_ns"], state["ctime_ns"])
    if _state(file) == state and time.time_ns() - changed > _SETTLED_S * 10**9:
        with atomic_file(record) as made:
            made.write_text(
                json.dumps({"file": str(file.absolute()), "state": state, "sha256": found}) + "\n", encoding="utf-8"
            )
    return found


def _state(file: Path) -> dict[str, int]:
    """What tells whether a file was changed; without the device, whose number differs between nodes of a cluster."""
    stat = file.stat()
    return {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }

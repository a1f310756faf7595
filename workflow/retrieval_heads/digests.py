"""Digests of files and of values, by which one content is told from another."""

import hashlib
import json
import logging
import time
from pathlib import Path

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError

log = logging.getLogger("retrieval_heads")

KEPT = ".digests"
"""The folder in a config's ``results`` where the digests of large files are kept."""

# A file that was changed a moment ago may change again without a later time stamp, so its digest is not kept.
_SETTLED_S = 3
# Below this size, a file is read as quickly as what is known of it.
_SMALL = 10**6
# Beyond this size, reading takes long enough to be told.
_LARGE = 2 * 10**9


def digest(value: object) -> str:
    """The SHA-256 of a value that can be written as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def short_digest(value: object) -> str:
    """As much of it as tells values apart where people read it: the first 16 digits."""
    return digest(value)[:16]


def file_digest(file: Path) -> str:
    """The SHA-256 of a file, as ``sha256sum`` tells it."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def kept_digest(file: Path, results: str | Path) -> str:
    """The same of a file that may be large, read once.

    Its digest is kept with size, time stamps and inode, by which a change is noticed: no program can change a file
    without a new time of change (ctime), as ``rsync -t`` and ``cp -p`` do with mtime.

    Parameters
    ----------
    results : the config's ``results``, where digests are kept, in ``.digests``.

    Raises
    ------
    StudyError
        when the file is gone.
    """
    file = file.absolute()
    record = Path(results, KEPT, f"{hashlib.sha256(str(file).encode()).hexdigest()[:16]}.json")
    try:
        state = _state(file)
    except FileNotFoundError:
        raise StudyError(f"{file}: this file is gone; put it back, or change the config that asks for it.") from None
    if state["size"] < _SMALL:
        return file_digest(file)
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        known = None
    # Whatever else stands there, the file is read.
    if isinstance(known, dict) and known.get("state") == state and isinstance(kept := known.get("sha256"), str):
        return kept
    if state["size"] > _LARGE:
        log.warning("%s: reading %.1f GB once, to know the file by its content", file, state["size"] / 1e9)
    found = file_digest(file)
    changed = max(state["mtime_ns"], state["ctime_ns"])
    if _state(file) == state and time.time_ns() - changed > _SETTLED_S * 10**9:
        with atomic_file(record) as made:
            made.write_text(json.dumps({"file": str(file), "state": state, "sha256": found}) + "\n", encoding="utf-8")
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

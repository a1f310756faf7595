"""What files are: what they hold, whatever they are called above the folder that they share, and however old they are.

What a user gives may be changed where it lies, with a time stamp that is put back, or look new and be the same. So what
is made with it depends on the content of its files.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError
from retrieval_heads.job import log

# A file that was changed a moment ago may change again without a later time stamp, so its digest is not kept.
_SETTLED_S = 3
# Below this size, a file is read as quickly as what is known of it.
_SMALL = 10**6
# Beyond this size, reading takes long enough to be told.
_LARGE = 2 * 10**9


def files_content(files: Iterable[str | Path], results: str | Path) -> str:
    """A digest of what files hold, of their order, and of their names below the folder that they share.

    Large files are read once. Their digests are kept with size, time stamps and inode, by which a change is noticed: no
    program can change a file without a new time of change (ctime), as ``rsync -t`` and ``cp -p`` do with mtime.

    Parameters
    ----------
    results : the config's ``results``, where the digests of large files are kept, in ``.digests``.

    Raises
    ------
    StudyError
        when a file is not there.
    """
    paths = [Path(file).absolute() for file in files]
    shared = os.path.commonpath([path.parent for path in paths]) if paths else ""
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda file: _file_digest(file, Path(results, ".digests")), paths))
    return digest([[path.relative_to(shared).as_posix(), one] for path, one in zip(paths, digests, strict=True)])


def digest(value: object) -> str:
    """A hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@contextmanager
def unchanged(what: str, known: str | None, find: Callable[[], str | None]) -> Iterator[None]:
    """Refuse to use something, or what was made with it meanwhile, once its content is another.

    Parameters
    ----------
    what : is used, for the message: a key or path, and what it is.
    known : its content when the run began; None where it cannot change.
    find : gives its content now.
    """

    def check() -> None:
        if known is not None and find() != known:
            raise StudyError(f"{what} was changed while the study ran; type the same command again.")

    check()
    yield
    check()


@contextmanager
def unchanged_files(snakemake) -> Iterator[None]:
    """The same for a script whose rule has, as its parameter ``files``, the content of inputs that no job makes."""
    with ExitStack() as checks:
        for name, known in snakemake.params.files.items():
            given = snakemake.input[name]
            files = [given] if isinstance(given, str) else list(given)
            if files:
                find = partial(files_content, files, snakemake.config["results"])
                checks.enter_context(unchanged(_told(files), known, find))
        yield


def _told(files: list[str]) -> str:
    """What files are, for a message."""
    if len(files) == 1:
        return f"{files[0]}: this file"
    shared = os.path.commonpath([Path(file).absolute().parent for file in files])
    return f"{os.path.relpath(shared)}: a file in this folder"


def _file_digest(file: Path, kept: Path) -> str:
    record = kept / f"{hashlib.sha256(str(file).encode()).hexdigest()[:16]}.json"
    try:
        state = _state(file)
    except FileNotFoundError:
        raise StudyError(f"{file}: this file is gone; put it back, or change the config that asks for it.") from None
    if state["size"] < _SMALL:
        return _read(file)
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    if known.get("state") == state:
        return known["sha256"]
    if state["size"] > _LARGE:
        log.warning("%s: reading %.1f GB once, to know the file by its content", file, state["size"] / 1e9)
    found = _read(file)
    changed = max(state["mtime_ns"], state["ctime_ns"])
    if _state(file) == state and time.time_ns() - changed > _SETTLED_S * 10**9:
        with atomic_file(record) as made:
            made.write_text(json.dumps({"file": str(file), "state": state, "sha256": found}) + "\n", encoding="utf-8")
    return found


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _state(file: Path) -> dict[str, int]:
    """What tells whether a file was changed; without the device, whose number differs between nodes of a cluster."""
    stat = file.stat()
    return {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }

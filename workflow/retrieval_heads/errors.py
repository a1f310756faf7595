"""Errors that mean something to the user or to a job, and what those of the system mean."""

import errno
import os
import re
import resource
import sys
from pathlib import Path
from types import TracebackType

from retrieval_heads.plain_text import printable

_MEMORY = (
    *("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "bad_alloc"),
    *("cublas_status_alloc_failed", "cudnn_status_alloc_failed", "unable to allocate", "can't start new thread"),
)
"""How torch's allocators, numpy, the loaders of weights, Python and the system say that there is no more memory."""

_NUMBER = re.compile(r"\b(?:os error|errno) (\d+)\b", re.IGNORECASE)
"""How libraries that raise errors of their own quote the system's."""

_DISK = {
    errno.ENOSPC: "no space is left on this disk; free some",
    errno.EDQUOT: "your quota of this disk is used up; free some space",
    errno.EFBIG: "a file may not become as large as this one would; raise the limit (ulimit -f)",
    errno.EROFS: "this file system is read-only; have it mounted for writing, or choose another folder",
    errno.EACCES: "permission is denied; have it granted, or choose another folder",
    errno.EPERM: "permission is denied; have it granted, or choose another folder",
    errno.ENOENT: "there is no such file or folder, or no longer; check the path",
    errno.ENOTDIR: "a file stands where a folder should be; move it away",
    errno.EEXIST: "a file stands where a folder should be; move it away",
    errno.EISDIR: "a folder stands where a file should be; move it away",
    errno.ENOTEMPTY: "a folder stands where a file should be; move it away",
    errno.ENAMETOOLONG: "the file system takes no names that are so long; choose shorter ones, or another folder",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; end what else runs there",
    errno.EIO: "the disk does not work (input/output error); check it, or choose another folder",
    errno.ESTALE: "the network's file system was lost meanwhile (stale file handle); have it mounted anew",
}
"""What the system's errors of files mean, each with what to do about it."""

_LONGEST = 1_000
"""Characters of a message: its beginning names the place, and its end says what to do."""


class StudyError(Exception):
    """Something the user can fix. The message is one sentence that names the file or key and says what to do.

    It quotes what users and files say, so whatever that is, the message is one printable line of bounded length.
    """

    def __str__(self) -> str:
        line = printable(super().__str__())
        return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 4 :]}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of the machine or of its GPU is used up."""
    said = str(error).lower()
    if isinstance(error, MemoryError) or _number(error) == errno.ENOMEM:
        return True
    # A library that may not be mapped for another reason says which.
    return any(sign in said for sign in _MEMORY) or said.endswith("failed to map segment from shared object")


def disk_trouble(error: BaseException, path: Path | None = None, work: Path | None = None) -> str | None:
    """What is wrong with a file or its disk, if an error of the system or of a library says that.

    Parameters
    ----------
    path : of what is written, for an error that names no file, or one in the folder ``work``.

    Returns
    -------
    One sentence with the path, as far as it is known, and what to do; None for an error of another kind.
    """
    number = _number(error)
    if number not in _DISK:
        return None
    names = (getattr(error, "filename2", None), getattr(error, "filename", None), path)
    named = next((Path(os.fsdecode(name)) for name in names if isinstance(name, (str, bytes, Path))), None)
    if named is not None and work is not None and work in (named, *named.parents):
        named = path
    if named is not None and number in (errno.ENOTDIR, errno.EEXIST):
        named = next((place for place in (named, *named.parents) if place.is_file()), named)
    return f"{named or 'a file that is not told'}: {_DISK[number]}, and type the same command again."


def machine_trouble(error: BaseException) -> str | None:
    """What is wrong with the machine, in one sentence with what to do, if that is what an error says."""
    if not is_out_of_memory(error):
        return disk_trouble(error)
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    limited = "" if limit == resource.RLIM_INFINITY else f", or raise its limit of {limit // 2**20} MB (ulimit -v)"
    if "new thread" in str(error):
        limited += ", or raise its limit of threads (ulimit -u)"
    return (
        "out of memory: lower compute.cache_tokens and compute.batch_tokens in the config, "
        f"or give the job a larger machine{limited}."
    )


def end_script(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As ``sys.excepthook`` of a rule's script: end it in one sentence where the machine fails before it is a job.

    A script imports its libraries first, which takes memory.
    """
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    troubles = [machine_trouble(one) for one in chain if is_out_of_memory(one)]
    if not troubles:
        sys.__excepthook__(kind, error, trace)
        return
    print(troubles[0], file=sys.stderr, flush=True)
    # What libraries do at the end takes memory too.
    os._exit(1)


def _number(error: BaseException) -> int | None:
    """The system's number of an error."""
    if (number := getattr(error, "errno", None)) is not None:
        return number
    found = _NUMBER.search(str(error))
    return int(found[1]) if found and not isinstance(error, StudyError) else None

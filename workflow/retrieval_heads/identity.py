"""What files are: what they hold, whatever they are called above the folder that they share, and however old they are.

What a user gives may be changed where it lies, with a time stamp that is put back, or look new and be the same. So what
is made with it depends on the content of its files.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from retrieval_heads.digests import digest, kept_digest
from retrieval_heads.errors import StudyError


def files_content(files: Iterable[str | Path], results: str | Path) -> str:
    """A digest of what files hold, of their order, and of their names below the folder that they share.

    Large files are read once (:func:`retrieval_heads.digests.kept_digest`).

    Parameters
    ----------
    results : the config's ``results``, where the digests of large files are kept.

    Raises
    ------
    StudyError
        when a file is not there.
    """
    paths = [Path(file).absolute() for file in files]
    shared = os.path.commonpath([path.parent for path in paths]) if paths else ""
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda file: kept_digest(file, results), paths))
    return digest([[path.relative_to(shared).as_posix(), one] for path, one in zip(paths, digests, strict=True)])


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
def unchanged_files(snakemake, **listed: Callable[[], list[str]]) -> Iterator[None]:
    """The same for a script whose rule has, as its parameter ``files``, the content of inputs that no job makes.

    Parameters
    ----------
    listed : by the name of an input whose files the script finds in a folder: gives those that are there now, so that
        one that was added counts too.
    """

    def content(name: str, files: list[str]) -> str:
        return files_content(listed[name]() if name in listed else files, snakemake.config["results"])

    with ExitStack() as checks:
        for name, known in snakemake.params.files.items():
            given = snakemake.input[name]
            files = [given] if isinstance(given, str) else list(given)
            if files:
                told = _told(files, in_folder=name in listed)
                checks.enter_context(unchanged(told, known, partial(content, name, files)))
        yield


def _told(files: list[str], in_folder: bool) -> str:
    """What files are, for a message."""
    if len(files) == 1 and not in_folder:
        return f"{files[0]}: this file"
    shared = os.path.commonpath([Path(file).absolute().parent for file in files])
    return f"{os.path.relpath(shared)}: a file in this folder"

"""What a model is: its content, whatever it is called and wherever it lies.

A model may be changed where it lies: weights that are trained on, a tokenizer that is mended, a file that is
downloaded anew under the same name. So what is made with it depends on the content of its files.
"""

import hashlib
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError
from retrieval_heads.job import log
from retrieval_heads.model.sources import source_module

# A file that was changed a moment ago may change again without a later time stamp, so its digest is not kept.
_SETTLED_S = 3
# Beyond this size, reading takes long enough to be told.
_LARGE = 2 * 10**9


def model_content(source: dict, results: str | Path, packages: bool = True) -> str | None:
    """A digest of all that a model is loaded from, or None where the source itself stands for its content.

    The files are read once. Their digests are kept with size, time stamps and inode, by which a change is noticed:
    no program can change a file without a new time of change (ctime), as ``rsync -t`` and ``cp -p`` do with mtime.

    Parameters
    ----------
    source : a model's source, as in a config.
    results : the config's ``results``, where the digests of files are kept, beside prepared models.
    packages : whether this process sees the Python packages that jobs see. If not, the file that defines their
        environment stands for a package's content.

    Raises
    ------
    StudyError
        when the files are not there.
    """
    if "package" in source and not packages:
        return None
    files = source_module(source).files(source)
    if not files:
        return None
    with ThreadPoolExecutor(8) as pool:
        digests = list(pool.map(lambda file: _file_digest(file, Path(results, "models", "digests")), files))
    return _digest([[file.name, digest] for file, digest in zip(files, digests, strict=True)])


def model_artifact(name: str, source: dict, content: str | None) -> str:
    """Name of a prepared model's folder, the same in every study that makes it from the same content and source."""
    return f"{name}-{_digest(source if content is None else [source, content])[:8]}"


def model_folder(name: str, source: dict, content: str | None, results: str | Path) -> Path:
    """Where jobs find a model: a local folder where it lies, any other where it was prepared."""
    return Path(source["path"]) if "path" in source else Path(results, "models", model_artifact(name, source, content))


def resolved_commit(folder: str | Path) -> str | None:
    """The hub's commit of a prepared model, which is made of links into the hub's cache; None for other sources."""
    config = Path(folder, "config.json")
    found = re.search(r"/snapshots/([0-9a-f]{40})/", str(config.readlink())) if config.is_symlink() else None
    return found and found[1]


@contextmanager
def unchanged(key: str, source: dict, content: str | None, results: str | Path) -> Iterator[None]:
    """Refuse to use a model, or what was made with it meanwhile, once its content is another.

    Parameters
    ----------
    key : of the model in the config, for the message.
    content : when the study was begun; None where it cannot change.
    """

    def check() -> None:
        if content is not None and model_content(source, results) != content:
            raise StudyError(f"{key}.source: this model was changed while the study ran; type the same command again.")

    check()
    yield
    check()


def unchanged_model(snakemake) -> AbstractContextManager[None]:
    """The same for a script whose rule has a model as wildcard and its content as parameter."""
    name, config = snakemake.wildcards.model, snakemake.config
    return unchanged(f"models.{name}", config["models"][name]["source"], snakemake.params.content, config["results"])


def _file_digest(file: Path, kept: Path) -> str:
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
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    changed = max(state["mtime_ns"], state["ctime_ns"])
    if _state(file) == state and time.time_ns() - changed > _SETTLED_S * 10**9:
        with atomic_file(record) as made:
            made.write_text(
                json.dumps({"file": str(file.absolute()), "state": state, "sha256": digest}) + "\n", encoding="utf-8"
            )
    return digest


def _state(file: Path) -> dict[str, int]:
    """What tells whether a file was changed; without the device, whose number differs between nodes of a cluster."""
    stat = file.stat()
    return {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,
        "inode": stat.st_ino,
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

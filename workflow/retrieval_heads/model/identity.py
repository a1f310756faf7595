"""What a model is: its content, whatever it is called and wherever it lies.

A model may be changed where it lies: weights that are trained on, a tokenizer that is mended, a file that is
downloaded anew under the same name. So what is made with it depends on the content of its files.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from retrieval_heads.digests import digest, kept_digest
from retrieval_heads.errors import StudyError
from retrieval_heads.model.sources import source_module


def model_content(source: dict, results: str | Path, packages: bool = True) -> str | None:
    """A digest of all that a model is loaded from, or None where the source itself stands for its content.

    The files are read once (:func:`retrieval_heads.digests.kept_digest`).

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
        digests = list(pool.map(lambda file: kept_digest(file, Path(results, "models", "digests")), files))
    return digest([[file.name, found] for file, found in zip(files, digests, strict=True)])


def model_artifact(name: str, source: dict, content: str | None) -> str:
    """Name of a prepared model's folder, the same in every study that makes it from the same content and source."""
    return f"{name}-{digest(source if content is None else [source, content])[:8]}"


def model_folder(name: str, source: dict, content: str | None, results: str | Path) -> Path:
    """Where jobs find a model: a local folder where it lies, any other where it was prepared."""
    return Path(source["path"]) if "path" in source else Path(results, "models", model_artifact(name, source, content))


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

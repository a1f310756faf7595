"""What a model is: its content, whatever it is called and wherever it lies.

A model may be changed where it lies: weights that are trained on, a tokenizer that is mended, a file that is
downloaded anew under the same name. So what is made with it depends on the content of its files.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval_heads.digests import digest
from retrieval_heads.errors import StudyError
from retrieval_heads.identity import files_content, unchanged
from retrieval_heads.model.sources import source_module
from retrieval_heads.model.sources.hub import RECORD
from retrieval_heads.reading import read_json
from retrieval_heads.versions import MODEL_ENVIRONMENT, require_versions

_BY_ENVIRONMENT = "environment "


def model_content(source: dict, results: str | Path, packages: bool = True) -> str | None:
    """A digest of all that a model is loaded from, or None for a hub's, which counts as it was when it was prepared.

    Parameters
    ----------
    source : a model's source, as in a config.
    results : the config's ``results``, where the digests of large files are kept.
    packages : whether this process sees the Python packages that jobs see. If not, the files that define their
        environment stand for a package's content.

    Raises
    ------
    StudyError
        when the files are not there.
    """
    if "package" in source and not packages:
        return f"{_BY_ENVIRONMENT}{files_content(MODEL_ENVIRONMENT, results)}"
    files = source_module(source).files(source)
    return files_content(files, results) if files else None


def model_artifact(name: str, source: dict, content: str | None) -> str:
    """Name of a prepared model's folder, the same in every study that makes it from the same content and source."""
    return f"{name}-{digest(source if content is None else [source, content])[:8]}"


def model_folder(name: str, source: dict, content: str | None, results: str | Path) -> Path:
    """Where jobs find a model: a local folder where it lies, any other where it was prepared."""
    return Path(source["path"]) if "path" in source else Path(results, "models", model_artifact(name, source, content))


def resolved_commit(folder: str | Path) -> str | None:
    """The commit of the hub that a prepared model is, whatever revision the config asks for; None for other sources.

    Raises
    ------
    StudyError
        when the file that tells it is damaged.
    """
    file, again = Path(folder, RECORD), f"delete {folder}, so that it is fetched anew"
    try:
        record = read_json(file, again)
    except FileNotFoundError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("commit"), str):
        raise StudyError(f"{file}: does not tell the commit; {again}.")
    return record["commit"]


@contextmanager
def unchanged_source(key: str, source: dict, content: str | None, results: str | Path) -> Iterator[None]:
    """Refuse to use a model, or what was made with it meanwhile, once its content is another.

    Parameters
    ----------
    key : of the model in the config, for the message.
    content : when the run began.
    """
    packages = not (content or "").startswith(_BY_ENVIRONMENT)
    with unchanged(f"{key}.source: this model", content, lambda: model_content(source, results, packages)):
        yield


@contextmanager
def unchanged_model(snakemake) -> Iterator[None]:
    """The same for a script whose rule has a model as wildcard, and its content and the libraries' versions as
    parameters: it refuses other versions too, unless the config accepts them."""
    name, config, params = snakemake.wildcards.model, snakemake.config, snakemake.params
    require_versions(params.versions, config["compute"]["accept_versions"])
    with unchanged_source(f"models.{name}", config["models"][name]["source"], params.content, config["results"]):
        yield

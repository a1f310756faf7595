"""All checks before any work: what a config names outside itself, held against the config.

The only module that may import from every part of the package.
"""

import errno
import os
import resource
import shutil
import tempfile
from pathlib import Path

from retrieval_heads import reading
from retrieval_heads.data.documents import document_source
from retrieval_heads.data.haystack import DOCUMENTS, haystack_files, load_haystack
from retrieval_heads.errors import StudyError, disk_trouble
from retrieval_heads.model.files import read_config
from retrieval_heads.model.guards import described_grid, require_quantizer, require_readable, require_trusted
from retrieval_heads.model.identity import model_content, model_folder
from retrieval_heads.model.sources import source_module
from retrieval_heads.study.checks import require_one_file
from retrieval_heads.study.config import complete
from retrieval_heads.study.forms import path_means_more
from retrieval_heads.study.heads import require_planted
from retrieval_heads.study.interventions import interventions, key_path
from retrieval_heads.study.top_k import given_or_share
from retrieval_heads.study.variants import decoyed, variants

_LEAST_ROOM = 2**20
"""Bytes of a disk without which nothing can be done."""

_LEAST_MEMORY = 2**30
"""Bytes of a process's memory that torch and transformers take; 928 MB were measured, of a build for CPUs."""


def check_surroundings(config: dict, packages: bool = True) -> None:
    """Check what a config names outside itself: documents, folders, models, results and lists of others, room to write.

    Parameters
    ----------
    packages : whether jobs see the Python packages that this process sees, as they do without conda environments.

    Raises
    ------
    StudyError
        with the key that names what is missing or does not fit.
    """
    results = Path(config["results"])
    for folder in (results, results / config["study"], results / config["study"] / "logs", results / "models"):
        _require_room(folder)
    _require_room(Path(os.environ.get("TMPDIR", tempfile.gettempdir())))
    if config["published"]:
        # Imported here, as it imports pandas, which no other study needs outside its jobs.
        from retrieval_heads.exchange import published

        published.check(config)
        _check_imports(
            config, {name: tuple(model["grid"]) for name, model in config["models"].items() if "grid" in model}
        )
        return
    _require_memory()
    if (haystack := config["prompts"]["haystack"]) != DOCUMENTS:
        if not Path(haystack).is_dir():
            raise StudyError(f"prompts.haystack: there is no folder {haystack}; check the path.")
        load_haystack(haystack)
    documents = document_source(config)
    for variant in variants(config):
        if decoyed(config, variant) and not hasattr(documents, "decoys"):
            raise StudyError(
                f"prompts.variants.{variant}.decoy: documents of source {config['documents']['source']} have no "
                "decoys; take the key out, or take documents of the generator."
            )
    documents.check(config, packages)
    for file in (*haystack_files(haystack), *documents.files(config)):
        if (meaning := path_means_more(file)) is not None:
            raise StudyError(f"{file}: its name {meaning}; rename it.")
    grids = {}
    for name, model in config["models"].items():
        source = model["source"]
        if packages or "package" not in source:
            source_module(source).check(source, f"models.{name}")
        require_quantizer(f"models.{name}", model.get("quantization"), config["compute"]["device"], packages)
        # The content of a local folder is not asked for here, as it does not decide where the folder is.
        content = None if "path" in source else model_content(source, results, packages)
        folder = model_folder(name, source, content, results)
        if (grid := _check_model(config, name, folder)) is not None:
            grids[name] = grid
        if packages and (folder / "config.json").is_file():
            require_trusted(folder, f"models.{name}", model["trust_remote_code"])
            require_readable(folder, model.get("quantization"))
    _check_imports(config, grids)


def _require_room(folder: Path) -> None:
    """Refuse a folder in which nothing can be written, by what is wrong with it or the first folder above it.

    Snakemake too writes there, and would end with a traceback.
    """
    # Not Path.exists, which ends with an error behind a folder that may not be looked into.
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110
    reason = None
    if not existing.is_dir():
        reason = errno.ENOTDIR
    elif not os.access(existing, os.W_OK | os.X_OK):
        reason = errno.EROFS if os.statvfs(existing).f_flag & os.ST_RDONLY else errno.EACCES
    elif shutil.disk_usage(existing).free < _LEAST_ROOM:
        reason = errno.ENOSPC
    if reason is not None:
        raise StudyError(disk_trouble(OSError(reason, "", str(existing))))


def _require_memory() -> None:
    """Refuse a limit of a process's memory in which the libraries of models cannot even be loaded."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_MEMORY:
        raise StudyError(
            f"ulimit -v: it gives each process {limit // 2**20} MB of memory, and what asks a model needs "
            f"{_LEAST_MEMORY // 2**20} MB before it loads one; raise it by ulimit -v unlimited."
        )


def check_file(file: str | Path) -> None:
    """Check a file of a config, and its surroundings, as a run of the workflow does before any work.

    Raises
    ------
    StudyError
        with what is wrong first.
    """
    config = reading.read_config(file)
    require_one_file([file])
    check_surroundings(complete(config))


def _check_model(config: dict, name: str, folder: Path) -> tuple[int, int] | None:
    """Hold a study against the shape of a model, where a folder tells it already: layers, and heads in each."""
    if not (file := folder / "config.json").is_file():
        if file.is_symlink():
            raise StudyError(f"{folder}: what its links lead to is gone; delete this folder, so that it is made anew.")
        return None
    shape = read_config(folder)
    limit = shape.get("max_position_embeddings")
    for length in config["prompts"]["context_lengths"]:
        if limit is not None and length > limit:
            raise StudyError(
                f"prompts.context_lengths: {length} is beyond the {limit} tokens of {name}; give shorter ones."
            )
    if (grid := described_grid(folder)) is None:
        return None
    layers, heads = grid
    require_planted(name, config["models"][name].get("planted") or (), layers, heads)
    for key in ("top_k", "consensus_k", "specialist_k"):
        given_or_share(layers * heads, 0, config["analysis"][key], key)
    for one, intervention in interventions(config).items():
        for level in intervention["levels"]:
            if level > heads * layers:
                raise StudyError(
                    f"{key_path(config, one, 'levels')}: {level} is more than the {heads * layers} heads of {name}; "
                    "give smaller levels."
                )
            if 2 * level > heads * layers and any(intervention["random_draws"].values()):
                raise StudyError(
                    f"{key_path(config, one, 'levels')}: {level} of the {heads * layers} heads of {name} leave too few "
                    f"others to draw as many from; give levels of at most {heads * layers // 2}, or set "
                    f"{key_path(config, one, 'random_draws')} to 0."
                )
    return layers, heads


def _check_imports(config: dict, grids: dict[str, tuple[int, int]]) -> None:
    """Read the imported lists, and hold them against the models whose layers and heads are known already."""
    if config["imports"]:
        # Imported here, as it imports pandas, which no other study needs outside its jobs.
        from retrieval_heads.exchange import external_lists

        for entry in config["imports"].values():
            heads, model = external_lists.read_list(entry["file"]), entry["model"]
            if model in grids:
                external_lists.require_within(entry["file"], heads, model, grids[model])

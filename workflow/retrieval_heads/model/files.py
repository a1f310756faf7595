"""A model's files: what can be told of them without loading the model, and what is said where they cannot be loaded.

Loaders raise errors of any kind at what they did not expect in a file. What they say becomes one sentence here.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from retrieval_heads.errors import StudyError, machine_trouble
from retrieval_heads.reading import read_json

_AGAIN = "get the model again, or choose another"
_SIZES = ("max_position_embeddings", "vocab_size", "num_hidden_layers", "n_layer", "num_attention_heads", "n_head")
"""What a model's config counts, as far as a study is held against it."""


def read_config(folder: str | Path) -> dict[str, Any]:
    """What a model's ``config.json`` says; of its part that reads text, where it has several.

    Raises
    ------
    StudyError
        when it is no JSON object, or a size is not a whole number from 1.
    """
    file = Path(folder, "config.json")
    config = read_json(file, _AGAIN)
    text = config.get("text_config") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(text, dict | None):
        raise StudyError(f"{file}: describes no model; {_AGAIN}.")
    config |= text or {}
    for key in _SIZES:
        if (value := config.get(key)) is not None and (type(value) is not int or value < 1):
            raise StudyError(f"{file}: {key} is {value!r:.40} and should be a whole number from 1; {_AGAIN}.")
    return config


def read_header(file: Path) -> dict[str, dict]:
    """What a safetensors file says of its tensors, by their names.

    Raises
    ------
    StudyError
        when it is no such file, or not a whole one.
    """
    try:
        return header_of(file)
    except ValueError as error:
        raise StudyError(f"{file}: is no whole safetensors file; {_AGAIN}.") from error


def header_of(file: Path) -> dict[str, dict]:
    """The same.

    Raises
    ------
    ValueError
        with what is wrong, when the file is no whole one.
    """
    try:
        return _header(file)
    except (TypeError, AttributeError, LookupError, RecursionError) as error:
        raise ValueError("its header is that of another file") from error


def _header(file: Path) -> dict[str, dict]:
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > size - 8:
            # What is no such file may seem to have a header of any length.
            raise ValueError("its header is longer than the file")
        header: dict[str, dict] = json.loads(opened.read(length))
    header.pop("__metadata__", None)
    end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    if 8 + length + end != size or not all(isinstance(tensor["dtype"], str) for tensor in header.values()):
        raise ValueError("its header is that of another file")
    return header


def require_whole(folder: str | Path) -> None:
    """Refuse a folder whose safetensors are not whole, or are not those that its index names.

    Raises
    ------
    StudyError
        with the file.
    """
    config, tensors = read_config(folder), 0
    for file in sorted(Path(folder).glob("*.safetensors")):
        tensors += len(read_header(file))
    # transformers makes room for all layers before it looks for their weights.
    layers = config.get("num_hidden_layers") or config.get("n_layer") or 0
    if layers > tensors:
        raise StudyError(
            f"{folder}: the checkpoint lacks most of the {layers} layers of its config.json, as it has {tensors} "
            f"tensors; {_AGAIN}."
        )
    for file in sorted(Path(folder).glob("*.safetensors.index.json")):
        index = read_json(file, _AGAIN)
        shards = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
            raise StudyError(f"{file}: does not say which file each tensor is in; {_AGAIN}.")
        for name in sorted(set(shards.values())):
            if Path(name).name != name or not Path(folder, name).is_file():
                raise StudyError(f"{file}: names {name!r:.80}, which is no file of its folder; {_AGAIN}.")


@contextmanager
def in_one_sentence(what: str) -> Iterator[None]:
    """Say in one sentence why a loader fails inside.

    Parameters
    ----------
    what : its beginning, such as "FOLDER: transformers cannot read this model".
    """
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        if machine_trouble(error) is not None:
            raise
        # Before a colon at the end of a line, what follows says more.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = " ".join(lines[:2] if lines[0].endswith(":") else lines[:1]).rstrip(".:")
        raise StudyError(f"{what} ({type(error).__name__}: {reason:.160}); {_AGAIN}.") from error

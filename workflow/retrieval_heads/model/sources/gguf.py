"""A local GGUF file: ``{gguf: path/to/model.gguf}``."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from retrieval_heads.errors import StudyError

KEYS = {"gguf": {"type": "string", "format": "path", "description": "A local GGUF file."}}


def check(source: dict, key: str) -> None:
    """Refuse what is not there or is no GGUF file."""
    file = Path(source["gguf"])
    if not file.is_file():
        raise StudyError(f"{key}.source.gguf: there is no file {file}; check the path.")
    with file.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise StudyError(f"{key}.source.gguf: {file} is no GGUF file; give one, or a folder as source.path.")


def files(source: dict) -> list[Path]:
    """The file itself."""
    return [Path(source["gguf"])]


def prepare(source: dict, folder: Path) -> None:
    """De-quantise the file."""
    check(source, "models")
    dequantize(Path(source["gguf"]), folder)


def dequantize(file: Path, folder: Path) -> None:
    """Fill a folder with a GGUF file's model, as float32 safetensors, and the tokenizer that it holds.

    In float32, for what a quantised weight stands for has more digits than bfloat16 holds.
    """
    # Imported here, for a check at the start of the workflow should take no time.
    from tempfile import TemporaryDirectory

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from retrieval_heads.model.files import in_one_sentence
    from retrieval_heads.model.guards import read_weights, require_finite_weights

    # In a folder of its own, for transformers would also read a tokenizer or settings that lie beside the file.
    with in_one_sentence(f"{file}: cannot be read as a GGUF file"), _parsed_once(), TemporaryDirectory() as alone:
        Path(alone, "model.gguf").symlink_to(file.resolve())
        _require_plain_positions(file, str(Path(alone, "model.gguf")))
        loaded = read_weights(alone, file, gguf_file="model.gguf", dtype=torch.float32)
        require_finite_weights(loaded, file)
        tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file="model.gguf")
    # A model from GGUF refuses to be saved, so its weights move into a plain one of the same shape.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):  # which spares it random weights of its own
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = loaded.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def _parsed_once() -> Iterator[None]:
    """Have transformers parse a file once, and name its tensors once.

    It does so for config, weights and tokenizer each, and for every module, which takes more than twice the time; and
    there is no way to hand it a file that is parsed. So the two functions that it imports remember what they made.
    """
    # Imported here, for a check at the start of the workflow should take no time.
    import gguf

    functions: dict[str, Any] = {name: getattr(gguf, name) for name in ("GGUFReader", "get_tensor_name_map")}
    try:
        for name, function in functions.items():
            setattr(gguf, name, cache(function))
        yield
    finally:
        for name, function in functions.items():
            setattr(gguf, name, function)


def _require_plain_positions(file: Path, path: str) -> None:
    """Refuse a rotary embedding that is scaled, which transformers reads from GGUF files of gpt-oss alone."""
    # Imported here, for a check at the start of the workflow should take no time.
    import gguf

    reader = gguf.GGUFReader(path)
    scaled = [tensor.name for tensor in reader.tensors if tensor.name.startswith(("rope_freqs", "rope_factors"))]
    scaled += [
        name
        for name, field in reader.fields.items()
        if name.endswith(".rope.scaling.type") and not name.startswith("gpt-oss.") and field.contents() != "none"
    ]
    if scaled:
        raise StudyError(
            f"{file}: its rotary embedding is scaled ({scaled[0]}), which transformers does not read from GGUF files; "
            "take the model from the hub, or as a folder of safetensors."
        )

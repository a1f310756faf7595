"""What a config asks of loading a model beside its source, checked before any weights are read."""

import json
from importlib.util import find_spec
from pathlib import Path

from retrieval_heads.errors import StudyError


def require_trusted(folder: str | Path, key: str, trusted: bool) -> None:
    """Refuse a model that only runs by code of its own, unless that was asked for.

    Parameters
    ----------
    folder : the model's, with its ``config.json``.
    key : of the model in the config, for the message.
    trusted : the model's ``trust_remote_code``.
    """
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    if trusted or "auto_map" not in config:
        return
    # Imported here, for few models get this far, and a check at the start of the workflow should take no time.
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if (architecture := config.get("model_type")) not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise StudyError(
            f"{key}: transformers does not know the architecture {architecture}, which brings code of its own; "
            f"read that code and set {key}.trust_remote_code to true, or choose another model."
        )


def require_quantizer(key: str, quantization: str | None, device: str, package: bool = True) -> None:
    """Refuse to quantise weights where that cannot be done.

    Parameters
    ----------
    key : of the model in the config, for the message.
    quantization : ``8bit``, ``4bit`` or None.
    device : ``auto``, or a torch device.
    package : whether bitsandbytes must be in this environment.
    """
    if quantization is None:
        return
    if not device.startswith(("auto", "cuda")):
        raise StudyError(
            f"{key}.quantization: {quantization} needs a GPU with CUDA, and the device is {device}; take this key out."
        )
    if package and find_spec("bitsandbytes") is None:
        raise StudyError(
            f"{key}.quantization: {quantization} needs bitsandbytes; install it with pip install bitsandbytes."
        )

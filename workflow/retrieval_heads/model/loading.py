"""Models: from where the config says they are to a local folder, and from there into memory.

Each kind of source is a file in ``model_sources/``, named after the key that tells it in a config, with two functions:
``prepare(source, folder)`` fills an empty folder with config, safetensors and tokenizer; ``check(source, key)`` finds
out before any work whether that can succeed.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers  # as a whole: it imports what models need, for seconds, when that is first used
from transformers.utils import logging as transformers_logging

from retrieval_heads import making, tables
from retrieval_heads.atomic_write import atomic_folder
from retrieval_heads.errors import StudyError
from retrieval_heads.job import log
from retrieval_heads.model.files import in_one_sentence
from retrieval_heads.model.guards import read_weights, require_finite_weights, require_quantizer
from retrieval_heads.model.identity import resolved_commit
from retrieval_heads.model.sources import source_module
from retrieval_heads.versions import library_versions

# Bars of seconds would hide the workflow's own progress.
transformers_logging.disable_progress_bar()


def prepare_model(source: dict, target: str | Path) -> None:
    """Make a local folder with the model and its tokenizer, whole or not at all."""
    with atomic_folder(target) as folder:
        source_module(source).prepare(source, folder)


def load_tokenizer(path: str | Path, trust_remote_code: bool = False) -> "transformers.PreTrainedTokenizerBase":
    """The tokenizer of a prepared model.

    Raises
    ------
    StudyError
        when its files are missing or cannot be read.
    """
    making.model_runs(**_known_of(path))
    with in_one_sentence(f"{path}: transformers cannot read this tokenizer"):
        return transformers.AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)


def load_model(
    path: str | Path,
    dtype: str = "auto",
    device: str = "auto",
    quantization: str | None = None,
    trust_remote_code: bool = False,
) -> "transformers.PreTrainedModel":
    """A prepared model, ready for inference.

    Parameters
    ----------
    dtype : ``float32``, ``bfloat16``, ``float16`` or ``auto`` (:func:`choose_dtype`).
    device : ``auto``, the best there is of cuda, mps and cpu, or any torch device.
    quantization : ``8bit`` or ``4bit``, by bitsandbytes, or None.
    trust_remote_code : whether code that comes with the model may run.

    Raises
    ------
    StudyError
        when the device or the quantisation cannot be had, or the weights are not those of the model, NaN or infinite.
    """
    chosen = choose_device(device)  # before weights are read
    require_quantizer("models.*", quantization, chosen.type)
    wanted: dict[str, Any] = {"dtype": choose_dtype(dtype, chosen), "trust_remote_code": trust_remote_code}
    if quantization is None:
        model = read_weights(path, **wanted).to(chosen)
    else:
        bits = (
            {"load_in_8bit": True}
            if quantization == "8bit"
            else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": wanted["dtype"]}
        )
        # Quantised weights cannot be moved, so they are put in their place as they are read.
        model = read_weights(
            path, **wanted, quantization_config=transformers.BitsAndBytesConfig(**bits), device_map={"": chosen}
        )
    require_finite_weights(model, path)
    run = {
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "threads": str(torch.get_num_threads()),
        "quantization": quantization or "none",
    }
    log.info("the model runs in %(dtype)s on %(device)s", run)
    making.model_runs(**run, **_known_of(path))
    tables.made_with_here()  # refuses what does not go together before the model is asked anything
    return model.eval()


def choose_device(device: str) -> torch.device:
    """The torch device that a config's ``compute.device`` means."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise StudyError(f"compute.device: {device} is asked for, but torch sees no GPU; set it to auto or cpu.")
    try:
        return torch.device(device)
    except RuntimeError:
        raise StudyError(f"compute.device: torch knows no device {device!r}; set it to auto or cpu.") from None


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The torch dtype that a config's ``models.*.dtype`` means on a device.

    ``auto`` is float32 wherever that is how a processor calculates, so that everyone gets the same numbers; and
    bfloat16 on a GPU that calculates in it natively. It is never float16, whose range some models leave.
    """
    if dtype != "auto":
        return getattr(torch, dtype)
    if device.type != "cuda":
        return torch.float32
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32


def _known_of(path: str | Path) -> dict[str, str | None]:
    """What tables tell of a prepared model, and of the libraries that load it."""
    return {"commit": resolved_commit(path), **library_versions()}


def require_vocabulary(model: str, vocabulary: int | None, ids: Iterable[Sequence[int]]) -> None:
    """Refuse a tokenizer that belongs to another model: it gives tokens that this one has not.

    Parameters
    ----------
    vocabulary : how many tokens the model has; None where its config does not tell.
    ids : the tokens of some texts.
    """
    highest = max((max(text, default=0) for text in ids), default=0)
    if vocabulary is not None and highest >= vocabulary:
        raise StudyError(
            f"models.{model}: its tokenizer gives token {highest}, and the model has {vocabulary} tokens, up to "
            f"{vocabulary - 1}; give it the tokenizer that belongs to it."
        )


def require_context(path: str | Path, model: str, context_length: int, trust_remote_code: bool = False) -> None:
    """Refuse a prepared model that does not continue text, and a context length that it was not made for."""
    with in_one_sentence(f"{path}: transformers cannot read the config of this model"):
        config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    known = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    if not known and "AutoModelForCausalLM" not in (getattr(config, "auto_map", None) or {}):
        raise StudyError(
            f"models.{model}: transformers has no decoder of architecture {config.model_type} that continues text; "
            "choose another model."
        )
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and context_length > limit:
        raise StudyError(
            f"prompts.context_lengths: {context_length} is beyond the {limit} tokens of {model}; give shorter ones."
        )

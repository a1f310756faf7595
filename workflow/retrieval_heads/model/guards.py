"""What loading a model asks of its config, before any weights are read, and of its weights: that all are there, and
finite.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from traceback import walk_tb
from typing import Any

from retrieval_heads.errors import StudyError
from retrieval_heads.model.files import in_one_sentence, read_config, read_header


def require_trusted(folder: str | Path, key: str, trusted: bool) -> None:
    """Refuse a model that only runs by code of its own, unless that was asked for.

    Parameters
    ----------
    folder : the model's, with its ``config.json``.
    key : of the model in the config, for the message.
    trusted : the model's ``trust_remote_code``.
    """
    config = read_config(folder)
    if trusted or "auto_map" not in config:
        return
    # Imported here, for few models get this far, and a check at the start of the workflow should take no time.
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if (architecture := config.get("model_type")) not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise StudyError(
            f"{key}: transformers does not know the architecture {architecture}, which brings code of its own; "
            f"read that code and set {key}.trust_remote_code to true, or choose another model."
        )


_READABLE = ("bitsandbytes", "fp8", "mxfp4")
"""Ways of quantising a checkpoint in which transformers reads it with nothing but what is installed for this."""


def quantised_by(folder: str | Path) -> str | None:
    """In which way the weights of a checkpoint are quantised, as its config calls it; None if they are not."""
    told = read_config(folder).get("quantization_config")
    if told is None:
        return None
    way = told.get("quant_method") if isinstance(told, dict) else None
    return way if isinstance(way, str) and way else "a way that is not told"


def require_readable(folder: str | Path, quantization: str | None) -> None:
    """Refuse a checkpoint that is quantised in a way that cannot be read, or would be once more, before it is read.

    transformers leaves out a way that it does not know, and then runs what lies there as it is.

    Parameters
    ----------
    folder : the model's, with its ``config.json``.
    quantization : ``8bit``, ``4bit`` or None, as its config has it.
    """
    if (way := quantised_by(folder)) is None:
        return
    if way not in _READABLE:
        raise StudyError(
            f"{folder}: its weights are quantised by {way:.40}, which is not read; give the checkpoint that they were "
            "made from, with models.*.quantization if it is too large."
        )
    if quantization is not None:
        raise StudyError(f"{folder}: its weights are quantised by {way} already; take models.*.quantization out.")


def described_grid(folder: str | Path) -> tuple[int, int] | None:
    """Layers of a model, and heads in each, where its config has them under one of the usual names."""
    config = read_config(folder)
    layers, heads = (
        next((config[name] for name in names if config.get(name)), None)
        for names in (("num_hidden_layers", "n_layer"), ("num_attention_heads", "n_head"))
    )
    return None if layers is None or heads is None else (layers, heads)


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


def read_weights(path: str | Path, name: str | Path | None = None, **wanted) -> Any:
    """A model of transformers with all its weights from a checkpoint, and none of them made up.

    transformers fills in what a checkpoint lacks, or has in another shape, by random numbers, and warns at most. What
    it takes from elsewhere, such as an output projection tied to the embedding, is not lacking.

    Parameters
    ----------
    path : the folder of the checkpoint.
    name : what to call it in a message; default the path.
    wanted : more arguments of ``from_pretrained``.

    Raises
    ------
    StudyError
        when the files cannot be read, or tensors are lacking or have other shapes; it names the first few.
    """
    # Imported here, for a check at the start of the workflow should take no time.
    from transformers import AutoModelForCausalLM

    called = path if name is None else name
    try:
        # Told to go on at other shapes, it says which; else it would stop without.
        with in_one_sentence(f"{called}: transformers cannot read this model"):
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                path, output_loading_info=True, ignore_mismatched_sizes=True, **wanted
            )
    except StudyError as error:
        # Experts are read one by one and joined: where one is lacking, transformers stops and names them in its log.
        cause = error.__cause__
        unjoined = [frame.f_locals.get("loading_info") for frame, _ in walk_tb(cause.__traceback__ if cause else None)]
        if tensors := sorted({key for info in unjoined for key in getattr(info, "conversion_errors", ())}):
            raise _not_whole(called, "lacks parts of", tensors) from cause
        raise
    model, report = loaded
    if lacking := sorted(report["missing_keys"]):
        raise _not_whole(called, "lacks", lacking)
    # Whole layers beyond those of the config would be left out; a stray bias or buffer changes no result.
    layers = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    further = re.compile(r"\.(?:layers|h|blocks)\.(\d+)\.")
    numbers = [(key, further.search(key)) for key in sorted(report.get("unexpected_keys", ()))]
    if layers and (beyond := [key for key, found in numbers if found and int(found[1]) >= layers]):
        raise StudyError(
            f"{called}: the checkpoint has {', '.join(beyond[:_NAMED])} beyond the {layers} layers of its config.json, "
            "and would run without them; correct num_hidden_layers, or get the model again."
        )
    if other := sorted(report["mismatched_keys"]):
        shapes = [f"{key} ({_shape(found)} instead of {_shape(expected)})" for key, found, expected in other]
        raise _not_whole(called, "has in other shapes than its config says:", shapes)
    return model


def require_finite_weights(model: Any, called: str | Path) -> None:
    """Refuse a model of whose weights one is NaN or infinite, or is out of the range of the precision they are held in.

    Weights are read once for that; quantised ones, which are whole numbers, are not.

    Parameters
    ----------
    model : of transformers.
    called : what to call it in a message.

    Raises
    ------
    StudyError
        which names the first few such tensors.
    """
    weights = [*model.named_parameters(), *model.named_buffers()]
    known = model.state_dict().keys()  # other buffers are computed, and may hold an infinity as a mask does
    wrong = [
        name
        for name, values in weights
        if name in known and values.is_floating_point() and values.itemsize > 1 and not all_finite(values)
    ]
    if not wrong:
        return
    named = ", ".join(wrong[:_NAMED]) + (f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
    if str(model.dtype) == "torch.float16":
        raise StudyError(
            f"{called}: {named} cannot be held in float16, which ends at 65504; set models.*.dtype to bfloat16 or "
            "float32, and if the same is said of these, get the model again."
        )
    raise StudyError(f"{called}: {named} has NaN or infinity in it; get the model again, or choose another.")


def all_finite(*tensors: Any) -> bool:
    """Whether no number of some tensors is NaN or infinite, asked of their device once.

    A tensor's least and largest number tell: a NaN is both. On a CPU that takes a tenth of the time of asking each
    number.
    """
    # Not with the module: what only checks a config would wait for it.
    import torch

    told: list[Any] = []
    for values in tensors:
        if values.device.type == "mps":  # where a NaN may get lost
            told.append(values.isfinite().all())
        elif values.numel():
            told += [one.isfinite() for one in values.aminmax()]
    return not told or bool(torch.stack([one.to(told[0].device) for one in told]).all())


def _not_whole(called: str | Path, what: str, tensors: list[str]) -> StudyError:
    """That a checkpoint is not the model's, with the first few tensors."""
    more = f" and {len(tensors) - _NAMED} more" if len(tensors) > _NAMED else ""
    return StudyError(
        f"{called}: the checkpoint {what} {', '.join(tensors[:_NAMED])}{more}, so that the model would run with random "
        "weights in their place; get the model again, or choose another."
    )


def loaded_bytes(folder: str | Path, dtype: str, quantization: str | None) -> int:
    """The most that a prepared model's weights take once they are loaded.

    Safetensors may hold them in another dtype than they are loaded in, such as bfloat16 that runs in float32. Where
    the device decides (``auto``), float32 counts. Quantised weights are read as they lie.

    Parameters
    ----------
    folder : the model's.
    dtype, quantization : as in a config.
    """
    files = list(Path(folder).iterdir())
    size = sum(file.stat().st_size for file in files)
    weights = next((file for file in sorted(files) if file.suffix == ".safetensors"), None)
    if weights is None or quantization is not None:
        return size
    kinds = {tensor["dtype"] for tensor in read_header(weights).values()}
    bits = [int(found[0]) for kind in kinds if (found := re.search(r"\d+", kind))]
    return size * (16 if dtype in ("bfloat16", "float16") else 32) // max(bits, default=32)


_NAMED = 3
"""How many tensors a message names."""


def _shape(size: tuple[int, ...]) -> str:
    return " × ".join(map(str, size)) or "one number"

"""A trial before any work: on a short prompt, a model is held against itself as transformers runs it.

What tests show for some architectures, this shows for the one at hand, whatever it is: a model that would be measured
wrongly is refused by name. It takes three passes over a few dozen tokens and the memory of one, so that the weights are
read three times: one second for SmolLM2-135M on a CPU.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from retrieval_heads.attention import AttentionCall, hooked
from retrieval_heads.errors import StudyError
from retrieval_heads.inference import Batch, head_grid, prefill
from retrieval_heads.runtime import is_out_of_memory

_CONTEXT, _SUFFIX = 16, 8
_ROWS = 1e-4
"""Largest difference of attention weights: both sides are computed in float32, from the same queries and keys."""
_LOGITS = {torch.float32: 1e-3}
_ROUNDED_LOGITS = 0.5
"""Largest distance of logits, as a share of their spread: bfloat16 alone makes up to 0.1 in 30 layers, and a pass that
has nothing to do with the other more than 1."""


@torch.inference_mode()
def require_measurable(model: PreTrainedModel) -> None:
    """Refuse a model that this package would not measure exactly.

    Raises
    ------
    StudyError
        when a layer has no attention of its own, or its rows or its keys are not what they are taken for, or when a
        context that is run once gives other logits than the prompt as a whole; each with the architecture's name.
    """
    name = type(model).__name__
    try:
        _try(model, name)
    except StudyError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
        raise StudyError(
            f"{name}: this architecture cannot be run layer by layer ({reason}); choose another model."
        ) from error


def _try(model: PreTrainedModel, name: str) -> None:
    layers, heads = head_grid(model)
    generator = torch.Generator().manual_seed(0)
    embeddings: Any = model.get_input_embeddings()  # of whatever class, it has a weight
    vocabulary = embeddings.weight.shape[0]
    ids = torch.randint(vocabulary, (1, _CONTEXT + _SUFFIX), generator=generator).to(model.device)
    plain = model(input_ids=ids, use_cache=False).logits.float()

    seen: list[int] = []
    shapes: list[tuple] = []

    def compare(call: AttentionCall, expected: Tensor) -> None:
        seen.append(call.layer)
        shapes.append((call.key.shape, call.value.shape))
        rows = call.rows()
        if rows.shape != (1, heads, ids.shape[1], ids.shape[1]):
            raise StudyError(f"{name}: layer {call.layer} does not have {heads} heads; choose another model.")
        if not (rows - expected).abs().max() <= _ROWS:
            raise StudyError(
                f"{name}: the attention of layer {call.layer} is not softmax(q·k) as it is measured here; "
                "choose another model."
            )

    with hooked(model, compare=compare) as hook:
        hook.positions = torch.arange(ids.shape[1], device=ids.device)[None]
        model(input_ids=ids, position_ids=hook.positions, use_cache=False)
    if seen != list(range(layers)):
        raise StudyError(
            f"{name}: its {layers} layers have {len(seen)} attentions in all, where each must have one of its own; "
            "choose another model."
        )

    prefix = prefill(model, ids[:, :_CONTEXT].tolist())
    for layer, (held, met) in enumerate(zip(zip(prefix.keys, prefix.values, strict=True), shapes, strict=True)):
        if any(one is None for one in held):
            raise StudyError(f"{name}: layer {layer} shares the keys and values of another; choose another model.")
        if any(_per_token(one.shape) != _per_token(other) for one, other in zip(held, met, strict=True)):
            raise StudyError(
                f"{name}: layer {layer} keeps other keys and values than its heads meet; choose another model."
            )
    batch = Batch(model, prefix, 1, _SUFFIX + 1)
    with hooked(model, shared=prefix.shared, before=prefix.shared_throughout) as hook:
        logits = batch.forward(hook, ids[:, _CONTEXT:], torch.ones(1, _SUFFIX, dtype=torch.bool), last=_SUFFIX)
    expected = plain[:, _CONTEXT:]
    distance = (logits - expected).norm() / (expected - expected.mean(-1, keepdim=True)).norm()
    if not distance <= _LOGITS.get(model.dtype, _ROUNDED_LOGITS):
        raise StudyError(
            f"{name}: a context that is run once gives other logits ({distance:.2g} of their spread) than a whole "
            "prompt; choose another model."
        )


def _per_token(shape: torch.Size) -> tuple[int, int]:
    """Heads and head size of keys or values (B, H_kv, T, D)."""
    return shape[1], shape[3]

"""A check before any work: on a short prompt, a model run by this engine is compared with itself run by transformers.

What the tests show for some architectures, this shows for the one at hand: a model that would be measured wrongly is
refused by name. It takes six passes over a few dozen tokens and the memory of one: a second or two for SmolLM2-135M on
a CPU.

A few dozen tokens say nothing of what begins later: windows, chunks, scales that grow with the position, rotary factors
that switch. Where a study's prompts reach so far, the check is made again with these thresholds moved into its short
prompt, so that the same code runs on the other side of them. A model that brings code of its own is checked at the
longest length itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from retrieval_heads.engine.architecture import (
    head_grid,
    length_switches,
    random_ids,
    require_positions,
    require_same_rotation,
)
from retrieval_heads.engine.attention import AttentionCall, hooked
from retrieval_heads.engine.batch import Batch
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.engine.finite import locating, naming, require_finite
from retrieval_heads.engine.prefill import prefill
from retrieval_heads.errors import StudyError, is_out_of_memory

_CONTEXT, _SUFFIXES = 16, (8, 5)
"""Tokens of a context, and of the suffixes of two rows, of different length so that they end at other positions."""
_LONGEST = _CONTEXT + max(_SUFFIXES) + 1
"""Tokens of the longer row, with one more that is read as if it had been decoded."""
_MOVED = 6
"""Where thresholds are moved to: well within the context, so that all rotary factors are those beyond it."""
_THRESHOLDS = (
    *("sliding_window", "attention_chunk_size", "window_size"),
    *("original_max_position_embeddings", "floor_scale", "log_scaling_n_floor"),
)
"""Names, in a config or a module, of a number of tokens from which on something changes."""
_MAX_ROW_DIFFERENCE = 1e-4
"""Of attention weights, which are computed in float32 on both sides, from the same queries and keys."""
_MAX_LOGIT_DISTANCE = {torch.float32: 1e-3}
_MAX_LOGIT_DISTANCE_ROUNDED = 0.5
"""Distance of logits as a share of their spread, in float32 and in other precisions. Rounding to bfloat16 alone makes
up to 0.1 in 30 layers; two unrelated passes are more than 1 apart."""


@torch.inference_mode()
def require_measurable(model: PreTrainedModel, shortest: int | None = None, longest: int | None = None) -> None:
    """Refuse a model that this package would not measure exactly.

    Parameters
    ----------
    shortest, longest : tokens of the shortest context that will be run, and of the longest prompt with its answer;
        without them, any length may come.

    Raises
    ------
    StudyError
        when a layer has no attention of its own, or its rows or its keys are not what they are taken for, when a
        context that is run once gives other logits than the prompt as a whole, when such lengths lie on both sides of a
        change of the rotary embedding, or beyond learned positions; each with the architecture's name.
    """
    name = type(model).__name__
    if longest is not None:
        require_positions(model, longest)
    if shortest is not None and longest is not None:
        require_same_rotation(model, shortest, longest)
    thresholds = {(what, value) for _, what, value in _thresholds(model)}
    far = sorted((what, value) for what, value in thresholds if longest is None or value < longest)
    # Where a rotary embedding switches within this short prompt, any real prompt lies beyond, and so must the check.
    switches = any(length < _LONGEST for length in length_switches(model))

    def check() -> None:
        if not switches:
            _check(model, name)
        if switches or any(value >= _LONGEST for _, value in far):
            with _moved(model):
                _check(model, f"{name} beyond its {' and '.join(f'{what} of {value}' for what, value in far)}")
        # How a model with code of its own names its thresholds is not known.
        own_code = not type(model).__module__.startswith("transformers.")
        if own_code and longest is not None and longest > 2 * _LONGEST:
            _check_at(model, f"{name} at {longest} tokens", longest - _LONGEST + _CONTEXT)

    try:
        with naming([f"{name}, tried on random tokens"] * len(_SUFFIXES)):
            locating(model, check)
    except StudyError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
        raise StudyError(
            f"{name}: this architecture cannot be run layer by layer ({reason}); choose another model."
        ) from error


def _thresholds(model: PreTrainedModel) -> Iterator[tuple[dict[str, Any], str, int]]:
    """The numbers of tokens from which on something changes: what holds each, under which name, and the number."""
    holders: dict[int, dict[str, Any]] = {}

    def hold(values: dict[str, Any]) -> None:
        if id(values) in holders:
            return
        holders[id(values)] = values
        for value in values.values():
            if isinstance(value, PreTrainedConfig):
                hold(vars(value))
            elif isinstance(value, dict) and all(isinstance(key, str) for key in value):
                hold(value)

    hold(vars(model.config))
    for module in model.modules():
        holders[id(vars(module))] = vars(module)
        if isinstance(config := getattr(module, "config", None), PreTrainedConfig):
            hold(vars(config))
    for values in holders.values():
        for name in _THRESHOLDS:
            if type(value := values.get(name)) is int:
                yield values, name, value


@contextmanager
def _moved(model: PreTrainedModel) -> Iterator[None]:
    """Move a model's thresholds into the short prompt as long as the context is open."""
    before = [(values, name, value) for values, name, value in _thresholds(model) if value > _MOVED]
    for values, name, _ in before:
        values[name] = _MOVED
    try:
        yield
    finally:
        for values, name, value in before:
            values[name] = value


def _check(model: PreTrainedModel, name: str) -> None:
    """Compare rows with eager attention, and what continues a context with whole prompts; refuse what differs."""
    layers, heads = head_grid(model)
    prompts = _prompts(model, _CONTEXT)
    plain = [_logits(model, prompt) for prompt in prompts]
    ids = prompts[0].to(model.device)[None]
    seen: list[int] = []
    shapes: list[tuple] = []

    def compare(call: AttentionCall, expected: Tensor) -> None:
        seen.append(call.layer)
        shapes.append((call.key.shape, call.value.shape))
        rows = call.rows()
        if rows.shape != (1, heads, ids.shape[1], ids.shape[1]):
            raise StudyError(f"{name}: layer {call.layer} does not have {heads} heads; choose another model.")
        if not (rows - expected).abs().max() <= _MAX_ROW_DIFFERENCE:
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

    prefix = prefill(model, [prompts[0][:_CONTEXT].tolist()])
    for layer, (held, met) in enumerate(zip(zip(prefix.keys, prefix.values, strict=True), shapes, strict=True)):
        if any(one is None for one in held):
            raise StudyError(f"{name}: layer {layer} shares the keys and values of another; choose another model.")
        if any(_per_token(one.shape) != _per_token(other) for one, other in zip(held, met, strict=True)):
            raise StudyError(
                f"{name}: layer {layer} keeps other keys and values than its heads meet; choose another model."
            )
    _compare_logits(model, name, prompts, prefix, plain)


def _check_at(model: PreTrainedModel, name: str, context: int) -> None:
    """Compare what continues a context of so many tokens with whole prompts."""
    prompts = _prompts(model, context)
    plain = [_logits(model, prompt, last=len(prompt) - context) for prompt in prompts]
    _compare_logits(model, name, prompts, prefill(model, [prompts[0][:context].tolist()]), plain)


def _prompts(model: PreTrainedModel, context: int) -> list[Tensor]:
    """Token ids of one random context with each suffix, and one more that is read as if it had been decoded."""
    shared, *rest = random_ids(model, context, *(length + 1 for length in _SUFFIXES))
    return [torch.cat([shared, suffix]) for suffix in rest]


def _logits(model: PreTrainedModel, prompt: Tensor, last: int = 0) -> Tensor:
    """Logits of a prompt as transformers runs it, (T, V), or of its last tokens."""
    ids = prompt.to(model.device)[None]
    logits = model(input_ids=ids, use_cache=False, **({"logits_to_keep": last} if last else {})).logits.float()
    require_finite(logits, "the logits")  # which is no fault of the architecture
    return logits[0]


def _compare_logits(
    model: PreTrainedModel, name: str, prompts: list[Tensor], prefix: Prefix, plain: list[Tensor]
) -> None:
    """Refuse a model whose logits after a context that is run once are not those of whole prompts."""
    suffixes = [prompt[prefix.length :] for prompt in prompts]
    width = max(_SUFFIXES)
    real = torch.arange(width) >= torch.tensor([[width - length] for length in _SUFFIXES])
    padded = torch.zeros_like(real, dtype=torch.long)
    padded[real] = torch.cat([suffix[:-1] for suffix in suffixes])
    last = torch.stack([suffix[-1:] for suffix in suffixes])
    batch = Batch(model, prefix, len(_SUFFIXES), width + 2)
    with hooked(model, shared=prefix.shared, shared_tokens=prefix.tokens_shared_in_all_layers) as hook:
        read = batch.forward(hook, padded.to(model.device), real, last=width)
        decoded = batch.forward(hook, last.to(model.device), torch.ones_like(last, dtype=torch.bool), last=1)
    logits = torch.cat([read[real.to(read.device)], decoded[:, 0]])
    ends = [each[-len(suffix) :] for each, suffix in zip(plain, suffixes, strict=True)]
    expected = torch.cat([end[:-1] for end in ends] + [end[-1:] for end in ends])
    distance = (logits - expected).norm() / (expected - expected.mean(-1, keepdim=True)).norm()
    if not distance <= _MAX_LOGIT_DISTANCE.get(model.dtype, _MAX_LOGIT_DISTANCE_ROUNDED):
        raise StudyError(
            f"{name}: a context that is run once gives other logits ({distance:.2g} of their spread) than a whole "
            "prompt; choose another model."
        )


def _per_token(shape: torch.Size) -> tuple[int, int]:
    """Heads and head size of keys or values (B, H_kv, T, D)."""
    return shape[1], shape[3]

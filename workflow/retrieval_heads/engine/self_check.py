"""A trial before any work: on a short prompt, a model is held against itself as transformers runs it.

What tests show for some architectures, this shows for the one at hand, whatever it is: a model that would be measured
wrongly is refused by name. It takes six passes over a few dozen tokens and the memory of one: a second or two
for SmolLM2-135M on a CPU.

A few dozen tokens say nothing of what begins later: windows, chunks, scales that grow with the position, rotary factors
that switch. Where a study's prompts reach so far, the trial is made again with these thresholds moved into its short
prompt: the code that runs is the same, on the other side of them. A model that brings code of its own is tried at the
longest length itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from retrieval_heads.engine.attention import AttentionCall, hooked
from retrieval_heads.engine.inference import Batch, Prefix, head_grid, length_switches, prefill, require_one_side
from retrieval_heads.errors import StudyError
from retrieval_heads.job import is_out_of_memory

_CONTEXT, _SUFFIXES = 16, (8, 5)
"""Tokens of a context and of what two rows read after it: of different length, so that they end at other positions."""
_TRIED = _CONTEXT + max(_SUFFIXES) + 1
"""Tokens of the longer row, with one more that is read as if it had been decoded."""
_MOVED = 6
"""Where thresholds are moved to: well within the context, so that rotary factors are those of the far side for all."""
_THRESHOLDS = (
    *("sliding_window", "attention_chunk_size", "window_size"),
    *("original_max_position_embeddings", "floor_scale", "log_scaling_n_floor"),
)
"""What a config or a module calls a number of tokens from which on something is otherwise."""
_ROWS = 1e-4
"""Largest difference of attention weights: both sides are computed in float32, from the same queries and keys."""
_LOGITS = {torch.float32: 1e-3}
_ROUNDED_LOGITS = 0.5
"""Largest distance of logits, as a share of their spread: bfloat16 alone makes up to 0.1 in 30 layers, and a pass that
has nothing to do with the other more than 1."""


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
        context that is run once gives other logits than the prompt as a whole, or when such lengths lie on both sides
        of a change of the rotary embedding; each with the architecture's name.
    """
    name = type(model).__name__
    if shortest is not None and longest is not None:
        require_one_side(model, shortest, longest)
    thresholds = {(what, value) for _, what, value in _thresholds(model)}
    far = sorted((what, value) for what, value in thresholds if longest is None or value < longest)
    # Where a rotary embedding switches within the trial itself, any prompt lies on its far side, and so must the trial.
    switches = any(length < _TRIED for length in length_switches(model))
    try:
        if not switches:
            _try(model, name)
        if switches or any(value >= _TRIED for _, value in far):
            with _moved(model):
                _try(model, f"{name} beyond its {' and '.join(f'{what} of {value}' for what, value in far)}")
        # What code of its own calls its thresholds is not known.
        own_code = not type(model).__module__.startswith("transformers.")
        if own_code and longest is not None and longest > 2 * _TRIED:
            _try_at(model, f"{name} at {longest} tokens", longest - _TRIED + _CONTEXT)
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
    """Every number of tokens from which on something is otherwise: what holds it, under which name, and the number."""
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
    """A model whose thresholds lie within the trial, as long as the context is open."""
    before = [(values, name, value) for values, name, value in _thresholds(model) if value > _MOVED]
    for values, name, _ in before:
        values[name] = _MOVED
    try:
        yield
    finally:
        for values, name, value in before:
            values[name] = value


def _try(model: PreTrainedModel, name: str) -> None:
    """Hold rows against eager attention, and what continues a context against whole prompts; refuse what differs."""
    layers, heads = head_grid(model)
    prompts = _prompts(model, _CONTEXT)
    plain = [_plain(model, prompt) for prompt in prompts]
    ids = prompts[0].to(model.device)[None]
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

    prefix = prefill(model, [prompts[0][:_CONTEXT].tolist()])
    for layer, (held, met) in enumerate(zip(zip(prefix.keys, prefix.values, strict=True), shapes, strict=True)):
        if any(one is None for one in held):
            raise StudyError(f"{name}: layer {layer} shares the keys and values of another; choose another model.")
        if any(_per_token(one.shape) != _per_token(other) for one, other in zip(held, met, strict=True)):
            raise StudyError(
                f"{name}: layer {layer} keeps other keys and values than its heads meet; choose another model."
            )
    _hold(model, name, prompts, prefix, plain)


def _try_at(model: PreTrainedModel, name: str, context: int) -> None:
    """Hold what continues a context of so many tokens against whole prompts."""
    prompts = _prompts(model, context)
    plain = [_plain(model, prompt, last=len(prompt) - context) for prompt in prompts]
    _hold(model, name, prompts, prefill(model, [prompts[0][:context].tolist()]), plain)


def _prompts(model: PreTrainedModel, context: int) -> list[Tensor]:
    """Token ids of one random context with each suffix, and one more that is read as if it had been decoded."""
    embeddings: Any = model.get_input_embeddings()  # of whatever class, it has a weight
    vocabulary, generator = embeddings.weight.shape[0], torch.Generator().manual_seed(0)
    shared, *rest = (
        torch.randint(vocabulary, (count,), generator=generator)
        for count in (context, *(length + 1 for length in _SUFFIXES))
    )
    return [torch.cat([shared, suffix]) for suffix in rest]


def _plain(model: PreTrainedModel, prompt: Tensor, last: int = 0) -> Tensor:
    """Logits of a prompt as transformers runs it, (T, V), or of its last tokens."""
    ids = prompt.to(model.device)[None]
    return model(input_ids=ids, use_cache=False, **({"logits_to_keep": last} if last else {})).logits[0].float()


def _hold(model: PreTrainedModel, name: str, prompts: list[Tensor], prefix: Prefix, plain: list[Tensor]) -> None:
    """Refuse a model that says something else after a context that is run once than after whole prompts."""
    suffixes = [prompt[prefix.length :] for prompt in prompts]
    width = max(_SUFFIXES)
    real = torch.arange(width) >= torch.tensor([[width - length] for length in _SUFFIXES])
    padded = torch.zeros_like(real, dtype=torch.long)
    padded[real] = torch.cat([suffix[:-1] for suffix in suffixes])
    last = torch.stack([suffix[-1:] for suffix in suffixes])
    batch = Batch(model, prefix, len(_SUFFIXES), width + 2)
    with hooked(model, shared=prefix.shared, before=prefix.shared_throughout) as hook:
        read = batch.forward(hook, padded.to(model.device), real, last=width)
        decoded = batch.forward(hook, last.to(model.device), torch.ones_like(last, dtype=torch.bool), last=1)
    logits = torch.cat([read[real.to(read.device)], decoded[:, 0]])
    ends = [each[-len(suffix) :] for each, suffix in zip(plain, suffixes, strict=True)]
    expected = torch.cat([end[:-1] for end in ends] + [end[-1:] for end in ends])
    distance = (logits - expected).norm() / (expected - expected.mean(-1, keepdim=True)).norm()
    if not distance <= _LOGITS.get(model.dtype, _ROUNDED_LOGITS):
        raise StudyError(
            f"{name}: a context that is run once gives other logits ({distance:.2g} of their spread) than a whole "
            "prompt; choose another model."
        )


def _per_token(shape: torch.Size) -> tuple[int, int]:
    """Heads and head size of keys or values (B, H_kv, T, D)."""
    return shape[1], shape[3]

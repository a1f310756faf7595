"""One prompt, read with everything that its heads do and, on request, what that does to its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from retrieval_heads.engine.architecture import require_same_rotation
from retrieval_heads.engine.attention import AttentionCall, hooked
from retrieval_heads.engine.caches import DifferentiableCache, Prefix

Objective = Callable[[Tensor, Tensor], Tensor]
"""A number to take gradients of, from the logits (A + 1, V) before each token of the answer and behind the last one, in
float32, and the answer's token ids (A,)."""


def answer_logprob(logits: Tensor, answer: Tensor) -> Tensor:
    """Σ ln p over the answer's tokens: the usual objective."""
    return logits[:-1].log_softmax(-1).gather(-1, answer[:, None]).sum()


@dataclass(frozen=True)
class Trace:
    """What every head does while T tokens, a suffix and its answer, are read behind a context of C tokens.

    K = C + T keys; H heads a layer; D numbers a head, in the model's precision. Where several heads share keys and
    values, each is given its own.

    logits: (A + 1, V) in float32, before each of the answer's A tokens and behind the last one.
    """

    logits: Tensor
    _calls: list[AttentionCall]
    _outputs: list[Tensor]
    _gradients: list[Tensor] | None

    @property
    def layers(self) -> range:
        """The model's layers."""
        return range(len(self._calls))

    def attention(self, layer: int) -> Tensor:
        """The attention rows α, (H, T, K) in float32. With sinks they sum to less than 1."""
        with torch.no_grad():
            return self._calls[layer].rows()[0]

    def values(self, layer: int) -> Tensor:
        """The values v, (H, K, D)."""
        value = self._calls[layer].value[0]
        return value.repeat_interleave(self._outputs[layer].shape[2] // len(value), 0)

    def outputs(self, layer: int) -> Tensor:
        """The heads' outputs z = Σ α v before the output projection, (H, T, D)."""
        return self._outputs[layer][0].transpose(0, 1)

    def gradients(self, layer: int) -> Tensor:
        """∂ objective / ∂ z, (H, T, D), through all that follows in the model.

        Raises
        ------
        ValueError
            when the trace was made without an objective.
        """
        if self._gradients is None:
            raise ValueError("This trace has no gradients: give an objective, such as answer_logprob.")
        return self._gradients[layer][0].transpose(0, 1)


def trace_prompt(
    model: PreTrainedModel,
    prefix: Prefix,
    context: int,
    suffix: Sequence[int],
    answer: Sequence[int],
    objective: Objective | None,
) -> Trace:
    """See :meth:`retrieval_heads.engine.runner.Runner.trace`.

    Parameters
    ----------
    context : which of the prefix's contexts the suffix continues.
    """
    ids = torch.tensor([[*suffix, *answer]], device=model.device)
    require_same_rotation(model, prefix.length, prefix.length + ids.shape[1])
    calls: list[AttentionCall] = []
    outputs: list[Tensor] = []

    def record(call: AttentionCall, z: Tensor) -> None:
        # Nothing before the first heads is on the tape, so it begins there.
        if objective is not None and not z.requires_grad:
            z.requires_grad_()
        calls.append(call)
        outputs.append(z)

    # Only the heads' outputs are asked for gradients: a tape that also led to the weights would hold far more.
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        with (
            torch.inference_mode(False),
            torch.set_grad_enabled(objective is not None),
            hooked(model, observe=record) as hook,
        ):
            cache = Cache(
                layers=[
                    DifferentiableCache(keys[context : context + 1], values[context : context + 1])
                    for keys, values in zip(prefix.keys, prefix.values, strict=True)
                ]
            )
            hook.start = prefix.length
            hook.positions = prefix.length + torch.arange(ids.shape[1], device=ids.device)[None]
            logits = (
                model(
                    input_ids=ids,
                    position_ids=hook.positions,
                    past_key_values=cache,
                    logits_to_keep=len(answer) + 1,
                    use_cache=True,
                )
                .logits[0]
                .float()
            )
            gradients = None
            if objective is not None:
                target = objective(logits, torch.tensor(list(answer), dtype=torch.long, device=logits.device))
                gradients = list(torch.autograd.grad(target, outputs))
    finally:
        for weight in weights:
            weight.requires_grad_()
    calls = [
        replace(call, query=call.query.detach(), key=call.key.detach(), value=call.value.detach()) for call in calls
    ]
    return Trace(logits.detach(), calls, [z.detach() for z in outputs], gradients)

"""One prompt, read with everything that its heads do and, on request, what that does to its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel

from retrieval_heads.engine.attention import AttentionCall, Replacement
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.engine.direct_path import constant_weights, direct_path
from retrieval_heads.engine.one_pass import read_once

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

    logits: (A + 1, V) in float32, before each of the answer's A tokens and behind the last one. answer_rows: which of
    the T rows produce the answer's tokens. twin: the trace of the same tokens behind the twin's context, if there is
    one.
    """

    logits: Tensor
    answer_rows: slice
    _calls: list[AttentionCall]
    _outputs: list[Tensor]
    _gradients: list[Tensor] | None
    _direct_gradients: list[Tensor] | None
    twin: "Trace | None" = None

    @property
    def layers(self) -> range:
        """The model's layers."""
        return range(len(self._calls))

    def key_value_heads(self, layer: int) -> int:
        """How many keys and values a token has in a layer: head h has those of h // (H / their number)."""
        return self._calls[layer].value.shape[1]

    def attention(self, layer: int) -> Tensor:
        """The attention rows α, (H, T, K) in float32. With sinks they sum to less than 1."""
        return self._calls[layer].batch_row(0)

    def visible(self, layer: int) -> Tensor:
        """Which keys the mask of a layer shows to each row, (T, K) boolean; in a sliding window the nearest alone."""
        call = self._calls[layer]
        assert (
            call.mask is not None and call.shared is not None
        )  # what continues a context has positions, and so a mask
        shown = call.mask[0, 0]
        # Keys before those that the mask covers are visible to all.
        return pad(shown, (call.shared[0].shape[2] + call.key.shape[2] - shown.shape[-1], 0), value=True)

    def values(self, layer: int) -> Tensor:
        """The values v, (H, K, D), each head's its own copy; see :meth:`value_products` for less."""
        values = self._shared_values(layer)
        return values.repeat_interleave(self._outputs[layer].shape[2] // len(values), 0)

    def value_products(self, layer: int, vectors: Tensor, keys: slice = slice(None)) -> Tensor:
        """⟨x_t, v_j⟩ of vectors x (H, Q, D) with the values of some keys, (H, Q, keys) in float32."""
        values = self._shared_values(layer)[:, keys].float()
        heads, queries, size = vectors.shape
        grouped = vectors.float().reshape(len(values), -1, size) @ values.transpose(-1, -2)
        return grouped.view(heads, queries, -1)

    def _shared_values(self, layer: int) -> Tensor:
        """The values as the heads share them, (H_kv, K, D): head h has those of h // (H / H_kv)."""
        call = self._calls[layer]
        assert call.shared is not None  # the context's
        return torch.cat([call.shared[1][0], call.value[0]], 1)

    def outputs(self, layer: int) -> Tensor:
        """The heads' outputs z = Σ α v before the output projection, (H, T, D)."""
        return self._outputs[layer][0].transpose(0, 1)

    def replaced(self, layer: int, replacement: Replacement) -> Tensor:
        """What a replacement puts in place of the heads' outputs, (H, T, D)."""
        call = self._calls[layer]
        if self.twin is not None:
            call = replace(call, twin=self.twin._outputs[layer])
        return replacement(call).expand(self._outputs[layer].shape)[0].transpose(0, 1)

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

    def direct_gradients(self, layer: int) -> Tensor:
        """What a change of z adds to the answer's centred logits along the direct path, (H, A, D).

        Entry t is W_Oᵀ u_t, with u_t the map from what is written in the row that produces token t to the logit of that
        token less the mean logit of the vocabulary (:mod:`retrieval_heads.engine.direct_path`).

        Raises
        ------
        ValueError
            when the trace was made without the direct path.
        """
        if self._direct_gradients is None:
            raise ValueError("This trace knows no direct path: ask for it with direct=True.")
        return self._direct_gradients[layer].transpose(0, 1)


def trace_prompt(
    model: PreTrainedModel,
    prefix: Prefix,
    context: int,
    suffix: Sequence[int],
    answer: Sequence[int],
    objective: Objective | None,
    direct: bool = False,
    keep_rows: bool = True,
) -> Trace:
    """See :meth:`retrieval_heads.engine.runner.Runner.trace`.

    Parameters
    ----------
    context : which of the prefix's contexts the suffix continues.
    """
    targets = torch.tensor(list(answer), dtype=torch.long, device=model.device)
    calls: list[AttentionCall] = []
    outputs: list[Tensor] = []

    def record(call: AttentionCall, z: Tensor) -> None:
        # Nothing before the first heads is on the tape, so it begins there.
        if objective is not None and not z.requires_grad:
            z.requires_grad_()
        calls.append(call if keep_rows else replace(call))  # a copy does not know the rows that were computed
        outputs.append(z)

    with (
        constant_weights(model),
        torch.inference_mode(False),
        torch.set_grad_enabled(objective is not None),
    ):
        last = len(answer) + 1
        logits = read_once(model, prefix.only(context), suffix, answer, last=last, observe=record)[0]
        gradients = None
        if objective is not None:
            gradients = list(torch.autograd.grad(objective(logits, targets), outputs))
    outputs = [z.detach() for z in outputs]
    rows = slice(len(suffix) - 1, len(suffix) + len(answer) - 1)
    directly = None
    if direct:
        read = torch.tensor([*suffix, *answer], device=model.device)
        positions = prefix.length + torch.arange(len(read), device=model.device)
        in_rows = [z[:, rows] for z in outputs]
        directly = direct_path(model, read[rows], positions[rows], in_rows, targets).gradients
    return Trace(
        logits.detach(), rows, [call.detached() if keep_rows else call for call in calls], outputs, gradients, directly
    )

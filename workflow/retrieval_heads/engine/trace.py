"""Prompts, read with everything that their heads do and, on request, what that does to their answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel

from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import AttentionCall, Replacement
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.engine.direct_path import constant_weights, direct_path
from retrieval_heads.engine.finite import NotFiniteError, require_finite_heads
from retrieval_heads.engine.one_pass import read_once
from retrieval_heads.model.guards import all_finite

_MAX_WEIGHTS = 3 * 2**25
"""The most attention weights, of all layers, that are held at a time for several prompts: 400 MB in float32. They are
most of what a tape holds. Prompts run faster together, as a few tokens alone do not keep a processor busy."""

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
    _row: int
    """Which row of the calls, outputs and gradients it is."""
    _tokens: int
    """T; behind them a row may be padded."""
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
        keys = self._before(layer) + self._tokens
        return self._calls[layer].batch_row(self._row)[:, : self._tokens, :keys]

    def visible(self, layer: int) -> Tensor:
        """Which keys the mask of a layer shows to each row, (T, K) boolean; in a sliding window the nearest alone."""
        call = self._call(layer)
        assert call.mask is not None  # what continues a context has positions, and so a mask
        shown = call.mask[0, 0]
        # Keys before those that the mask covers are visible to all.
        return pad(shown, (self._before(layer) + self._tokens - shown.shape[-1], 0), value=True)

    def _call(self, layer: int) -> AttentionCall:
        """What the layer's attention was called with, of this row and its tokens alone."""
        call, row, tokens = self._calls[layer], slice(self._row, self._row + 1), self._tokens
        query, key, value = (part[row, :, :tokens] for part in (call.query, call.key, call.value))
        mask, regions = call.mask, call.regions
        assert mask is not None and regions is not None  # as of all that continues a context
        mask = mask.expand(len(call.query), -1, -1, -1)[row, :, :tokens, : mask.shape[-1] + tokens - call.key.shape[2]]
        regions = regions.expand(len(call.query), -1)[row, :tokens]
        return replace(call, query=query, key=key, value=value, mask=mask, regions=regions)

    def _before(self, layer: int) -> int:
        """Tokens of the context."""
        shared = self._calls[layer].shared
        assert shared is not None  # the context's keys and values
        return shared[0].shape[2]

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
        return torch.cat([call.shared[1][0], call.value[self._row, :, : self._tokens]], 1)

    def outputs(self, layer: int) -> Tensor:
        """The heads' outputs z = Σ α v before the output projection, (H, T, D)."""
        return self._outputs[layer][self._row, : self._tokens].transpose(0, 1)

    def replaced(self, layer: int, replacement: Replacement) -> Tensor:
        """What a replacement puts in place of the heads' outputs, (H, T, D)."""
        call, own = self._call(layer), self.outputs(layer).transpose(0, 1)
        if self.twin is not None:
            call = replace(call, twin=self.twin.outputs(layer).transpose(0, 1)[None])
        return replacement(call).expand(1, *own.shape)[0].transpose(0, 1)

    def gradients(self, layer: int) -> Tensor:
        """∂ objective / ∂ z, (H, T, D), through all that follows in the model.

        Raises
        ------
        ValueError
            when the trace was made without an objective.
        """
        if self._gradients is None:
            raise ValueError("This trace has no gradients: give an objective, such as answer_logprob.")
        return self._gradients[layer][self._row, : self._tokens].transpose(0, 1)

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


def trace_prompts(
    model: PreTrainedModel,
    prefix: Prefix,
    prompts: Sequence[tuple[Sequence[int], Sequence[int]]],
    objective: Objective | None,
    direct: bool = False,
    keep_rows: bool = True,
) -> Iterator[Trace]:
    """See :meth:`retrieval_heads.engine.runner.Runner.traces`.

    Parameters
    ----------
    prefix : of the context that all prompts continue, alone.
    """
    layers, heads = head_grid(model)
    tokens = max(len(suffix) + len(answer) for suffix, answer in prompts)
    size = max(1, _MAX_WEIGHTS // (layers * heads * tokens * (prefix.length + tokens)))
    for start in range(0, len(prompts), size):
        yield from _trace_together(model, prefix, prompts[start : start + size], objective, direct, keep_rows)


def _trace_together(
    model: PreTrainedModel,
    prefix: Prefix,
    prompts: Sequence[tuple[Sequence[int], Sequence[int]]],
    objective: Objective | None,
    direct: bool,
    keep_rows: bool,
) -> list[Trace]:
    """Traces of prompts that are read in one pass, with one tape for all: none reaches another."""
    targets = [torch.tensor(list(answer), dtype=torch.long, device=model.device) for _, answer in prompts]
    rows = [slice(len(suffix) - 1, len(suffix) + len(answer) - 1) for suffix, answer in prompts]
    tokens = [len(suffix) + len(answer) for suffix, answer in prompts]
    calls: list[AttentionCall] = []
    outputs: list[Tensor] = []

    def record(call: AttentionCall, z: Tensor) -> None:
        # Nothing before the first heads is on the tape, so it begins there.
        if objective is not None and not z.requires_grad:
            z.requires_grad_()
        calls.append(call if keep_rows else replace(call))  # a copy does not know the rows that were computed
        outputs.append(z)

    first = min(row.start for row in rows)  # of the rows whose logits are kept
    with (
        constant_weights(model),
        torch.inference_mode(False),
        torch.set_grad_enabled(objective is not None),
    ):
        read = read_once(model, prefix, prompts, max(tokens) - first, observe=record)
        logits = [own[row.start - first : row.stop + 1 - first] for own, row in zip(read, rows, strict=True)]
        if not all_finite(*logits):
            raise NotFiniteError("the logits", next(number for number, one in enumerate(logits) if not all_finite(one)))
        gradients = None
        if objective is not None:
            total = torch.stack([objective(*of_row) for of_row in zip(logits, targets, strict=True)]).sum()
            gradients = list(torch.autograd.grad(total, outputs))
            for number, count in enumerate(tokens):
                require_finite_heads([of_layer[number, :count] for of_layer in gradients], "the gradients", number)
    outputs, calls = [z.detach() for z in outputs], [call.detached() if keep_rows else call for call in calls]
    directly: list[list[Tensor] | None] = [None] * len(prompts)
    if direct:
        places = [torch.arange(row.start, row.stop, device=model.device) for row in rows]
        ids = [torch.tensor([*suffix, *answer], device=model.device) for suffix, answer in prompts]
        path = direct_path(
            model,
            torch.cat([own[at] for own, at in zip(ids, places, strict=True)]),
            prefix.length + torch.cat(places),
            [torch.cat([z[number, row] for number, row in enumerate(rows)])[None] for z in outputs],
            torch.cat(targets),
        )
        parts = zip(*(of_layer.split([len(at) for at in places]) for of_layer in path.gradients), strict=True)
        directly = [list(part) for part in parts]
        for number, of_prompt in enumerate(directly):
            require_finite_heads(of_prompt or [], "the gradients of the direct path", number)
    return [
        Trace(
            logits[number].detach(), rows[number], calls, outputs, gradients, directly[number], number, tokens[number]
        )
        for number in range(len(prompts))
    ]

"""Contexts are run once; their keys and values then serve everything that continues them.

As long as no head is ablated in it, a context is one row. With ablation it is a tree of rows, one set's being the trunk
of another's (:mod:`retrieval_heads.engine.forks`).
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from retrieval_heads.engine.ablation import Ablation
from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import AttentionCall, KeysKnown, Region, hooked
from retrieval_heads.engine.caches import PrefillCache, Prefix
from retrieval_heads.engine.finite import require_finite
from retrieval_heads.engine.forks import Forks, hidden_of, hooked_layers, split_hidden, with_hidden
from retrieval_heads.engine.pace import SUFFIX_WORTH
from retrieval_heads.job import report_share
from retrieval_heads.model.guards import all_finite

Observe = Callable[[AttentionCall, Tensor], None]
"""Told each layer's call and its heads' outputs."""


@torch.inference_mode(False)
@torch.no_grad()
def prefill(
    model: PreTrainedModel,
    contexts: Sequence[Sequence[int]],
    ablation: Ablation | None = None,
    *,
    reserved: int = 0,
    batch_tokens: int | None = None,
    observe: Observe | None = None,
) -> Prefix:
    """Run contexts once for all that continues them.

    Of the last layer that is keys and values alone. What else it does is run only if it is observed.

    Parameters
    ----------
    contexts : R lists of C token ids.
    ablation : of N head sets in every token of the context, with R = 1; None for the model as it is. Sets that agree in
        their first layers should be neighbours.
    reserved : how many tokens may follow under each set (:func:`retrieval_heads.engine.decoding.reserved_tokens`).
    batch_tokens : how many tokens go through a layer at a time; None for all.
    observe : as in :class:`retrieval_heads.engine.attention.Hook`.
    """
    layers, _ = head_grid(model)
    length, forks = len(contexts[0]), None if ablation is None else Forks.plan(ablation.head_mask)
    forked = [] if forks is None else [layer for layer, rows in enumerate(forks.row_of) if max(rows) > 0]
    first_fork = forked[0] if forked else layers
    caches = [
        PrefillCache(range(len(contexts)), 0)
        if forks is None or layer < first_fork
        else PrefillCache(forks.row_of[layer], reserved)
        for layer in range(layers)
    ]
    size = sys.maxsize if batch_tokens is None else max(1, batch_tokens // length)
    hook: dict[str, Any] = {"observe": observe, "ends_in": layers - 1 if observe is None else None}
    chunks = _RowChunks(caches, forks, size, contexts, hook["ends_in"])
    if ablation is not None:
        regions = torch.full((1, length), Region.CONTEXT, device=model.device)
        regions[:, : ablation.opening] = Region.OPENING
        hook |= {"head_mask": chunks.head_mask, "replacement": ablation.replacement, "regions": regions}
        if ablation.twin is not None:
            assert ablation.twin.outputs is not None  # a context that is ablated needs those of its twin
            hook["twin"] = ablation.twin.outputs.__getitem__
    with hooked(model, **hook), hooked_layers(model, chunks), suppress(KeysKnown):
        model.get_decoder()(
            input_ids=torch.tensor([list(ids) for ids in contexts], device=model.device),
            past_key_values=Cache(layers=[*caches]),
            use_cache=True,
        )
    return _prefix(caches, length, len(contexts), first_fork)


@torch.inference_mode(False)
@torch.no_grad()
def run_on(model: PreTrainedModel, prefix: Prefix, context: Sequence[int], shared: int) -> Prefix:
    """Run a context whose first tokens are those of another one that was run: only what comes behind them.

    Parameters
    ----------
    prefix : of that other context alone, of the model as it is.
    context : as many token ids as that has. So the rotary embedding turns both alike, also where it depends on length.
    shared : how many first tokens are the same in both; less than all.
    """
    caches = [
        PrefillCache([0], 0, (keys[:, :, :shared], values[:, :, :shared]))
        for keys, values in zip(prefix.keys, prefix.values, strict=True)
    ]
    with hooked(model, run_on=True, ends_in=len(caches) - 1), suppress(KeysKnown):
        model.get_decoder()(
            input_ids=torch.tensor([list(context[shared:])], device=model.device),
            past_key_values=Cache(layers=[*caches]),
            use_cache=True,
        )
    return _prefix(caches, len(context), 1, len(caches))


def _prefix(caches: Sequence[PrefillCache], length: int, contexts: int, first_fork: int) -> Prefix:
    """What was kept of contexts, if all of it is finite: what continues them meets it in every layer."""
    keys, values = [cache.keys for cache in caches], [cache.values for cache in caches]
    # None is what a layer has that takes another's, of a model that is refused.
    kept = [[one[:, :, :length] for one in pair if one is not None] for pair in zip(keys, values, strict=True)]
    if not all_finite(*chain.from_iterable(kept)):
        for layer, pair in enumerate(kept):
            for one in pair:
                require_finite(one, f"the keys or values of layer {layer}")
    return Prefix(keys, values, length, contexts, first_fork)


class _RowChunks:
    """Runs each layer over some rows at a time: more would push each other out of a processor's cache.

    Before a layer, rows fork and are narrowed to the first chunk; after it, the layer is run over the others. In the
    layer in which the pass ends, all chunks come before it.
    """

    def __init__(
        self,
        caches: Sequence[PrefillCache],
        forks: Forks | None,
        size: int,
        contexts: Sequence,
        ends_in: int | None,
    ):
        self._caches, self._forks, self._size, self._length = caches, forks, size, len(contexts[0])
        self._ends_in, self._rows = ends_in, slice(0, size)
        self._hidden: Tensor | None = None
        self._done, self._total = 0, len(caches) * len(contexts) if forks is None else sum(map(len, forks.parents))

    def head_mask(self, layer: int) -> Tensor:
        """The factors (rows, 1, H) of the heads of the rows that run now."""
        assert self._forks is not None  # without ablation there is no mask
        return self._forks.head_mask[layer][self._rows, None]

    def before(self, layer: int, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Fork the rows, and go on with the first of them; or run all of them, and end the pass."""
        hidden, args, kwargs = split_hidden(args, kwargs)
        if self._forks is not None and len(self._forks.parents[layer]) > len(hidden):
            hidden = hidden[self._forks.parents[layer]]
        if layer == self._ends_in:
            for start in range(0, len(hidden), self._size):
                self._begin(layer, start)
                with suppress(KeysKnown):
                    module.forward(hidden[self._rows], *args, **kwargs)
                self._end(len(hidden[self._rows]))
            raise KeysKnown
        self._hidden = hidden
        self._begin(layer, 0)
        return (hidden[self._rows], *args), kwargs

    def after(self, layer: int, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
        """Run the layer over all other rows."""
        hidden, self._hidden = self._hidden, None
        assert hidden is not None  # kept before the layer
        self._end(len(hidden[self._rows]))
        if self._size >= len(hidden):
            return output
        # The rows of the layer before are not needed again, so the new ones take their memory.
        hidden[self._rows] = hidden_of(output)
        for start in range(self._size, len(hidden), self._size):
            self._begin(layer, start)
            hidden[self._rows] = hidden_of(module.forward(hidden[self._rows], *args[1:], **kwargs))
            self._end(len(hidden[self._rows]))
        return with_hidden(output, hidden)

    def _begin(self, layer: int, start: int) -> None:
        self._rows, self._caches[layer].first_row = slice(start, start + self._size), start

    def _end(self, rows: int) -> None:
        self._done += rows
        report_share(self._done / self._total * self._length / (self._length + SUFFIX_WORTH))

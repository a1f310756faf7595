"""Rows that continue a prefix, run together whatever the length of each."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from retrieval_heads.engine.architecture import require_same_rotation
from retrieval_heads.engine.attention import AttentionCall, Hook, Region
from retrieval_heads.engine.caches import Layout, Prefix, SuffixCache
from retrieval_heads.engine.finite import NotFiniteError, require_finite
from retrieval_heads.engine.forks import Forks, hidden_of, hooked_layers, split_hidden, with_hidden


class Batch:
    """Rows that continue a prefix.

    In a pass, rows are aligned at the end of their suffix, so that one batch serves suffixes of any length. Padding is
    computed, and masked for all others.

    rows: the numbers of the rows that still run; a row's index in it is where it lies in the tensors of a pass.
    tokens: for each of them, how many tokens it holds behind its context. spans: for each, which of these the latest
    pass has brought.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prefix: Prefix,
        rows: int,
        reserved: int,
        suffix_lengths: Sequence[int] | None = None,
    ):
        require_same_rotation(model, prefix.length, prefix.length + reserved - 1)
        self.rows, self.tokens, self.spans = list(range(rows)), [0] * rows, [range(0)] * rows
        self._model, self._padding = model, [0] * rows
        self._suffix_lengths = None if suffix_lengths is None else torch.tensor(suffix_lengths, device=model.device)
        self.layout = Layout(prefix.length, reserved, prefix.length, torch.zeros(rows, 0, dtype=torch.long))
        layers = []
        for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
            before = prefix.length
            if prefix.shared(layer) is not None:
                keys, values = (old.new_zeros(rows, old.shape[1], reserved, old.shape[3]) for old in (keys, values))
                before = 0
            layers.append(SuffixCache(keys, values, before, layer, self.layout))
        self._cache = Cache(layers=[*layers])

    def forward(self, hook: Hook, ids: Tensor, real: Tensor, last: int, forks: Forks | None = None) -> Tensor:
        """Run ids (B, T) in a hooked model; returns the last logits, (B, last, V) in float32.

        Parameters
        ----------
        real : (B, T), which of the ids are tokens; the others are padding.
        forks : how rows share layers. Rows that start as one must have the same tokens behind the same context.
        """
        logits = self._run(self._model, hook, ids, real, forks, logits_to_keep=last).logits.float()
        try:
            require_finite(logits, "the logits", real[:, -last:])
        except NotFiniteError as error:
            error.row = self.rows[error.row]
            raise
        return logits

    def read(self, hook: Hook, ids: Tensor, real: Tensor, forks: Forks | None = None) -> None:
        """The same for what happens in attention alone, without logits."""
        self._run(self._model.get_decoder(), hook, ids, real, forks)

    def _run(
        self, model: nn.Module, hook: Hook, ids: Tensor, real: Tensor, forks: Forks | None, **arguments: Any
    ) -> Any:
        layout = self.layout
        layout.start, layout.forks = layout.context + layout.held, forks
        hook.start, hook.positions = layout.start, self._place(real)
        if self._suffix_lengths is not None:
            in_answer = hook.positions - layout.context >= self._suffix_lengths[:, None]
            hook.regions = torch.where(in_answer, Region.ANSWER, Region.SUFFIX)
        shared = nullcontext() if forks is None else hooked_layers(self._model, _SharedRows(hook, forks))
        with shared:
            return model(
                input_ids=ids, position_ids=hook.positions, past_key_values=self._cache, use_cache=True, **arguments
            )

    def _place(self, real: Tensor) -> Tensor:
        """Give tokens (B, T), of which some are ``real``, their columns; returns their positions in their prompts."""
        layout = self.layout
        columns = torch.tensor(self.tokens)[:, None] + real.cumsum(-1) - 1
        self.spans = [range(held, held + new) for held, new in zip(self.tokens, real.sum(-1).tolist(), strict=True)]
        self.tokens, self._padding = [span.stop for span in self.spans], real.int().argmax(-1).tolist()
        layout.held = max(layout.held, *self.tokens)
        layout.place(columns.where(real, layout.reserved - 1).to(self._model.device))
        return (columns.where(real, 0) + layout.context).to(self._model.device)

    def take_back(self, counts: Sequence[int]) -> None:
        """Forget so many of the last tokens of each row; the next ones are written over them."""
        self.tokens = [held - count for held, count in zip(self.tokens, counts, strict=True)]
        self.layout.held = max(self.tokens)

    def select(self, indices: Sequence[int]) -> None:
        """Go on with some of the rows."""
        self._cache.batch_select_indices(torch.tensor(indices, device=self._model.device))
        self.rows = [self.rows[index] for index in indices]
        self.tokens = [self.tokens[index] for index in indices]
        if self._suffix_lengths is not None:
            self._suffix_lengths = self._suffix_lengths[indices]

    def attention_rows(self, call: AttentionCall, index: int, tokens: range) -> Tensor:
        """Attention rows (H, Q, K) of Q tokens in a row's span, over the K of its prompt up to the last of them."""
        before = self._padding[index] - self.spans[index].start
        rows = call.batch_row(index)
        return rows[:, before + tokens.start : before + tokens.stop, : self.layout.context + tokens.stop]


class _SharedRows:
    """Runs each layer once for all rows of a batch that are alike up to there."""

    def __init__(self, hook: Hook, forks: Forks):
        assert hook.positions is not None  # of the rows that continue a prefix
        self._hook, self._forks, self._positions, self._regions = hook, forks, hook.positions, hook.regions

    def before(self, layer: int, _: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Give each row of the layer the hidden states of its parent, and the mask and positions of its first set."""
        hidden, args, kwargs = split_hidden(args, kwargs)
        first_set = self._forks.first_set[layer]
        self._hook.positions = self._positions[first_set]
        self._hook.regions = None if self._regions is None else self._regions[first_set]

        def narrow(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value[first_set] if value.dim() > 1 and len(value) == len(self._positions) else value
            return tuple(map(narrow, value)) if isinstance(value, tuple) else value

        kwargs = {name: narrow(value) for name, value in kwargs.items()}
        return (hidden[self._forks.parents[layer]], *map(narrow, args)), kwargs

    def after(self, layer: int, _module: nn.Module, _args: tuple, _kwargs: dict, output: Any) -> Any:
        """After the last layer, give each row of the batch its own again."""
        if layer < len(self._forks.row_of) - 1:
            return output
        return with_hidden(output, hidden_of(output)[self._forks.row_of[layer]])

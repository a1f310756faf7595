"""Keys and values: those of contexts that are run once, and those of the rows that continue them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin

from retrieval_heads.engine.attention import Shared
from retrieval_heads.engine.forks import Forks


@dataclass(frozen=True)
class Prefix:
    """Keys and values of R contexts of one length C, or of one context under N head sets.

    keys[l], values[l]: (R, H_kv, C, D) up to the first layer in which rows fork; from there on
    (N, H_kv, C + reserved, D), with room for all tokens to come, so that they are added without a copy of the context.
    first_fork: that layer; the number of layers where nothing forks. outputs[l]: the heads' outputs z, (1, C, H, D), in
    every token of a single context, where they were asked for.
    """

    keys: list[Tensor]
    values: list[Tensor]
    length: int
    contexts: int
    first_fork: int
    outputs: list[Tensor] | None = None

    def shared(self, layer: int) -> Shared | None:
        """A layer's keys and values where several rows share them; None where each head set has its own."""
        return (self.keys[layer], self.values[layer]) if layer < self.first_fork else None

    def only(self, context: int) -> "Prefix":
        """One of several contexts by itself, without a copy."""
        part = slice(context, context + 1)
        return Prefix(
            [keys[part] for keys in self.keys],
            [values[part] for values in self.values],
            self.length,
            1,
            self.first_fork,
        )

    @property
    def tokens_shared_in_all_layers(self) -> int:
        """How many tokens are shared in every layer: all of the context, or none."""
        return self.length if self.first_fork == len(self.keys) else 0


class PrefillCache(CacheLayerMixin):
    """Takes one layer's keys and values of contexts as they are run, and lays them out for a :class:`Prefix`.

    Parameters
    ----------
    row_of : for each row of the prefix, the row of the layer whose keys and values it gets.
    reserved : how many tokens to leave room for behind each context.
    begun : keys and values of a beginning of S tokens that was run before, (1, H_kv, S, D), of a single context.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, row_of: Sequence[int], reserved: int, begun: Shared | None = None):
        super().__init__()
        self._row_of, self._reserved, self._length, self._begun = row_of, reserved, 0, begun
        self._start = 0 if begun is None else begun[0].shape[2]
        self.first_row = 0
        """The first of the layer's rows that come with the next update."""

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Make room for all rows."""
        _, heads, new, dim = key_states.shape
        rows, self._length = len(self._row_of), self._start + new
        self.keys = key_states.new_empty(rows, heads, self._length + self._reserved, dim)
        self.values = value_states.new_empty(rows, heads, self._length + self._reserved, value_states.shape[-1])
        # What is not filled yet is hidden. A hidden value still meets a weight of zero, and 0 · NaN would be NaN.
        self.keys[:, :, self._length :] = self.values[:, :, self._length :] = 0
        if self._begun is not None:
            self.keys[:, :, : self._start], self.values[:, :, : self._start] = self._begun
            self._begun = None
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Keep the keys and values of some rows, each (rows, H_kv, C − S, D); returns all that these rows hold."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        now = range(self.first_row, self.first_row + len(key_states))
        rows = [row for row, source in enumerate(self._row_of) if source in now]
        sources = [self._row_of[row] - self.first_row for row in rows]
        self.keys[rows, :, self._start : self._length] = key_states[sources]
        self.values[rows, :, self._start : self._length] = value_states[sources]
        if self._start > 0:  # then there is one row
            return self.keys[:, :, : self._length], self.values[:, :, : self._length]
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of keys that a mask covers, and the position of the first."""
        return self._start + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens held before those that come: those of the beginning."""
        return self._start

    def get_max_length(self) -> int:
        """No limit."""
        return -1


@dataclass
class Layout:
    """Where the tokens of a pass go in the caches of a batch of B rows; the same in every layer.

    Columns count from the end of the context. The last of the ``reserved`` columns takes the keys of padding, which no
    query sees.

    start: tokens that transformers is told come before those of the pass. held: the most tokens that any row has behind
    its context, this pass included. columns: (B, T), of each token of the pass. forks: how rows fork in the pass, or
    None where each row runs for itself.
    """

    context: int
    reserved: int
    start: int
    columns: Tensor
    held: int = 0
    forks: Forks | None = None
    rows: Tensor = field(init=False)
    """(B, 1): 0, 1, … B − 1, to go with the columns."""

    def __post_init__(self) -> None:
        self.place(self.columns)

    def place(self, columns: Tensor) -> None:
        """Set where the tokens of a pass go."""
        self.columns, self.rows = columns, torch.arange(len(columns), device=columns.device)[:, None]


class SuffixCache(CacheLayerMixin):
    """One layer's keys and values of the rows that continue contexts.

    Rows that share this layer in a pass get the same keys, each its own copy: they may fork in the next pass.

    Parameters
    ----------
    keys, values : (B, H_kv, context + reserved, D), changed in place.
    context : tokens of the context that they hold; 0 where the rows share it elsewhere.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor, context: int, layer: int, layout: Layout):
        super().__init__()
        self.keys, self.values, self._context, self._layer, self._layout = keys, values, context, layer, layout
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is left to initialise."""

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """Add T tokens of F rows, (F, H_kv, T, D); returns all that these rows hold, (F, H_kv, context + held, D).

        F is the number of rows that run in this layer: B where none are shared.
        """
        rows, columns = self._layout.rows, self._layout.columns + self._context
        held, forks = self._context + self._layout.held, self._layout.forks
        shared = forks is not None and len(key_states) < len(self.keys)
        row_of = forks.row_of[self._layer] if forks is not None and shared else slice(None)
        self.keys[rows, :, columns] = key_states[row_of].transpose(1, 2)
        self.values[rows, :, columns] = value_states[row_of].transpose(1, 2)
        first = forks.first_set[self._layer] if forks is not None and shared else slice(None)
        return self.keys[first, :, :held], self.values[first, :, :held]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of keys that a mask covers, and the position of the first."""
        return self._layout.context + self._layout.held, 0

    def get_seq_length(self) -> int:
        """Tokens held before those that come, by the longest row."""
        return self._layout.start

    def get_max_length(self) -> int:
        """Tokens there is room for."""
        return self._layout.context + self._layout.reserved - 1

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some of the rows."""
        self.keys, self.values = self.keys[indices], self.values[indices]


class OnePassCache(CacheLayerMixin):
    """Holds nothing: gives a pass its own keys and values behind a context that lies elsewhere."""

    def __init__(self, context: int):
        super().__init__()
        self._context = context
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing is to be initialised."""

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        """The keys and values that came."""
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Number of keys that a mask covers, and the position of the first."""
        return self._context + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens of the context."""
        return self._context

    def get_max_length(self) -> int:
        """No limit."""
        return -1

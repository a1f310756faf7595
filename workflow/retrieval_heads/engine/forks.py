"""Rows of a batch that share their lower layers: ablated head sets fork only where they begin to differ.

Two head sets give the same hidden states up to the first layer in which they differ. So rows start as one, and fork
from layer to layer, each as late as possible.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from torch import Tensor, nn
from transformers import PreTrainedModel

from retrieval_heads.engine.architecture import decoder_layers, holds_attention


@dataclass(frozen=True)
class Forks:
    """How the rows of a batch fork from layer to layer, for N head sets.

    parents[l]: for each row of layer l, the row of layer l − 1 that it comes from (for the first layer, of the input).
    head_mask[l]: (rows of layer l, H), the factors of this layer's heads.
    row_of[l]: for each of the N sets, the row of layer l in which it is computed.
    first_set[l]: for each row of layer l, the first of the sets that are computed in it.
    """

    parents: list[list[int]]
    head_mask: list[Tensor]
    row_of: list[list[int]]
    first_set: list[list[int]]

    @classmethod
    def plan(
        cls, head_mask: Tensor, input_rows: Sequence[int] | None = None, unshared_from: int | None = None
    ) -> "Forks":
        """Forks for a ``head_mask`` of shape (N, L, H).

        Parameters
        ----------
        input_rows : for each set, the row of the input that it begins with; by default there is one for all.
        unshared_from : the layer from which on each set has a row of its own, whatever it shares with others.
        """
        sets, layers, _ = head_mask.shape
        row, values = list(input_rows or [0] * sets), head_mask.numpy(force=True)
        forks = cls([], [], [], [])
        for layer in range(layers):
            unshared = unshared_from is not None and layer >= unshared_from
            rows: dict[tuple, int] = {}
            parents, first_set, row_of = [], [], []
            for index in range(sets):
                key = (row[index], values[index, layer].tobytes(), index if unshared else None)
                if key not in rows:
                    rows[key] = len(rows)
                    parents.append(row[index])
                    first_set.append(index)
                row_of.append(rows[key])
            row = row_of
            forks.parents.append(parents)
            forks.head_mask.append(head_mask[first_set, layer])
            forks.row_of.append(row_of)
            forks.first_set.append(first_set)
        return forks


class LayerHooks(Protocol):
    """What happens before and after each decoder layer, as torch's forward (pre-)hooks with keyword arguments."""

    def before(self, layer: int, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """The arguments that the layer is called with instead."""
        ...

    def after(self, layer: int, module: nn.Module, args: tuple, kwargs: dict, output: Any) -> Any:
        """The layer's output, or None to leave it as it is; the arguments are those of :meth:`before`."""
        ...


@contextmanager
def hooked_layers(model: PreTrainedModel, hooks: LayerHooks) -> Iterator[None]:
    """Let hooks run around every decoder layer as long as the context is open."""
    handles = []
    try:
        for number, layer in enumerate(decoder_layers(model)):
            handles.append(layer.register_forward_pre_hook(partial(hooks.before, number), with_kwargs=True))
            handles.append(layer.register_forward_hook(partial(hooks.after, number), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def hooked_attention(model: PreTrainedModel, hook: Callable[[int, Any], Any]) -> Iterator[None]:
    """Show what each layer's attention puts out, once its heads' outputs are projected, as long as the context is open.

    Parameters
    ----------
    hook : called with the layer's number and the output; what it returns, unless None, takes the output's place.
    """
    handles = [
        part.register_forward_hook(lambda _module, _args, out, number=number: hook(number, out))
        for number, layer in enumerate(decoder_layers(model))
        for part in layer.children()
        if holds_attention(part)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def split_hidden(args: tuple, kwargs: dict) -> tuple[Tensor, tuple, dict]:
    """A decoder layer's hidden states (B, T, E), wherever they stand in its arguments, and the other arguments."""
    if args:
        return args[0], args[1:], kwargs
    return kwargs["hidden_states"], (), {name: value for name, value in kwargs.items() if name != "hidden_states"}


def hidden_of(output: Any) -> Tensor:
    """The hidden states (B, T, E) in a decoder layer's output, which may be a tuple that begins with them."""
    return output[0] if isinstance(output, tuple) else output


def with_hidden(output: Any, hidden: Tensor) -> Any:
    """A decoder layer's output with other hidden states."""
    return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

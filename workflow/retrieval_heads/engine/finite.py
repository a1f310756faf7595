"""Numbers that are not finite: found before anything is made of them, and told by layer, head and prompt.

A NaN or an infinity that arises anywhere in a pass reaches the keys, values or logits that the pass is for. These are
looked at once a pass. Where one is not finite, the same pass is run again with every module watched, which tells where
the first one arose; a pass in which all is well is not slowed down by that.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from retrieval_heads.engine.architecture import decoder_layers
from retrieval_heads.engine.attention import AttentionCall, watched
from retrieval_heads.errors import StudyError
from retrieval_heads.model.guards import all_finite

T = TypeVar("T")

_OTHER_WEIGHTS = "the model's weights are damaged or too large: get it again, or choose another"
_OTHER_METHODS = "leave out the methods that need them, or choose another model"


class NotFiniteError(StudyError):
    """Numbers of a model that are NaN or infinite.

    Parameters
    ----------
    what : they are, such as ``the logits``.
    row : which row of its pass they are in.
    remedy : what to do about it, in a precision that has the range.

    prompt: the key of the prompt, or what else is read in that row. where: the layer and the part of it, or what else
    of the model gives the first of them. dtype: that the model runs in.
    """

    def __init__(self, what: str, row: int = 0, remedy: str = _OTHER_WEIGHTS):
        super().__init__(what)
        self.what, self.row, self.remedy = what, row, remedy
        self.prompt: str | None = None
        self.where: str | None = None
        self.dtype: torch.dtype | None = None

    def __str__(self) -> str:
        cause, remedy = "" if self.where is None else f", as {self.where} gives NaN or infinity", self.remedy
        if self.dtype is torch.float16:
            cause = " in float16" if self.where is None else f", as {self.where} leaves the range of float16"
            remedy = "float16 ends at 65504: set models.*.dtype to bfloat16 or float32"
        return f"{self.prompt or 'a prompt'}: {self.what} are not finite{cause}; {remedy}."


def require_finite(values: Tensor, what: str, real: Tensor | None = None) -> None:
    """Refuse numbers of which one is NaN or infinite.

    Parameters
    ----------
    values : (rows, …).
    what : they are.
    real : which of them count, of a shape that begins as theirs does; None for all.

    Raises
    ------
    NotFiniteError
        which knows the first such row.
    """
    if all_finite(values):
        return
    fine = values.isfinite()
    if real is not None:
        fine |= ~real.to(fine.device).reshape(*real.shape, *[1] * (fine.dim() - real.dim()))
    if not (of_row := fine.flatten(1).all(1)).all():
        raise NotFiniteError(what, int(of_row.logical_not().nonzero()[0]))


def require_finite_heads(layers: Sequence[Tensor], what: str, row: int) -> None:
    """Refuse gradients, or what methods make of them, of which one is NaN or infinite.

    Gradients come from the last layer, so there it arises.

    Parameters
    ----------
    layers : of each layer, (T, H, D).
    what : they are.
    row : which row of the pass they are of.

    Raises
    ------
    NotFiniteError
        which names the last such layer and its heads.
    """
    if all_finite(*layers):
        return
    for layer, values in reversed(list(enumerate(layers))):
        if not all_finite(values):
            fine = values.isfinite().all(-1).all(0)
            raise NotFiniteError(f"{what} in layer {layer}{_heads(fine)}", row, _OTHER_METHODS)


def _heads(fine: Tensor) -> str:
    """The heads (H,) that are not fine, in words; none where all or none are, as what is in all is of no head."""
    found = fine.logical_not().nonzero().flatten().tolist()
    return f", head{'s' * (len(found) > 1)} {', '.join(map(str, found))}" if 0 < len(found) < len(fine) else ""


@contextmanager
def naming(prompts: Sequence[str]) -> Iterator[None]:
    """Name what is read, row by row, in what is said of numbers that are not finite; "" for what has no name."""
    try:
        yield
    except NotFiniteError as error:
        if error.prompt is None:
            error.prompt = prompts[error.row] or None
        raise


def locating(model: PreTrainedModel, work: Callable[[], T]) -> T:
    """What some work with a model gives; where that meets numbers that are not finite, it is told where they arise.

    Parameters
    ----------
    work : gives the same whenever it is called.
    """
    try:
        return work()
    except NotFiniteError as error:
        locate(model, error, work)
        raise


def locate(model: PreTrainedModel, error: NotFiniteError, work: Callable[[], Any]) -> None:
    """Tell an error where its numbers arise, by the work once more that met them."""
    if error.dtype is None:  # else that is done
        error.dtype = model.dtype
        with _watching(model) as found, suppress(Exception):
            work()
        error.where = found.where()


class _Found:
    """Where the first number arose that was not finite, and of which heads it then was."""

    def __init__(self) -> None:
        self._part: str | None = None
        self._layer: int | None = None
        self._heads = ""

    def where(self) -> str | None:
        """In words; None where every number was finite."""
        if self._layer is None:
            return self._part
        return f"layer {self._layer}{self._heads}{f' ({self._part})' if self._part else ''}"

    def module(self, name: str, layer: int | None, _module: nn.Module, _args: tuple, output: Any) -> None:
        """Look at what a module has given."""
        if self._part is not None:
            return
        parts = output if isinstance(output, tuple) else (output,)
        if any(isinstance(part, Tensor) and not part.isfinite().all() for part in parts):
            self._part, self._layer = name, layer

    def attention(self, call: AttentionCall, outputs: Tensor) -> None:
        """Look at what the heads of a layer have had and given."""
        if self._heads or (self._part is not None and self._layer != call.layer):
            return
        heads, groups = outputs.shape[2], call.key.shape[1]
        fine = outputs.isfinite().all(-1).all(1).all(0) & call.query.isfinite().all(-1).all(2).all(0)
        for shared in (call.key, call.value):
            fine &= shared.isfinite().all(-1).all(2).all(0).repeat_interleave(heads // groups)
        if fine.all():
            return
        if self._part is None:
            self._part, self._layer = "attention", call.layer
        self._heads = _heads(fine)


@contextmanager
def _watching(model: PreTrainedModel) -> Iterator[_Found]:
    """Look at what every module and every head gives as long as the context is open."""
    number = {layer: at for at, layer in enumerate(decoder_layers(model))}
    prefixes = {f"{name}.": number[module] for name, module in model.named_modules() if module in number}
    found, handles = _Found(), []
    for name, module in model.named_modules():
        prefix = next((prefix for prefix in prefixes if f"{name}.".startswith(prefix)), "")
        look = partial(found.module, name[len(prefix) :], prefixes.get(prefix))
        handles.append(module.register_forward_hook(look))
    try:
        with watched(found.attention):
            yield found
    finally:
        for handle in handles:
            handle.remove()

"""A finished study in a Python program of one's own: the heads at its top, and any model with heads ablated.

``docs/python.md`` shows both in an example.
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from retrieval_heads import tables
from retrieval_heads.ablation import MODES
from retrieval_heads.attention import hooked
from retrieval_heads.errors import StudyError
from retrieval_heads.head_sets import Head, head_name
from retrieval_heads.inference import head_grid
from retrieval_heads.overlap import Ranking, grids
from retrieval_heads.ties import told_apart

__all__ = ["ablated", "top_heads"]


def top_heads(
    results: str | Path,
    method: str,
    k: int,
    *,
    question: str | None = None,
    model: str | None = None,
    context_length: int | None = None,
) -> list[Head]:
    """The first heads of a finished study.

    Parameters
    ----------
    results : the study's folder, such as ``results/smollm2``.
    method : name of a head-scoring method, as in the study's config.
    k : how many heads.
    question, context_length : take the ranking for these. Where one is left out, heads are ordered by their mean rank
        over all the questions, or all the lengths, or both, each with the same weight. Equal heads share the mean of
        their ranks, and so do those that a ranking does not name, behind all others.
    model : may be left out where the study has one.

    Returns
    -------
    (layer, head) pairs, the first head first; both count from 0. A head that ties with one that would be left out is
    not among them: then there are fewer than k, and a warning says so.

    Raises
    ------
    StudyError
        when the folder has no rankings, none for what is asked, or not so many heads.
    """
    file = Path(results) / "tables" / "rankings.parquet"
    if not file.is_file():
        raise StudyError(f"{file}: no such file; give the folder of a finished study, such as results/smollm2.")
    rankings = tables.read(file, tables.RANKINGS)
    models = rankings["model"].unique()
    if model is None and len(models) != 1:
        raise StudyError(f"{file}: has {len(models)} models; give model as one of {', '.join(sorted(models))}.")
    chosen = models[0] if model is None else model
    for name, wanted in (
        ("model", chosen),
        ("method", method),
        ("question", question),
        ("context_length", context_length),
    ):
        if wanted is None:
            continue
        there = sorted(rankings[name].unique())
        if wanted not in there:
            offered = ", ".join(map(str, there))
            raise StudyError(f"{file}: has no {name} {wanted!r} with such rankings; give one of {offered}.")
        if name == "model":
            grid = grids(rankings)[chosen]
        rankings = rankings[rankings[name] == wanted]
    each = [Ranking.of(rows, grid, k) for _, rows in rankings.groupby(["question", "context_length"])]
    named = len(rankings[["layer", "head"]].drop_duplicates())
    if not 1 <= k <= named:
        raise StudyError(f"{file}: {method} ranks {named} heads here; give k from 1 to {named}, not {k}.")
    mean = pd.DataFrame({"rank": np.mean([ranking.places.rank for ranking in each], axis=0)})
    top = told_apart(mean, ["rank"], [True], k).index
    if len(top) < k:
        tie = "the next ones tie with some that would be left out"
        warnings.warn(f"{method} gives {len(top)} of {k} heads here: {tie}.", stacklevel=2)
    return [divmod(int(head), grid[1]) for head in top]


_ablated: ContextVar[tuple[PreTrainedModel, str, frozenset[Head]] | None] = ContextVar("ablated heads", default=None)


@contextmanager
def ablated(model: PreTrainedModel, heads: Iterable[Head], mode: str = "zero") -> Iterator[None]:
    """Ablate heads of a model, before the output projection, as long as the context is open.

    Whatever runs the model is affected: a forward pass, ``generate``, single prompts and batches. A context in another
    one ablates the heads of both. Afterwards, also after an error, the model is as it was.

    Parameters
    ----------
    model : a decoder model of transformers. Its weights are not changed.
    heads : (layer, head) pairs; both count from 0.
    mode : what an ablated head puts out: ``zero``, nothing; ``uniform``, the mean of the values it can see.

    Raises
    ------
    StudyError
        when the model has no such head, its attention cannot be changed, there is no such mode, or a context around
        this one is about another model or mode; and when the model is called in another thread, where the ablation
        would have no effect.
    """
    if mode not in MODES:
        raise StudyError(f"mode: {mode} is not offered; write one of {', '.join(MODES)}.")
    layers, each = head_grid(model)
    cut = frozenset((int(layer), int(head)) for layer, head in heads)
    for layer, head in sorted(cut):
        if not (0 <= layer < layers and 0 <= head < each):
            raise StudyError(
                f"heads: {type(model).__name__} with {layers} layers of {each} heads has no {head_name(layer, head)}; "
                "take heads that were ranked in this model."
            )
    if (around := _ablated.get()) is not None:
        if around[0] is not model or around[1] != mode:
            raise StudyError("ablated: another model, or another mode, is in use around this; end that first.")
        cut |= around[2]
    keep = torch.ones(layers, 1, 1, each, device=model.device)
    for layer, head in cut:
        keep[layer, ..., head] = 0
    token = _ablated.set((model, mode, cut))
    guard = model.base_model.register_forward_pre_hook(_require_thread)
    try:
        with hooked(model, keep=lambda layer: keep[layer], instead=MODES[mode]):
            yield
    finally:
        guard.remove()
        _ablated.reset(token)


def _require_thread(*_) -> None:
    """Hooks hold in the thread that opened them alone; a call in another would be of the whole model."""
    if _ablated.get() is None:
        raise StudyError(
            "ablated: the model is called in another thread, where no head is ablated; call it in the one that opened "
            "the context, or run the other by contextvars.copy_context().run."
        )

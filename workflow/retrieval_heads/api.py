"""A finished study in a Python program of one's own: the heads at its top, and any model with heads ablated.

``docs/python.md`` shows both in an example.
"""

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel

from retrieval_heads import tables
from retrieval_heads.ablation.running import MODES
from retrieval_heads.analysis.overlap import Ranking, grids
from retrieval_heads.analysis.ties import told_apart
from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import AttentionCall, hooked
from retrieval_heads.errors import StudyError
from retrieval_heads.tables.heads import Head, head_name
from retrieval_heads.tables.rankings import RANKINGS

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
    rankings = tables.read(file, RANKINGS)
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
        this one is about another model or mode; and when the model is called where the ablation would have no effect:
        in another thread, after set_attn_implementation inside the context, or with gradient checkpointing.
    """
    if mode not in MODES:
        raise StudyError(f"mode: {mode} is not offered; write one of {', '.join(MODES)}.")
    layers, heads_per_layer = head_grid(model)
    wanted = frozenset((int(layer), int(head)) for layer, head in heads)
    for layer, head in sorted(wanted):
        if not (0 <= layer < layers and 0 <= head < heads_per_layer):
            raise StudyError(
                f"heads: {type(model).__name__} with {layers} layers of {heads_per_layer} heads has no "
                f"{head_name(layer, head)}; take heads that were ranked in this model."
            )
    if (around := _ablated.get()) is not None:
        if around[0] is not model or around[1] != mode:
            raise StudyError("ablated: another model, or another mode, is in use around this; end that first.")
        wanted |= around[2]
    head_mask = torch.ones(layers, 1, 1, heads_per_layer, device=model.device)
    for layer, head in wanted:
        head_mask[layer, ..., head] = 0
    mine = (model, mode, wanted)
    token = _ablated.set(mine)
    try:
        with (
            _every_layer_met(model, lambda: _ablated.get() is None or _ablated.get() is mine) as met,
            hooked(model, head_mask=lambda layer: head_mask[layer], replacement=MODES[mode], observe=met),
        ):
            yield
    finally:
        _ablated.reset(token)


@contextmanager
def _every_layer_met(
    model: PreTrainedModel, concerned: Callable[[], bool]
) -> Iterator[Callable[[AttentionCall, torch.Tensor], None]]:
    """Refuse passes some of whose layers do not meet the hook, and so have their heads back; gives what it has to tell.

    Many things take a layer's attention elsewhere: another implementation of it, a layer or a forward that is replaced.
    What they have in common is that the hook is not told of that layer. A layer that is run again later, for gradients,
    would be run as it is then.

    concerned : whether a pass is about this hook, and not about one in a context inside.
    """
    layers, _ = head_grid(model)
    decoder: torch.nn.Module = model.get_decoder()
    passes = threading.local()

    def begin(module: torch.nn.Module, *_) -> None:
        passes.met = set()
        again = module is decoder and module.training and torch.is_grad_enabled()
        if again and any(getattr(part, "gradient_checkpointing", False) for part in module.modules()):
            raise StudyError(
                "ablated: gradient checkpointing runs layers again for their gradients, where heads may be back; turn "
                "it off for the model."
            )

    def met(call: AttentionCall, _outputs: torch.Tensor) -> None:
        vars(passes).setdefault("met", set()).add(call.layer)

    def end(module: torch.nn.Module, *_) -> None:
        lost = sorted(set(range(layers)) - passes.met)
        # A copy that was made inside the context brings these guards along, and is a model of its own.
        if lost and module is decoder and concerned():
            raise StudyError(
                f"ablated: the attention of layer {lost[0]} was changed inside the context, by set_attn_implementation "
                "or in another way, so that its heads are back; make such changes before the context."
            )

    guards = [decoder.register_forward_pre_hook(begin), decoder.register_forward_hook(end)]
    try:
        yield met
    finally:
        for guard in guards:
            guard.remove()

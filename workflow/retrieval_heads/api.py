"""For Python programs of one's own: the heads at the top of a study, a model without them, and own methods of scoring.

``docs/python.md`` shows all in examples.
"""

import operator
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads import methods, tables
from retrieval_heads.ablation.replacements import make_replacement, usable_anywhere
from retrieval_heads.analysis.overlap import Ranking, grids
from retrieval_heads.analysis.ties import told_apart
from retrieval_heads.data.selection import group_by_context, usable
from retrieval_heads.engine.runner import (
    Budget,
    Decoding,
    Runner,
    Trace,
    answer_logprob,
    every_call_ablated,
    head_grid,
    make_head_mask,
)
from retrieval_heads.errors import StudyError
from retrieval_heads.methods import AttentionRowScorer, Document, HeadScorer, Prompt, Reading
from retrieval_heads.methods._scoring import make_document
from retrieval_heads.study.config import require_methods
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.tables.heads import Head, head_name
from retrieval_heads.tables.prompts import PROMPTS
from retrieval_heads.tables.rankings import RANKINGS

__all__ = [
    "AttentionRowScorer",
    "Budget",
    "Decoding",
    "Document",
    "HeadScorer",
    "Prompt",
    "Reading",
    "Runner",
    "Trace",
    "ablated",
    "answer_logprob",
    "made_with",
    "make_methods",
    "read_documents",
    "score_heads",
    "top_heads",
]


def top_heads(
    results: str | Path,
    method: str,
    k: int,
    *,
    question: str | None = None,
    model: str | None = None,
    context_length: int | None = None,
    variant: str = PLAIN,
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
    variant : of the prompts; the plain one, where none is given.

    Returns
    -------
    (layer, head) pairs, the first head first; both count from 0. A head that ties with one that would be left out is
    not among them: then there are fewer than k, and a warning says so.

    Raises
    ------
    StudyError
        when the folder has no rankings, none for what is asked, or not so many heads.
    """
    k = _whole(k, "k", "how many heads")
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
        ("method", str(method)),
        ("question", question),
        ("context_length", context_length),
        ("variant", variant),
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


def made_with(table: str | Path) -> dict[str, Any]:
    """What a table was made with: rule, code, config, seed, and how each model ran.

    Parameters
    ----------
    table : its Parquet file, such as ``results/smollm2/tables/rankings.parquet``.

    Returns
    -------
    The fields that ``docs/tables.md`` lists; none where the table tells nothing.

    Raises
    ------
    StudyError
        when there is no such file, or no Parquet file.
    """
    return tables.made_with([table])


def _whole(value: object, name: str, what: str) -> int:
    """A whole number of any kind, numpy's included; True and False are none."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise StudyError(f"{name}: {value!r:.60} is no whole number; say {what} by one.") from None


def _pair(head: Any) -> Head:
    """Layer and head of a pair of whole numbers."""
    try:
        if isinstance(head, str):
            raise TypeError("a text of two letters is no pair")
        layer, number = head
    except (TypeError, ValueError):
        message = f"heads: {head!r:.60} is no pair of a layer and a head, such as (2, 1); give a list of such."
        raise StudyError(message) from None
    return _whole(layer, "heads", "layer and head"), _whole(number, "heads", "layer and head")


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
    mode : what an ablated head puts out: ``zero``, nothing; ``uniform``, the mean of the values it can see; or the name
        of another file of ``ablation/replacements``, if it needs neither a fit nor a twin.

    Raises
    ------
    StudyError
        when the model has no such head, its attention cannot be changed, there is no such mode, or a context around
        this one is about another model or mode; and when the model is called where the ablation would have no effect:
        in another thread, after set_attn_implementation inside the context, or with gradient checkpointing.
    """
    if mode not in (offered := usable_anywhere()):
        raise StudyError(f"mode: {mode} is not offered; write one of {', '.join(offered)}.")
    replacement = partial(make_replacement(mode).output, state={})
    layers, heads_per_layer = head_grid(model)
    wanted = frozenset(map(_pair, heads))
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
    (head_mask,) = make_head_mask(model, [wanted])
    token = _ablated.set((model, mode, wanted))
    try:
        with every_call_ablated(model, head_mask, replacement):
            yield
    finally:
        _ablated.reset(token)


def read_documents(prompts: str | Path, tokenizer: PreTrainedTokenizerBase, split: str = "train") -> list[Document]:
    """The documents of a study, each with the prompts that ask about it.

    Parameters
    ----------
    prompts : a file of a study's prompts, of one model and context length.
    tokenizer : the model's.
    split : ``train``, whose documents a study ranks heads by, or ``test``.

    Raises
    ------
    StudyError
        when the split has no usable prompt.
    """
    table = usable(tables.read(prompts, PROMPTS), split, str(prompts))
    return [make_document(tokenizer, group) for group in group_by_context(table)]


def make_methods(settings: Mapping[str, Mapping]) -> list[HeadScorer]:
    """Methods of scoring heads, from what a config has under ``methods``: name → values for the method's parameters.

    Raises
    ------
    StudyError
        when there is no such method, or a value is not one that its parameter takes.
    """
    require_methods(settings)
    return methods.make_methods(settings)


def score_heads(runner: Runner, documents: Sequence[Document], method: HeadScorer) -> torch.Tensor:
    """The scores that a method gives each head, (P, L, H) for all P prompts of the documents, in order.

    Higher means more retrieval. Scores of prompts that the model does not answer are among them, also of a method that
    a study leaves them out of (``needs_success``).

    Parameters
    ----------
    documents : with contexts of equal length; as many are run at a time as the runner's budget allows.

    Raises
    ------
    StudyError
        when the model would not be measured exactly, or there is no prompt.
    """
    prompts = [prompt for document in documents for prompt in document.prompts]
    if not prompts:
        raise StudyError("documents: they have no prompts; give some, as read_documents does.")
    shortest = min(prompt.suffix_start for prompt in prompts)
    longest = max(len(prompt.input_ids) + max(len(prompt.answer), runner.decoding.max_new_tokens) for prompt in prompts)
    runner.require_measurable(shortest, longest)
    batches = runner.budget.batches(documents, shortest, "batch_tokens", lambda batch: method.score(runner, batch))
    return torch.cat(list(batches))

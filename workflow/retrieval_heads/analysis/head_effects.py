"""What every head by itself is worth on average, and how far rankings tell it."""

import numpy as np
import pandas as pd

from retrieval_heads.analysis.overlap import Ranking
from retrieval_heads.analysis.similarity import chance_among_first, spearman
from retrieval_heads.analysis.statistics import LEVEL, bootstrap_weights
from retrieval_heads.analysis.ties import places, told_apart
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.tables.head_effect_summary import HEAD_EFFECT_SUMMARY, OVER
from retrieval_heads.tables.heads import GRID, Grid

FIRST = (10, 20)
"""Of how many first heads it is told what they hold of all effects."""


def summarise_effects(effects: pd.DataFrame, seed: int, resamples: int) -> pd.DataFrame:
    """The mean effect of every head over a document's prompts, then over documents.

    Parameters
    ----------
    effects : the head_effects table.
    seed : the study's.
    resamples : bootstrap resamples of the documents, which all heads take together (percentile interval; Efron and
        Tibshirani 1993, An Introduction to the Bootstrap, ch. 13).

    Returns
    -------
    The head_effect_summary table. With one document there is no interval.
    """
    frames = []
    for (*over, mode, layers, heads), rows in effects.groupby([*OVER, "mode", *GRID]):
        means = _by_document(rows)
        mean, low, high = means.mean(0), np.nan, np.nan
        if len(means) > 1:
            weights = bootstrap_weights(len(means), resamples, generator(seed, "head_effects", len(means)))
            low, high = np.quantile(weights @ means / len(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        numbers = np.arange(len(mean))
        frames.append(
            pd.DataFrame(
                {
                    **dict(zip(OVER, over, strict=True)),
                    "mode": mode,
                    "layers": layers,
                    "heads": heads,
                    "layer": numbers // heads,
                    "head": numbers % heads,
                    "effect": mean,
                    "effect_low": low,
                    "effect_high": high,
                    "rank": places(mean).rank,
                    "prompts": len(rows),
                    "documents": len(means),
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else HEAD_EFFECT_SUMMARY.empty()


def strongest(summary: pd.DataFrame, most: int) -> pd.DataFrame:
    """The heads with the largest mean effects, the largest first: at most so many, and none that the answer does not
    need.

    Parameters
    ----------
    summary : rows of the head_effect_summary table of one model, length, variant and mode.
    """
    return told_apart(summary[summary["effect"] > 0], ["effect"], [False], most)


def half_of_all(summary: pd.DataFrame) -> int:
    """How many heads, the strongest first, it takes to hold half of all effects above 0.

    Parameters
    ----------
    summary : as for :func:`strongest`.
    """
    effects = np.sort(summary["effect"].clip(lower=0))[::-1]
    return 1 + int((effects.cumsum() < effects.sum() / 2).sum())


def held_against_effects(effects: pd.DataFrame, rankings: pd.DataFrame) -> pd.DataFrame:
    """How far each method's rankings, which are of the train split, tell the effects on test prompts.

    Parameters
    ----------
    effects : the head_effects table.
    rankings : the rankings table.

    Returns
    -------
    A row for each model, length, variant, mode and method: ``spearman``, of the ranking of a prompt's question with the
    effects in the prompt, averaged over a document's prompts, then over documents, NaN where no ranking or no effects
    vary; ``first_K`` for each K of :data:`FIRST`, the share of all effects above 0 that the first K heads hold, where
    effects are means over documents, averaged over questions, with ties broken in expectation; ``grid``.
    """
    by_ranking = {key: rows for key, rows in rankings.groupby(list(DIMENSIONS))}
    methods = list(dict.fromkeys(rankings["method"]))
    found = []
    effects = effects.assign(ranks=[places(own).rank for own in effects["effects"]])
    for (*over, mode, layers, heads), rows in effects.groupby([*OVER, "mode", *GRID]):
        grid = Grid(int(layers), int(heads))
        for method in methods:
            correlations, held = [], []
            for cell, of_question in rows.groupby(CELL):
                at = dict(zip(CELL, cell, strict=True)) | {"method": method}
                if (ranked := by_ranking.get(tuple(at[name] for name in DIMENSIONS))) is None:
                    continue
                ranking = Ranking.of(ranked, grid, 0).places
                for document, ranks in zip(of_question["doc_id"], of_question["ranks"], strict=True):
                    correlations.append((document, spearman(ranking.rank, ranks)))
                needed = _by_document(of_question).mean(0).clip(min=0)
                held.append([chance_among_first(ranking, k) @ needed / (needed.sum() or np.nan) for k in FIRST])
            if held:
                each = pd.DataFrame(correlations, columns=["doc_id", "spearman"]).groupby("doc_id")["spearman"].mean()
                shares = pd.DataFrame(held, columns=[f"first_{k}" for k in FIRST]).mean()
                of = dict(zip(OVER, over, strict=True)) | {"mode": mode, "method": method, "grid": grid}
                found.append({**of, "spearman": each.mean(), **shares})
    columns = [*OVER, "mode", "method", "grid", "spearman", *(f"first_{k}" for k in FIRST)]
    return pd.DataFrame(found, columns=columns)


def best_ranks(rankings: pd.DataFrame) -> pd.DataFrame:
    """The best rank that each head has in any ranking of a model, length and variant, with the method that gives it.

    Returns
    -------
    Indexed by model, context_length, variant, layer and head: ``rank`` and ``method``, of several methods the first.
    """
    ordered = rankings.sort_values("rank", kind="stable")
    return ordered.drop_duplicates([*OVER, "layer", "head"]).set_index([*OVER, "layer", "head"])[["rank", "method"]]


def _by_document(rows: pd.DataFrame) -> np.ndarray:
    """Mean effects over the prompts of each document, (documents, heads of the model)."""
    grouped = rows.groupby("doc_id", sort=True)["effects"]
    return np.stack([np.stack(list(of_document)).astype(float).mean(0) for _, of_document in grouped])

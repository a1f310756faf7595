"""What every head by itself is worth on average."""

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import LEVEL, bootstrap_weights
from retrieval_heads.analysis.ties import places, told_apart
from retrieval_heads.seeds import generator
from retrieval_heads.tables.head_effect_summary import HEAD_EFFECT_SUMMARY, OVER
from retrieval_heads.tables.heads import GRID


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
        means = by_document(rows, "effects")
        effect = _mean("effect", means, seed, resamples)
        numbers = np.arange(means.shape[1])
        odds = rows["logodds_effects"].notna().all()
        frames.append(
            pd.DataFrame(
                {
                    **dict(zip(OVER, over, strict=True)),
                    "mode": mode,
                    "layers": layers,
                    "heads": heads,
                    "layer": numbers // heads,
                    "head": numbers % heads,
                    **effect,
                    **dict.fromkeys(_columns("logodds_effect"), np.nan),
                    **(_mean("logodds_effect", by_document(rows, "logodds_effects"), seed, resamples) if odds else {}),
                    "rank": places(effect["effect"]).rank,
                    "prompts": len(rows),
                    "documents": len(means),
                }
            )
        )
    return pd.concat(frames, ignore_index=True) if frames else HEAD_EFFECT_SUMMARY.empty()


def by_document(rows: pd.DataFrame, column: str) -> np.ndarray:
    """Mean effects over the prompts of each document, (documents, heads of the model), documents sorted.

    Parameters
    ----------
    rows : of the head_effects table, of one model, length, variant and mode.
    column : ``effects`` or ``logodds_effects``.
    """
    grouped = rows.groupby("doc_id", sort=True)[column]
    return np.stack([np.stack(list(of_document)).astype(float).mean(0) for _, of_document in grouped])


def _columns(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"


def _mean(name: str, means: np.ndarray, seed: int, resamples: int) -> dict[str, np.ndarray]:
    """The mean over documents of each head, with its interval where there are several documents."""
    mean, low, high = means.mean(0), np.nan, np.nan
    if len(means) > 1:
        weights = bootstrap_weights(len(means), resamples, generator(seed, "head_effects", len(means)))
        low, high = np.quantile(weights @ means / len(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return dict(zip(_columns(name), (mean, low, high), strict=True))


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


def best_ranks(rankings: pd.DataFrame) -> pd.DataFrame:
    """The best rank that each head has in any ranking of a model, length and variant, with the method that gives it.

    Returns
    -------
    Indexed by model, context_length, variant, layer and head: ``rank`` and ``method``, of several methods the first.
    """
    ordered = rankings.sort_values("rank", kind="stable")
    return ordered.drop_duplicates([*OVER, "layer", "head"]).set_index([*OVER, "layer", "head"])[["rank", "method"]]

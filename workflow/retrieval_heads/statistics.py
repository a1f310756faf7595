"""Intervals and tests. Documents are the units: prompts made from one document are not independent of each other."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

LEVEL = 0.95
"""The level of every interval."""


class Estimate(NamedTuple):
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


def bootstrap_weights(documents: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each document is drawn in each resample, shape (R, D).

    Using the same weights for two quantities pairs them.
    """
    return rng.multinomial(documents, np.full(documents, 1 / documents), size=resamples)


def bootstrap_mean(
    sums: np.ndarray, counts: np.ndarray, weights: np.ndarray, bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """A mean over prompts, with the percentile interval of a bootstrap over documents.

    Identical documents give a bootstrap no width, which would claim certainty from few of them. The interval then
    allows for the share of prompts that may differ from those seen (the exact Clopper–Pearson bound for none in so
    many), by as much as the bounds allow.

    Parameters
    ----------
    sums, counts : sum of the values and number of prompts of each document, shape (D,); a document may have none.
    weights : from :func:`bootstrap_weights`, shape (R, D).
    bounds : the lowest and highest value that a prompt can have.
    """
    seen = int(counts.sum())
    if not seen:
        return Estimate(np.nan, np.nan, np.nan)
    value = float(sums.sum() / seen)
    drawn = weights @ counts
    resampled = (weights @ sums)[drawn > 0] / drawn[drawn > 0]
    low, high = (float(bound) for bound in np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    if np.isclose(low, high):
        _, share = proportion_confint(0, seen, alpha=1 - LEVEL, method="beta")
        low, high = value - share * (value - bounds[0]), value + share * (bounds[1] - value)
    return Estimate(value, min(low, value), max(high, value))


def exact_paired_test(one: np.ndarray, others: np.ndarray) -> float:
    """Does one condition get more, or fewer, prompts right than others tried on the same documents? Two-sided exact p.

    If the conditions were alike, then within each document any of them could have been called ``one``. The p value is
    the share of these relabelings, over all documents, with a total at least as extreme, doubled from the smaller tail.
    It is what ``scipy.stats.permutation_test(permutation_type="samples")`` estimates by drawing relabelings. With a
    single other condition and one prompt per document it is the exact McNemar test; with several, such as random draws,
    it uses them all in one test.

    Parameters
    ----------
    one : right answers of each document under the condition tested, shape (D,), integers.
    others : the same under the other conditions, shape (C, D).
    """
    one, others = np.asarray(one, dtype=int), np.atleast_2d(np.asarray(others, dtype=int))
    total = np.ones(1)
    for values in np.vstack([one, others]).T:
        total = np.convolve(total, np.bincount(values) / len(values))
    observed = int(one.sum())
    tail = min(total[: observed + 1].sum(), total[observed:].sum())
    return float(min(1.0, 2 * tail))


def holm(p: pd.Series) -> pd.Series:
    """P values corrected over their family; missing ones stay missing and do not count."""
    known = p.dropna()
    corrected = pd.Series(np.nan, index=p.index, dtype=float)
    if len(known):
        corrected[known.index] = multipletests(known, method="holm")[1]
    return corrected


def wilson(correct: float, total: int) -> Estimate:
    """A proportion with its Wilson interval, where only counts are known."""
    low, high = proportion_confint(correct, total, alpha=1 - LEVEL, method="wilson")
    return Estimate(correct / total, float(low), float(high))


def newcombe(correct_a: float, total_a: int, correct_b: float, total_b: int) -> Estimate:
    """The difference a − b of two proportions with Newcombe's interval, where only counts are known.

    It takes the proportions as independent; for paired ones, which counts do not show, it is too wide rather than too
    narrow.
    """
    low, high = confint_proportions_2indep(
        correct_a, total_a, correct_b, total_b, method="newcomb", compare="diff", alpha=1 - LEVEL
    )
    return Estimate(correct_a / total_a - correct_b / total_b, float(low), float(high))

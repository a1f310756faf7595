"""How far questions of one category use the same heads, configuration by configuration and on average."""

from collections.abc import Mapping

import pandas as pd

from retrieval_heads.analysis.statistics import Estimate, mean_interval
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import DIMENSIONS

BETWEEN = ""
"""Stands for the category of a pair of questions of two categories."""

FEWEST = 3
"""A mean over fewer configurations has no interval."""

_CONFIGURATION = [name for name in DIMENSIONS if name != "question"]


def with_category(pairs: pd.DataFrame, categories: Mapping[str, str]) -> pd.DataFrame:
    """Pairs of questions (a, b) with the category that both belong to, or :data:`BETWEEN`."""
    a, b = (pairs[end].map(categories) for end in ("a", "b"))
    return pairs.assign(category=a.where(a == b, BETWEEN))


def by_configuration(pairs: pd.DataFrame) -> pd.DataFrame:
    """The mean Jaccard of each configuration's pairs of each category, from :func:`with_category`."""
    return pairs.groupby([*_CONFIGURATION, "category"])["jaccard"].mean().reset_index()


def between_and_within(pairs: pd.DataFrame) -> pd.DataFrame:
    """The mean Jaccard of each configuration that has both, between categories (False) and within them (True)."""
    within = pairs["category"] != BETWEEN
    means = pairs.assign(within=within).groupby([*_CONFIGURATION, "within"])["jaccard"].mean().unstack("within")
    return means.reindex(columns=[False, True]).dropna()


def mean_over_configurations(values: pd.Series, seed: int, resamples: int, *key: object) -> Estimate:
    """Their mean with its 95% interval, which for fewer than :data:`FEWEST` has no width.

    Parameters
    ----------
    key : what the mean is of; it tells the bootstrap's generator apart from others.
    """
    if len(values) < FEWEST:
        mean = float(values.mean())
        return Estimate(mean, mean, mean)
    return mean_interval(values.to_numpy(), resamples, generator(seed, "q2_categories", *key))

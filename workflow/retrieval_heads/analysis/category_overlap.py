"""Whether questions of one category share more top heads than questions of different categories, by configuration.

A configuration is here a model, a method and a context length: what two questions that are compared have in common.
"""

import pandas as pd

from retrieval_heads.analysis.overlap_pairs import BETWEEN
from retrieval_heads.analysis.statistics import Estimate, mean_interval
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import DIMENSIONS

FEWEST = 3
"""With fewer configurations than this a mean has no interval."""

_CONFIGURATION = [name for name in DIMENSIONS if name != "question"]


def within_and_between(pairs: pd.DataFrame) -> pd.DataFrame:
    """The mean Jaccard of each configuration's pairs within categories and between them.

    Parameters
    ----------
    pairs : from :func:`~retrieval_heads.analysis.overlap_pairs.with_category`.

    Returns
    -------
    Columns within and between, indexed by configuration; a configuration that lacks one of them is left out.
    """
    kind = (pairs["category"] == BETWEEN).map({True: "between", False: "within"})
    means = pairs.assign(kind=kind).groupby([*_CONFIGURATION, "kind"])["jaccard"].mean().unstack("kind")
    return means.reindex(columns=["within", "between"]).dropna()


def category_means(pairs: pd.DataFrame) -> pd.DataFrame:
    """The mean Jaccard of each configuration's pairs in each category, and between categories."""
    return pairs.groupby([*_CONFIGURATION, "category"])["jaccard"].mean().reset_index()


def mean_over_configurations(values: pd.Series, seed: int, resamples: int, *key: object) -> Estimate:
    """The mean with its 95% bootstrap interval over configurations; of too few, the interval has no width.

    Parameters
    ----------
    key : what the resamples are drawn for (see :func:`retrieval_heads.seeds.generator`).
    """
    if len(values) < FEWEST:
        return Estimate(*[values.mean()] * 3)
    return mean_interval(values.to_numpy(), resamples, generator(seed, "q2_categories", *key))

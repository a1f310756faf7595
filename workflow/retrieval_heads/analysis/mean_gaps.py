"""How far the first head of a method's rankings stands above the second, on average."""

import pandas as pd

from retrieval_heads.analysis.statistics import Estimate, mean_interval
from retrieval_heads.seeds import generator


def mean_gap(gaps: pd.DataFrame, seed: int, resamples: int) -> Estimate:
    """The mean over a method's rankings, with its 95% bootstrap interval over them.

    Parameters
    ----------
    gaps : from :func:`~retrieval_heads.analysis.score_gaps.score_gaps`, of one method.
    """
    rng = generator(seed, "score_dominance", gaps["method"].iloc[0])
    return mean_interval(gaps["gap"].to_numpy(), resamples, rng)

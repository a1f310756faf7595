"""Which heads the figures of single heads' effects show."""

import numpy as np
import pandas as pd

from retrieval_heads.analysis.ties import told_apart


def mean_ranks(rankings: pd.DataFrame) -> pd.DataFrame:
    """The mean rank of every head over questions.

    Parameters
    ----------
    rankings : rows of the rankings table of one model, length, variant and method.

    Returns
    -------
    layer, head, rank; a row for each head, layer by layer.
    """
    return rankings.groupby(["layer", "head"], as_index=False)["rank"].mean()


def first_heads(ranks: pd.DataFrame, k: int) -> np.ndarray:
    """Which heads have the k best mean ranks, shape (heads,); fewer where some tie with one that is left out.

    Parameters
    ----------
    ranks : from :func:`mean_ranks`.
    """
    return ranks.index.isin(told_apart(ranks, ["rank"], [True], k).index)


def stand_out(needed: pd.Series, carried: pd.Series, most: int) -> list[int]:
    """The numbers of the heads with the largest effects of either sign, of two the larger; the largest first.

    Parameters
    ----------
    needed, carried : effects of the same heads under two modes.
    most : how many heads, at most: none that ties with one left out, and none without any effect.
    """
    larger = pd.DataFrame({"larger": np.maximum(np.abs(needed), np.abs(carried))}).reset_index(drop=True)
    return told_apart(larger[larger["larger"] > 0], ["larger"], [False], most).index.tolist()

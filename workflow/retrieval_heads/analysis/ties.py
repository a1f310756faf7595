"""Which scores are equal, and what places equal ones share: the one rule by which anything here is put in order.

A method that scores few heads leaves most of them at exactly the same score. Any order among those would be an order of
names (layer, then head), which every ranking shares: read as evidence, it makes rankings agree that have nothing in
common. So equal heads share their places, and a top set never takes some of them and leaves others.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy  # its parts are imported when first used

TOLERANCE = 1e-6
"""Scores are rounded to this share of the largest absolute score of their ranking; what is then equal is a tie."""


class Places(NamedTuple):
    """Where each of N items stands.

    Parameters
    ----------
    rank : the mean of the places that its tie group takes, from 1; shape (N,).
    last : the last of these places, shape (N,). Items with ``last`` ≤ k are the top set at level k.
    """

    rank: np.ndarray
    last: np.ndarray


def places(scores: np.ndarray) -> Places:
    """Places by falling score.

    Parameters
    ----------
    scores : finite numbers, shape (N,).
    """
    scores = np.asarray(scores, dtype=float)
    largest = np.abs(scores).max(initial=0.0)
    steps = np.rint(scores / largest / TOLERANCE) if largest > 0 else np.zeros(len(scores))
    rank, last = (scipy.stats.rankdata(-steps, method=method) for method in ("average", "max"))
    return Places(rank, last.astype(int))


def told_apart(frame: pd.DataFrame, by: list[str], ascending: list[bool], most: int) -> pd.DataFrame:
    """The first rows of an order, at most so many: none that ties with one that is left out.

    Parameters
    ----------
    by, ascending : what the order goes by, as in ``DataFrame.sort_values``. Rows that are equal in all of it tie.
    """
    # Means of ranks differ in their last bits with the order in which they are added up.
    rounded = frame.assign(**{name: frame[name].round(9) for name in by if pd.api.types.is_float_dtype(frame[name])})
    ordered = rounded.sort_values(by, ascending=ascending, kind="stable")
    group = ordered.groupby(by, sort=False, dropna=False).ngroup()
    last = group.map(group.value_counts(sort=False).sort_index().cumsum())
    return frame.loc[ordered.index[last <= most]]


def listed(heads: int, named: np.ndarray, among: Places) -> Places:
    """Places of all heads of a model in a ranking that names some of them: the others tie last.

    Parameters
    ----------
    heads : how many the model has, N.
    named : the heads that are named, shape (M,), as numbers below N.
    among : their places among each other.
    """
    missing = heads - len(named)
    rank, last = np.full(heads, len(named) + (missing + 1) / 2), np.full(heads, heads)
    rank[named], last[named] = among
    return Places(rank, last)

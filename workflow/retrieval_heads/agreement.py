"""How far two sets or two rankings agree, and how far they would by chance."""

from collections.abc import Collection, Hashable, Mapping
from functools import cache
from typing import TypeVar

import numpy as np
import scipy  # its parts are imported when first used, and most figures use none

Item = TypeVar("Item", bound=Hashable)


def jaccard(a: Collection[Hashable], b: Collection[Hashable]) -> float:
    """|a ∩ b| / |a ∪ b|; NaN where both are empty."""
    a, b = set(a), set(b)
    return len(a & b) / len(a | b) if a | b else float("nan")


@cache
def expected_jaccard(heads: int, a: int, b: int) -> float:
    """The mean Jaccard of two independent random sets of a and b among a number of heads.

    Exact: the sets share i heads with hypergeometric probability, and then have Jaccard i / (a + b − i).
    """
    if a + b == 0:
        return float("nan")
    shared = np.arange(max(0, a + b - heads), min(a, b) + 1)
    return float(np.sum(scipy.stats.hypergeom.pmf(shared, heads, a, b) * shared / (a + b - shared)))


@cache
def chance_of_sharing(heads: int, a: int, b: int, shared: int) -> float:
    """The probability that two random sets of a and b heads share at least so many (one-sided hypergeometric test)."""
    return float(scipy.stats.hypergeom.sf(shared - 1, heads, a, b))


def rank_biased_overlap(a: Mapping[Item, int], b: Mapping[Item, int], persistence: float) -> float:
    """Agreement of two rankings that counts the first places most.

    Webber, Moffat and Zobel, A similarity measure for indefinite rankings, ACM TOIS 28(4), 2010: their RBO_EXT for
    rankings of one depth (equation 30). Down to the depth of the shorter ranking the share of items in common is
    measured, and what the longer one lists below is not read; the share is taken to stay as it is at that depth.

    Parameters
    ----------
    a, b : item → rank, from 1 without gaps. They may list different numbers of items.
    persistence : how much less each further place weighs, between 0 and 1. Places 1 to 1 / (1 − persistence) carry the
        most weight.

    Returns
    -------
    From 0 (nothing in common) to 1 (the same order); NaN where a ranking is empty.
    """
    depth = min(len(a), len(b))
    if not depth:
        return float("nan")
    # An item is shared from the depth on at which both rankings have named it.
    both = [max(a[item], b[item]) for item in a.keys() & b.keys()]
    shared = np.cumsum(np.bincount([place for place in both if place <= depth], minlength=depth + 1))[1:]
    return _extrapolated(shared, persistence)


@cache
def expected_rank_biased_overlap(heads: int, depth: int, persistence: float) -> float:
    """The mean of :func:`rank_biased_overlap` for two random orders of all heads, listed down to a depth.

    Among the first d places two random orders share d² / heads on average.
    """
    places = np.arange(1, depth + 1)
    return _extrapolated(places**2 / heads, persistence)


def _extrapolated(shared: np.ndarray, persistence: float) -> float:
    depth = len(shared)
    places = np.arange(1, depth + 1)
    weights = (1 - persistence) / persistence * persistence**places
    return float(np.sum(weights * shared / places) + persistence**depth * shared[-1] / depth)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of two rankings of the same items; NaN where one does not vary.

    Parameters
    ----------
    a, b : rank of each item, shape (N,). Items that a ranking does not list share one rank below all others.
    """
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(a, b).statistic)

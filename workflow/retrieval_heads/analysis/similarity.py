"""How far two sets or two rankings agree, and how far they would by chance."""

from collections.abc import Collection, Hashable
from functools import cache

import numpy as np
import scipy  # its parts are imported when first used, and most figures use none

from retrieval_heads.analysis.ties import Places


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


def rank_biased_overlap(a: Places, b: Places, persistence: float) -> float:
    """Agreement of two rankings of the same items that counts the first places most, ties broken in expectation.

    RBO of Webber, Moffat and Zobel (ACM TOIS 28(4), 2010, equation 30) with the overlap at depth d of RBO^a of Corsi
    and Urbano (The treatment of ties in rank-biased overlap, 2024, arXiv 2406.07121): the mean overlap over all ways
    to break the ties of both, X_d = Σ_h c_a(h, d) c_b(h, d), where c(h, d) is the chance that h is among the first d.

    Parameters
    ----------
    a, b : of N items.
    persistence : how much less each further place weighs, between 0 and 1. Places 1 to 1 / (1 − persistence) carry the
        most weight.

    Returns
    -------
    From 0 (nothing in common) to 1 (the same order without ties). A ranking with ties agrees with itself less than
    fully, for its ties could be broken in two ways. NaN where there are no items.
    """
    if not len(a.rank):
        return float("nan")
    return _extrapolated(_shared(a, b), persistence)


@cache
def expected_rank_biased_overlap(heads: int, persistence: float) -> float:
    """The mean of :func:`rank_biased_overlap` for two random orders, with ties or without.

    Among the first d places two random orders share d² / heads on average.
    """
    return _extrapolated(np.arange(1, heads + 1) ** 2 / heads, persistence)


def _shared(a: Places, b: Places) -> np.ndarray:
    """X_d for d = 1 … N: how many items the first d places of both hold in expectation."""
    items = len(a.rank)
    tied = (a.last > a.rank) | (b.last > b.rank)
    # Without ties an item is shared from the depth on at which both rankings have named it.
    both = np.maximum(a.last, b.last)[~tied]
    shared = np.cumsum(np.bincount(both, minlength=items + 1))[1:].astype(float)
    if tied.any():
        depths = np.arange(1, items + 1)
        shared += np.einsum("hd,hd->d", *(_among_first(ranking, tied, depths) for ranking in (a, b)))
    return shared


def chance_among_first(ranking: Places, k: int) -> np.ndarray:
    """The chance that each of N items is among the first k of a ranking, (N,): 0 or 1 but for those that tie there."""
    every = np.ones(len(ranking.rank), bool)
    return _among_first(ranking, every, np.array([k]))[:, 0]


def _among_first(ranking: Places, chosen: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """c(h, d): the chance that an item is among the first d places, shape (items chosen, depths)."""
    last = ranking.last[chosen, None]
    size = 2 * (last - ranking.rank[chosen, None]) + 1
    return np.clip((depths - last + size) / size, 0, 1)


def _extrapolated(shared: np.ndarray, persistence: float) -> float:
    depth = len(shared)
    places = np.arange(1, depth + 1)
    weights = (1 - persistence) / persistence * persistence**places
    return float(np.sum(weights * shared / places) + persistence**depth * shared[-1] / depth)


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation of two rankings of the same items; NaN where one does not vary.

    Parameters
    ----------
    a, b : rank of each item, shape (N,); equal items share their mean rank.
    """
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(a, b).statistic)

"""Where each head stands in the rankings of a method, over all configurations and for each value of a dimension."""

import numpy as np
import pandas as pd

from retrieval_heads.analysis.overlap import Ranking, grids
from retrieval_heads.analysis.ties import told_apart
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.heads import GRID, Grid, of_grid
from retrieval_heads.tables.profiles import PROFILES

ALL = "all"
"""The dimension, and the value, of profiles over all configurations of a method."""

_APART = ("variant", "method")
"""What is never taken together."""

_SLICES = (ALL, *(dimension for dimension in DIMENSIONS if dimension not in _APART))


def profile_heads(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """Mean, spread and extremes of each head's rank, and how often it is among the top heads.

    For each method and variant by itself; models whose grids of heads are equal are taken together. Everything is over
    all configurations: in one that does not name a head (``listed`` counts those that do), the head ties last with the
    others that it leaves out.

    Parameters
    ----------
    rankings : the rankings table.
    top_k : the level of a top set.

    Returns
    -------
    The profiles table; standard deviations are population ones. A head that no configuration of a method names has no
    row.
    """
    grid = grids(rankings)
    configurations, ranks, tops, named = [], [], [], []
    for configuration, rows in rankings.groupby(list(DIMENSIONS)):
        own = grid[configuration[0]]
        ranking = Ranking.of(rows, own, top_k_for(own.total, top_k))
        configurations.append((*configuration, *own, ALL))
        ranks.append(ranking.places.rank)
        tops.append(ranking.places.last <= ranking.k)
        named.append(np.isin(np.arange(len(ranks[-1])), rows["layer"] * own.heads + rows["head"]))
    where = pd.DataFrame(configurations, columns=[*DIMENSIONS, *GRID, ALL])
    # A head that a method names for one question alone counts for the others too.
    ever = {key: np.any([named[i] for i in rows.index], axis=0) for key, rows in where.groupby([*GRID, *_APART])}
    frames = []
    for dimension in _SLICES:
        # The dimension "all" is a column with a single value.
        for (layers, heads, variant, method, value), rows in where.groupby([*GRID, *_APART, dimension]):
            rank, top, is_named = (np.array([values[i] for i in rows.index]) for values in (ranks, tops, named))
            frame = pd.DataFrame(
                {
                    "layers": layers,
                    "heads": heads,
                    "variant": variant,
                    "method": method,
                    "dimension": dimension,
                    "value": str(value),
                    "layer": np.arange(rank.shape[1]) // heads,
                    "head": np.arange(rank.shape[1]) % heads,
                    "mean_rank": rank.mean(axis=0),
                    "sd_rank": rank.std(axis=0),
                    "best_rank": rank.min(axis=0),
                    "worst_rank": rank.max(axis=0),
                    "top_share": top.mean(axis=0),
                    "top_chance": top.mean(),
                    "listed": is_named.sum(axis=0),
                    "configurations": len(rows),
                }
            )
            frames.append(frame[ever[layers, heads, variant, method]])
    # An empty table among them would make every column one of objects.
    return pd.concat(frames, ignore_index=True)[PROFILES.columns] if frames else pd.DataFrame(columns=PROFILES.columns)


def select(profiles: pd.DataFrame, dimension: str = ALL, *, grid: Grid | None = None, **values: object) -> pd.DataFrame:
    """The rows of one dimension, of one grid of heads if it is given, and with these values."""
    rows = profiles if grid is None else of_grid(profiles, grid)
    chosen = rows["dimension"] == dimension
    for name, value in values.items():
        chosen &= rows[name] == value
    return rows[chosen]


def mean_ranks(profiles: pd.DataFrame, columns: str) -> pd.DataFrame:
    """Heads × values: the mean rank under each method (or value); heads that one of them never names are left out.

    Parameters
    ----------
    profiles : rows of one grid and one dimension, of one method unless ``columns`` is ``"method"``.
    columns : ``"method"`` or ``"value"``.

    Returns
    -------
    Indexed by (layer, head), one column for each value.
    """
    return profiles.pivot(index=["layer", "head"], columns=columns, values="mean_rank").dropna()


def consensus(profiles: pd.DataFrame, k: int) -> pd.DataFrame:
    """Heads whose mean rank is below k under every method: rows of :func:`mean_ranks`, by their worst method.

    Parameters
    ----------
    profiles : rows of one grid, over all configurations.
    """
    ranks = mean_ranks(profiles, "method")
    agreed = ranks[(ranks < k).all(axis=1)]
    return agreed.loc[agreed.max(axis=1).sort_values(kind="stable").index]


def specialists(profiles: pd.DataFrame, k: int, beyond: int, most: int | None = None) -> pd.DataFrame:
    """Heads that matter to one question alone: mean rank below k for it, and on average beyond another for the rest.

    Parameters
    ----------
    profiles : rows of one grid and one method, of the dimension ``question``.
    most : how many at most, none that ties with one left out; by default all.

    Returns
    -------
    Indexed by (layer, head), by rank: question, rank there, and the mean of the ranks for the other questions.
    """
    ranks = mean_ranks(profiles, "value")
    best = ranks.min(axis=1)
    others = (ranks.sum(axis=1) - best) / max(ranks.shape[1] - 1, 1)
    found = pd.DataFrame({"question": ranks.idxmin(axis=1) if ranks.shape[1] else [], "rank": best, "others": others})
    found = found[(found["rank"] < k) & (found["others"] > beyond)]
    return told_apart(found, ["rank", "others"], [True, False], len(found) if most is None else most)


def differences(profiles: pd.DataFrame, a: str, b: str, within: int, most: int) -> pd.DataFrame:
    """Heads whose mean rank differs between two models, the largest difference first.

    Parameters
    ----------
    profiles : rows of one grid and one method, of the dimension ``model``.
    within : only heads whose better mean rank is at most this: below it, differences are between unimportant heads.
    most : how many at most, none that ties with one left out.

    Returns
    -------
    Indexed by (layer, head): rank_a, rank_b and difference (rank_b − rank_a).
    """
    ranks = mean_ranks(profiles, "value")[[a, b]].set_axis(["rank_a", "rank_b"], axis=1)
    ranks = ranks[ranks.min(axis=1) <= within]
    ranks["difference"] = ranks["rank_b"] - ranks["rank_a"]
    ranks = ranks[ranks["difference"] != 0]
    return ranks.loc[told_apart(ranks.abs(), ["difference"], [False], most).index]


def volatile(profiles: pd.DataFrame, most: int) -> pd.DataFrame:
    """The heads with the largest standard deviation of the rank, of those that half of a method's configurations list.

    Parameters
    ----------
    profiles : rows of one grid and one method, over all configurations.
    most : how many at most; none that ties with one left out.
    """
    return told_apart(_often_listed(profiles), ["sd_rank"], [False], most)


def leading(profiles: pd.DataFrame, k: int) -> pd.DataFrame:
    """The heads with the best mean rank, at most k, of those that at least half of a method's configurations list.

    Parameters
    ----------
    profiles : rows of one grid and one method, over all configurations.
    """
    return told_apart(_often_listed(profiles), ["mean_rank"], [True], k)


def stable(profiles: pd.DataFrame, k: int, most: int) -> pd.DataFrame:
    """Of the k :func:`leading` heads those with the smallest standard deviation of the rank, at most so many."""
    return told_apart(leading(profiles, k), ["sd_rank", "mean_rank"], [True, True], most)


def universal(profiles: pd.DataFrame, most: int) -> pd.DataFrame:
    """The heads in the largest share of top sets, then with the best mean rank; none that is in no top set.

    Parameters
    ----------
    profiles : rows of one grid and one method, over all configurations.
    most : how many at most; none that ties with one left out.
    """
    return told_apart(profiles[profiles["top_share"] > 0], ["top_share", "mean_rank"], [False, True], most)


def _often_listed(profiles: pd.DataFrame) -> pd.DataFrame:
    return profiles[2 * profiles["listed"] >= profiles["configurations"]]

"""Where each head stands in the rankings of a method, over all configurations and for each value of a dimension."""

import pandas as pd

from retrieval_heads.derived import PROFILES
from retrieval_heads.overlap import grid_names, top_heads
from retrieval_heads.study import DIMENSIONS

ALL = "all"
"""The dimension, and the value, of profiles over all configurations of a method."""

_SLICES = (ALL, *(dimension for dimension in DIMENSIONS if dimension != "method"))


def profile_heads(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """Mean, spread and extremes of each head's rank, and how often it is among the top heads, for each method.

    Models whose grids of heads are equal are taken together. A mean rank is over the configurations that list the head
    (``listed``); the share of top sets is out of all configurations of the method.

    Parameters
    ----------
    rankings : the rankings table.
    top_k : the size of a top set.

    Returns
    -------
    The profiles table; standard deviations are population ones.
    """
    rankings = rankings.reset_index(drop=True)
    top = top_heads(rankings, top_k)
    rows = rankings.assign(grid=grid_names(rankings, rankings), top=rankings.index.isin(top.index), all=ALL)
    frames = []
    for dimension in _SLICES:
        # The dimension "all" is a column with a single value.
        by = ["grid", "method", dimension]
        configurations = rows.drop_duplicates([*by, *DIMENSIONS]).groupby(by).size().rename("configurations")
        each = rows.groupby([*by, "layer", "head"])
        heads = each.agg(
            mean_rank=("rank", "mean"),
            best_rank=("rank", "min"),
            worst_rank=("rank", "max"),
            times=("top", "sum"),
            listed=("rank", "size"),
        ).assign(sd_rank=each["rank"].std(ddof=0))
        frame = heads.reset_index().join(configurations, on=by).rename(columns={dimension: "value"})
        frames.append(frame.assign(dimension=dimension, top_share=frame["times"] / frame["configurations"]))
    profiles = pd.concat(frames, ignore_index=True)
    return profiles.assign(value=profiles["value"].astype(str))[PROFILES.columns]


def of(profiles: pd.DataFrame, dimension: str = ALL, **values: object) -> pd.DataFrame:
    """The rows of one dimension, with these values."""
    chosen = profiles["dimension"] == dimension
    for name, value in values.items():
        chosen &= profiles[name] == value
    return profiles[chosen]


def mean_ranks(profiles: pd.DataFrame, columns: str) -> pd.DataFrame:
    """Heads × values: the mean rank under each method (or value); heads that one of them does not list are left out.

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


def specialists(profiles: pd.DataFrame, k: int, beyond: int) -> pd.DataFrame:
    """Heads that matter to one question alone: mean rank below k for it, and on average beyond another for the rest.

    Parameters
    ----------
    profiles : rows of one grid and one method, of the dimension ``question``.

    Returns
    -------
    Indexed by (layer, head), by rank: question, rank there, and the mean of the ranks for the other questions.
    """
    ranks = mean_ranks(profiles, "value")
    best = ranks.min(axis=1)
    others = (ranks.sum(axis=1) - best) / max(ranks.shape[1] - 1, 1)
    found = pd.DataFrame({"question": ranks.idxmin(axis=1) if ranks.shape[1] else [], "rank": best, "others": others})
    return found[(found["rank"] < k) & (found["others"] > beyond)].sort_values("rank", kind="stable")


def differences(profiles: pd.DataFrame, a: str, b: str, within: int) -> pd.DataFrame:
    """Heads by how much their mean rank differs between two models, the largest difference first.

    Parameters
    ----------
    profiles : rows of one grid and one method, of the dimension ``model``.
    within : only heads whose better mean rank is at most this: below it, differences are between unimportant heads.

    Returns
    -------
    Indexed by (layer, head): rank_a, rank_b and difference (rank_b − rank_a).
    """
    ranks = mean_ranks(profiles, "value")[[a, b]].set_axis(["rank_a", "rank_b"], axis=1)
    ranks = ranks[ranks.min(axis=1) <= within]
    ranks["difference"] = ranks["rank_b"] - ranks["rank_a"]
    return ranks.loc[ranks["difference"].abs().sort_values(ascending=False, kind="stable").index]


def volatile(profiles: pd.DataFrame) -> pd.DataFrame:
    """Heads that at least half of a method's configurations list, the largest standard deviation of the rank first.

    Parameters
    ----------
    profiles : rows over all configurations.
    """
    enough = profiles[2 * profiles["listed"] >= profiles["configurations"]]
    return enough.sort_values(["sd_rank", "layer", "head"], ascending=[False, True, True])


def leading(profiles: pd.DataFrame, k: int) -> pd.DataFrame:
    """The k heads with the best mean rank, of those that at least half of a method's configurations list.

    Parameters
    ----------
    profiles : rows of one grid and one method, over all configurations.
    """
    return volatile(profiles).nsmallest(k, "mean_rank")


def stable(profiles: pd.DataFrame, k: int) -> pd.DataFrame:
    """The :func:`leading` heads, the smallest standard deviation of the rank first."""
    return leading(profiles, k).sort_values(["sd_rank", "mean_rank"], kind="stable")


def universal(profiles: pd.DataFrame) -> pd.DataFrame:
    """Heads by the share of top sets that hold them, then by mean rank.

    Parameters
    ----------
    profiles : rows of one grid and one method, over all configurations.
    """
    order = ["top_share", "mean_rank", "layer", "head"]
    return profiles.sort_values(order, ascending=[False, True, True, True])

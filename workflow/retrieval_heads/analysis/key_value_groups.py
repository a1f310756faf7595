"""Heads that share keys and values: how many such groups top sets touch, and how far rankings of groups agree.

In grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245) several query heads of a layer read the same keys and
values. Heads of one group look alike more easily than others do, so that a top set can be fewer things than it has
heads. Models in which no two heads share keys are left out of everything here: their groups are their heads.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
import pandas as pd
import scipy  # its parts are imported when first used

from retrieval_heads.analysis.overlap import pairwise
from retrieval_heads.analysis.statistics import holm
from retrieval_heads.analysis.ties import places
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.group_overlap import GROUP_OVERLAP
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.key_value_groups import KEY_VALUE_GROUPS
from retrieval_heads.tables.rankings import RANKINGS

GROUP = "key_value_group"


def sharing(labels: pd.DataFrame) -> pd.DataFrame:
    """The rows of the labels table of models in which heads share keys and values."""
    shared = labels.duplicated(["model", "layer", GROUP], keep=False)
    return labels[shared.groupby(labels["model"]).transform("any")]


def touched_groups(
    rankings: pd.DataFrame, labels: pd.DataFrame, levels: Iterable[int], top_k: int | None = None
) -> pd.DataFrame:
    """How many key-value groups the top sets touch, and how many they would by chance.

    Parameters
    ----------
    rankings, labels : the tables of these names.
    levels : at which to take top sets, beside ``top_k``; those beyond a model's heads are left out.
    top_k : the size of a top set; by default a share of the model's heads.

    Returns
    -------
    The key_value_groups table: a row for each ranking and level at which the top set is not empty. ``p`` is the chance
    that so few groups are touched by as many heads of any layer, ``p_in_layers`` by as many heads in each layer as the
    top set has there: heads of few layers touch few groups already.
    """
    rows = []
    labels = sharing(labels)
    for model, of_model in labels.groupby("model", sort=False):
        sizes = of_model.groupby(["layer", GROUP]).size()
        every = tuple(sizes)
        layers = {layer: tuple(group) for layer, group in sizes.groupby("layer")}
        group_of = of_model.set_index(["layer", "head"])[GROUP]
        ks = sorted({k for k in levels if k <= len(of_model)} | {top_k_for(len(of_model), top_k)})
        for configuration, ranking in rankings[rankings["model"] == model].groupby(list(DIMENSIONS), sort=False):
            for k in ks:
                top = ranking.loc[ranking["last"] <= k, ["layer", "head"]]
                if top.empty:
                    continue
                touched = len({(layer, group_of[layer, head]) for layer, head in top.itertuples(index=False)})
                anywhere = _chances([(every, len(top))])
                within = _chances([(layers[layer], number) for layer, number in Counter(top["layer"]).items()])
                rows.append(
                    {
                        **dict(zip(DIMENSIONS, configuration, strict=True)),
                        "k": k,
                        "size": len(top),
                        "touched": touched,
                        "groups": len(every),
                        "chance": _mean(anywhere),
                        "p": _at_most(anywhere, touched),
                        "layers": top["layer"].nunique(),
                        "chance_in_layers": _mean(within),
                        "p_in_layers": _at_most(within, touched),
                    }
                )
    frame = pd.DataFrame(rows, columns=KEY_VALUE_GROUPS.columns)
    by_level = frame.groupby(["model", "k"])["p_in_layers"]
    return frame.assign(p_in_layers_holm=by_level.transform(holm).astype(float))


def _chances(parts: Sequence[tuple[tuple[int, ...], int]]) -> np.ndarray:
    """The chance of touching t groups, t = 0, 1, …, over parts of a model that are drawn from independently.

    Parameters
    ----------
    parts : of each part the sizes of its groups, and how many heads are drawn there.
    """
    chances = np.ones(1)
    for sizes, heads in parts:
        chances = np.convolve(chances, chance_of_touching(tuple(sorted(sizes)), heads))
    return chances


@cache
def chance_of_touching(sizes: tuple[int, ...], heads: int) -> np.ndarray:
    """The chance that a random set of so many heads touches t of some groups, shape (groups + 1,) for t = 0, 1, ….

    Exact: group by group, the heads that lie in it are a hypergeometric number of those that are left to place.

    Parameters
    ----------
    sizes : of the groups.
    """
    left, chances = sum(sizes), np.zeros((heads + 1, len(sizes) + 1))  # by heads to place, and groups touched
    chances[heads, 0] = 1
    for size in sizes:
        after = np.zeros_like(chances)
        for here in range(min(size, heads) + 1):
            to_place = np.arange(here, heads + 1)
            share = scipy.stats.hypergeom.pmf(here, left, size, to_place)[:, None]
            if here == 0:
                after += share * chances
            else:
                after[: heads + 1 - here, 1:] += share * chances[here:, :-1]
        chances, left = after, left - size
    return chances[0]


def _mean(chances: np.ndarray) -> float:
    return float(chances @ np.arange(len(chances)))


def _at_most(chances: np.ndarray, touched: int) -> float:
    return float(min(1.0, chances[: touched + 1].sum()))


def rank_groups(rankings: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Rankings of key-value groups: each has the place of its best head.

    What is kept or dropped of a cache is a group, and one head that fetches is reason enough to keep it. Going down a
    ranking of heads, groups come in this order. Unlike a sum of scores it means the same for every method: ranks alone
    decide, whatever scale or sign the scores have, and where ranks are all that is known.

    Returns
    -------
    Rankings in the form of the rankings table, in which ``head`` is the group within its layer and all else is that of
    the group's best head, but for ``rank`` and ``last``, which are among groups. Groups whose best heads tie share
    their places; where a ranking names none of a group's heads, it does not name the group.
    """
    of_groups = ["layer", GROUP]
    known = rankings.merge(sharing(labels)[["model", "layer", "head", GROUP]], on=["model", "layer", "head"])
    best = known.sort_values(["rank", "head"]).drop_duplicates([*DIMENSIONS, *of_groups])
    best = best.assign(head=best[GROUP]).sort_values([*DIMENSIONS, "rank", "layer", "head"], ignore_index=True)
    best = best.astype({"rank": float, "last": int})
    for _, rows in best.groupby(list(DIMENSIONS), sort=False):
        best.loc[rows.index, "rank"], best.loc[rows.index, "last"] = places(-rows["rank"].to_numpy())
    return best[RANKINGS.columns]


def group_overlap(rankings: pd.DataFrame, labels: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """Agreement of every two rankings of groups that differ in exactly one dimension.

    Parameters
    ----------
    rankings, labels : the tables of these names.
    top_k : the size of a top set of heads; that of groups is as large a share of the model's.

    Returns
    -------
    The group_overlap table, of the same form as the overlap table, in which ``heads`` is the groups of a layer. Models
    whose layers differ in their number of groups are left out.
    """
    sizes: dict[tuple[Grid, int], list[str]] = {}
    for model, rows in sharing(labels).groupby("model", sort=False):
        groups = rows.groupby("layer")[GROUP].nunique()
        if groups.nunique() == 1:
            sizes.setdefault((Grid(len(groups), int(groups.iloc[0])), len(rows)), []).append(model)
    of_groups, found = rank_groups(rankings, labels), [GROUP_OVERLAP.empty()]
    for (grid, heads), models in sizes.items():
        k = max(1, round(top_k_for(heads, top_k) * grid.total / heads))
        found.append(pairwise(of_groups[of_groups["model"].isin(models)], k))
    return pd.concat(found[1:] or found, ignore_index=True)

"""Which heads of their top sets methods have in common, and which one alone has."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from retrieval_heads.analysis.ties import told_apart

Head = tuple[int, int]
"""Layer, and head within it."""


def sharing(sets: Mapping[str, frozenset[Head]], method: str, heads: int) -> tuple[np.ndarray, np.ndarray]:
    """How many heads of a method 0, 1, … of the others have, and how many that would be were their sets random.

    Parameters
    ----------
    sets : method → heads.
    heads : how many heads the model has.

    Returns
    -------
    The counts and their expectations, each of shape (methods,).
    """
    others = [chosen for name, chosen in sets.items() if name != method]
    times = [sum(head in chosen for chosen in others) for head in sets[method]]
    probability = np.ones(1)
    for chosen in others:
        share = len(chosen) / heads
        probability = np.convolve(probability, [1 - share, share])
    return np.bincount(times, minlength=len(sets)), len(sets[method]) * probability


def shares_of_all(rows: pd.DataFrame, most: int) -> pd.Series:
    """Share of the configurations of all methods whose top set holds a head, above 0, by (layer, head), most first.

    Parameters
    ----------
    rows : profiles of one grid, over all configurations.
    most : how many at most; none that ties with one left out.
    """
    times = (rows["top_share"] * rows["configurations"]).groupby([rows["layer"], rows["head"]]).sum()
    share = times / rows.drop_duplicates("method")["configurations"].sum()
    return told_apart(share[share > 0].to_frame("share"), ["share"], [False], most)["share"]


def chance_of_all(rows: pd.DataFrame) -> float:
    """The share that each head would have of all methods' top sets, were these drawn by lot.

    Parameters
    ----------
    rows : profiles of one grid, over all configurations.
    """
    of_methods = rows.drop_duplicates("method")
    return float(np.average(of_methods["top_chance"], weights=of_methods["configurations"]))


def most_different(ranks: pd.DataFrame, method: str, top: pd.DataFrame, most: int) -> list[Head]:
    """A method's top heads that another ranks lower, by how many times its rank that is, the most first.

    Parameters
    ----------
    ranks : mean ranks, heads × methods, of heads that all methods list.
    top : rows of the method's top heads.
    most : how many at most; none that ties with one left out.
    """
    ranks = ranks[ranks.index.isin(pd.MultiIndex.from_frame(top[["layer", "head"]]))]
    if ranks.shape[1] < 2:
        return []
    times = (ranks.drop(columns=method).max(axis=1) / ranks[method]).to_frame("times")
    return list(told_apart(times[times["times"] > 1], ["times"], [False], most).index)

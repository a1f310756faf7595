"""How far the top heads for two questions lie in the same layers, and how far they would by chance."""

from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import scipy

from retrieval_heads.analysis.overlap import grids, top_heads
from retrieval_heads.study.dimensions import DIMENSIONS


def layer_overlap(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """How far the top heads for every two questions lie in the same layers: 1 − their total variation distance.

    Returns
    -------
    The dimensions but the question, a, b, jaccard (the overlap of the layers' shares, from 0 to 1; so called as it is
    compared in the way that the Jaccard of heads is) and chance (its exact expectation for two random sets of these
    sizes).
    """
    top, grid = top_heads(rankings, top_k), grids(rankings)
    counts = top.groupby([*DIMENSIONS, "layer"]).size().unstack("layer", fill_value=0)
    rows = []
    by = [dimension for dimension in DIMENSIONS if dimension != "question"]
    for configuration, group in counts.groupby(by):
        for a, b in combinations(sorted(group.index.get_level_values("question")), 2):
            one, other = (group.xs(question, level="question").iloc[0].to_numpy() for question in (a, b))
            shared = np.minimum(one / one.sum(), other / other.sum()).sum()
            chance = expected_layer_overlap(*grid[configuration[0]], int(one.sum()), int(other.sum()))
            rows.append((*configuration, a, b, float(shared), chance))
    return pd.DataFrame(rows, columns=[*by, "a", "b", "jaccard", "chance"])


@cache
def expected_layer_overlap(layers: int, per_layer: int, a: int, b: int) -> float:
    """The mean overlap of the layers' shares of two random sets of a and b heads.

    Exact: how many of a random set lie in one layer is hypergeometric, and every layer is alike.
    """
    heads, here = layers * per_layer, np.arange(per_layer + 1)
    one, other = (scipy.stats.hypergeom.pmf(here, heads, per_layer, size) for size in (a, b))
    return float(layers * (np.minimum.outer(here / a, here / b) * np.outer(one, other)).sum())

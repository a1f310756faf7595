"""How much the top heads of two rankings have in common, beside what two random sets would have in common."""

from collections.abc import Collection, Hashable
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from retrieval_heads.errors import StudyError
from retrieval_heads.study import DIMENSIONS
from retrieval_heads.tables import OVERLAP

SHARE_OF_HEADS = 50 / 1024
"""The default size of a top set, as a share of the model's heads: the top 50 of Llama-3-8B's 1,024."""


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
    return float(np.sum(hypergeom.pmf(shared, heads, a, b) * shared / (a + b - shared)))


def chance_of_sharing(heads: int, a: int, b: int, shared: int) -> float:
    """The probability that two random sets of a and b heads share at least so many (one-sided hypergeometric test)."""
    return float(hypergeom.sf(shared - 1, heads, a, b))


def grids(rankings: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Layers and heads per layer of each model, from the highest numbers in its rankings."""
    highest = rankings.groupby("model", sort=False)[["layer", "head"]].max() + 1
    return {model: (int(row["layer"]), int(row["head"])) for model, row in highest.iterrows()}


def top_k_for(heads: int, top_k: int | None = None) -> int:
    """The size of a top set in a model with so many heads.

    Raises
    ------
    StudyError
        when the config asks for more heads than the model has.
    """
    k = top_k if top_k is not None else max(1, round(SHARE_OF_HEADS * heads))
    if k > heads:
        raise StudyError(f"analysis.top_k: {k} is more than the {heads} heads of the model; choose a smaller number.")
    return k


def top_heads(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """The rows of the rankings table that belong to the top sets, with the size asked for as column k.

    A ranking that lists fewer heads than k gives what it lists.
    """
    sizes = {model: top_k_for(layers * heads, top_k) for model, (layers, heads) in grids(rankings).items()}
    k = rankings["model"].map(sizes).astype(int)
    return rankings.assign(k=k)[rankings["rank"] <= k]


def pairwise(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """Jaccard of the top sets of every two configurations that differ in exactly one dimension.

    Parameters
    ----------
    rankings : the rankings table; configurations that it lacks are left out.
    top_k : the size of a top set; by default a share of the model's heads.

    Returns
    -------
    The overlap table. Models are compared only where their grids of heads are equal (see :func:`incomparable_models`).
    """
    grid = grids(rankings)
    sets = {
        configuration: frozenset(zip(group["layer"], group["head"], strict=True))
        for configuration, group in top_heads(rankings, top_k).groupby(list(DIMENSIONS), sort=False)
    }
    rows = []
    for dimension in DIMENSIONS:
        for a, b in _pairs(sorted(sets), dimension):
            if grid[a[0]] != grid[b[0]]:
                continue
            layers, heads = grid[a[0]]
            at = DIMENSIONS.index(dimension)
            rows.append(
                {
                    **dict(zip(DIMENSIONS, a, strict=True)),
                    dimension: None,
                    "dimension": dimension,
                    "a": str(a[at]),
                    "b": str(b[at]),
                    "k": top_k_for(layers * heads, top_k),
                    "jaccard": jaccard(sets[a], sets[b]),
                    "chance": expected_jaccard(layers * heads, len(sets[a]), len(sets[b])),
                }
            )
    frame = pd.DataFrame(rows, columns=OVERLAP.columns)
    return frame.astype({"context_length": "Int64"})


def significance(overlap: pd.DataFrame, rankings: pd.DataFrame) -> pd.Series:
    """For each pair, the chance that random sets share as many heads: a one-sided p, not corrected."""
    grid = grids(rankings)
    listed = rankings.groupby(list(DIMENSIONS)).size()

    def p(row: pd.Series) -> float:
        ends = [
            tuple(row[dimension] if dimension != row["dimension"] else end for dimension in DIMENSIONS)
            for end in _ends(row)
        ]
        a, b = (min(int(row["k"]), int(listed[end])) for end in ends)
        layers, heads = grid[ends[0][0]]
        shared = round(row["jaccard"] * (a + b) / (1 + row["jaccard"]))
        return chance_of_sharing(layers * heads, a, b, shared)

    return pd.Series([p(row) for _, row in overlap.iterrows()], index=overlap.index, dtype=float)


def incomparable_models(rankings: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of models whose heads cannot be matched, for their grids differ."""
    grid = grids(rankings)
    return [(a, b) for a, b in combinations(sorted(grid), 2) if grid[a] != grid[b]]


def summarise(overlap: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean, lowest and highest Jaccard, number of pairs and mean chance level, for each value of the given columns."""
    return (
        overlap.groupby(by, sort=False, dropna=False)
        .agg(
            jaccard=("jaccard", "mean"),
            lowest=("jaccard", "min"),
            highest=("jaccard", "max"),
            pairs=("jaccard", "size"),
            chance=("chance", "mean"),
        )
        .reset_index()
    )


def _pairs(configurations: list[tuple], dimension: str) -> list[tuple[tuple, tuple]]:
    at = DIMENSIONS.index(dimension)
    siblings: dict[tuple, list[tuple]] = {}
    for configuration in configurations:
        siblings.setdefault(configuration[:at] + configuration[at + 1 :], []).append(configuration)
    return [pair for group in siblings.values() for pair in combinations(group, 2)]


def _ends(row: pd.Series) -> tuple:
    """The two values a pair differs in, as the rankings table has them."""
    ends = (row["a"], row["b"])
    return tuple(int(end) for end in ends) if row["dimension"] == "context_length" else ends

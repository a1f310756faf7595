"""How much the rankings of two configurations agree, beside what two random ones would."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
import pandas as pd

from retrieval_heads.analysis.similarity import (
    chance_of_sharing,
    expected_jaccard,
    expected_rank_biased_overlap,
    jaccard,
    rank_biased_overlap,
    spearman,
)
from retrieval_heads.analysis.ties import Places, listed
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.heads import GRID, Grid
from retrieval_heads.tables.overlap import OVERLAP
from retrieval_heads.tables.unions import UNIONS


def grids(rankings: pd.DataFrame) -> dict[str, Grid]:
    """The grid of each model's heads, from the highest numbers in its rankings."""
    highest = rankings.groupby("model", sort=False)[["layer", "head"]].max() + 1
    return {model: Grid(int(row["layer"]), int(row["head"])) for model, row in highest.iterrows()}


def with_grids(frame: pd.DataFrame, rankings: pd.DataFrame) -> pd.DataFrame:
    """A frame with its models' layers, and heads in each, as further columns."""
    known = grids(rankings)
    return frame.assign(
        layers=frame["model"].map({model: grid.layers for model, grid in known.items()}),
        heads=frame["model"].map({model: grid.heads for model, grid in known.items()}),
    )


def unequal_totals(rankings: pd.DataFrame) -> dict[str, int]:
    """The number of heads of each model, if models differ in it: as many heads are then another share of each."""
    total = {model: grid.total for model, grid in grids(rankings).items()}
    return total if len(set(total.values())) > 1 else {}


def persistence_for(k: int) -> float:
    """The persistence of rank-biased overlap that gives the first k places the most weight."""
    return 1 - 1 / max(k, 2)


def top_heads(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """The rows of the rankings table that belong to the top sets, with the level asked for as column k.

    A top set ends where heads are no longer told apart (:mod:`~retrieval_heads.analysis.ties`), and may hold fewer than
    k, or none.
    """
    sizes = {model: top_k_for(grid.total, top_k) for model, grid in grids(rankings).items()}
    k = rankings["model"].map(sizes).astype(int)
    return rankings.assign(k=k)[rankings["last"] <= k]


@dataclass(frozen=True)
class Ranking:
    """One ranking, ready to be compared with others of the same grid of heads.

    Parameters
    ----------
    places : of all heads of the model, head layer × heads per layer + head; those that the ranking does not name tie
        last.
    k : the level of the top set.
    """

    places: Places
    k: int

    @classmethod
    def of(cls, rows: pd.DataFrame, grid: Grid, k: int) -> "Ranking":
        """From the rows of a rankings table that belong to one configuration of a model with this grid."""
        named = (rows["layer"] * grid.heads + rows["head"]).to_numpy()
        among = Places(rows["rank"].to_numpy(float), rows["last"].to_numpy(int))
        return cls(listed(grid.total, named, among), k)

    @cached_property
    def top(self) -> frozenset[int]:
        """The heads that are told apart from those left out, at most k."""
        return frozenset(np.flatnonzero(self.places.last <= self.k).tolist())

    def compare(self, other: "Ranking") -> dict[str, float]:
        """Sizes and Jaccard of the top sets with chance level and p value, rank-biased overlap, Spearman's correlation.

        Where a top set is empty there is no Jaccard.
        """
        heads, sizes, persistence = len(self.places.rank), (len(self.top), len(other.top)), persistence_for(self.k)
        known = min(sizes) > 0
        return {
            "size_a": sizes[0],
            "size_b": sizes[1],
            "jaccard": jaccard(self.top, other.top) if known else np.nan,
            "chance": expected_jaccard(heads, *sizes) if known else np.nan,
            "p": chance_of_sharing(heads, *sizes, len(self.top & other.top)) if known else np.nan,
            "rbo": rank_biased_overlap(self.places, other.places, persistence),
            "rbo_chance": expected_rank_biased_overlap(heads, persistence),
            "spearman": spearman(self.places.rank, other.places.rank),
        }


def pairwise(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """Agreement of every two configurations that differ in exactly one dimension.

    Parameters
    ----------
    rankings : the rankings table; configurations that it lacks are left out.
    top_k : the size of a top set; by default a share of the model's heads.

    Returns
    -------
    The overlap table; its p is one-sided and not corrected. Models are compared only where their grids of heads are
    equal (see :func:`incomparable_models`).
    """
    grid = grids(rankings)
    each = {}
    for configuration, group in rankings.groupby(list(DIMENSIONS), sort=False):
        own = grid[configuration[0]]
        each[configuration] = Ranking.of(group, own, top_k_for(own.total, top_k))
    rows = []
    for at, dimension in enumerate(DIMENSIONS):
        for a, b in _pairs(sorted(each), dimension):
            if grid[a[0]] == grid[b[0]]:
                rows.append(
                    {
                        **dict(zip(DIMENSIONS, a, strict=True)),
                        dimension: None,
                        "dimension": dimension,
                        "a": str(a[at]),
                        "b": str(b[at]),
                        **grid[a[0]]._asdict(),
                        "k": each[a].k,
                        **each[a].compare(each[b]),
                    }
                )
    frame = pd.DataFrame(rows, columns=OVERLAP.columns)
    return frame.astype({"context_length": "Int64"})


def unions(rankings: pd.DataFrame, categories: Mapping[str, str], top_k: int | None = None) -> pd.DataFrame:
    """Jaccard of the heads in the top set of any configuration, for each two methods, questions and categories.

    What has no head in any top set has no row. The more configurations there are, the larger such unions grow, and the
    more they share by chance alone.

    Parameters
    ----------
    rankings : the rankings table.
    categories : question → category.
    top_k : the size of a top set.

    Returns
    -------
    The unions table: a row for each two values in a variant; models with equal grids are taken together.
    """
    top = top_heads(rankings, top_k)
    top = with_grids(top, rankings).assign(category=top["question"].map(categories))
    rows = []
    for (layers, heads, variant), group in top.groupby([*GRID, "variant"]):
        grid = Grid(layers, heads)
        for dimension in ("method", "question", "category"):
            sets = {
                value: frozenset(zip(rows_["layer"], rows_["head"], strict=True))
                for value, rows_ in group.groupby(dimension)
            }
            for a, b in combinations(sorted(sets), 2):
                sizes = len(sets[a]), len(sets[b])
                rows.append(
                    {
                        **grid._asdict(),
                        "variant": variant,
                        "dimension": dimension,
                        "a": a,
                        "b": b,
                        "k": group["k"].iloc[0],
                        "heads_a": sizes[0],
                        "heads_b": sizes[1],
                        "jaccard": jaccard(sets[a], sets[b]),
                        "chance": expected_jaccard(grid.total, *sizes),
                    }
                )
    return pd.DataFrame(rows, columns=UNIONS.columns)


def incomparable_models(rankings: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of models whose heads cannot be matched, for their grids differ."""
    grid = grids(rankings)
    return [(a, b) for a, b in combinations(sorted(grid), 2) if grid[a] != grid[b]]


def summarise(overlap: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """For each value of the given columns: Jaccard (mean, population sd, extremes), RBO, Spearman, chance levels."""
    return (
        overlap.groupby(by, sort=False, dropna=False)
        .agg(
            jaccard=("jaccard", "mean"),
            sd=("jaccard", lambda values: values.std(ddof=0)),
            lowest=("jaccard", "min"),
            highest=("jaccard", "max"),
            pairs=("jaccard", "size"),
            chance=("chance", "mean"),
            rbo=("rbo", "mean"),
            rbo_chance=("rbo_chance", "mean"),
            spearman=("spearman", "mean"),
        )
        .reset_index()
    )


def _pairs(configurations: list[tuple], dimension: str) -> list[tuple[tuple, tuple]]:
    at = DIMENSIONS.index(dimension)
    siblings: dict[tuple, list[tuple]] = {}
    for configuration in configurations:
        siblings.setdefault(configuration[:at] + configuration[at + 1 :], []).append(configuration)
    return [pair for group in siblings.values() for pair in combinations(group, 2)]

"""What is asked of how far rankings agree: along context length, between methods, and beside noise."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from retrieval_heads.analysis.hypotheses._rows import (
    beyond_chance,
    paired_rows,
    relabeled_rows,
    shared_beyond_chance,
    test_row,
)
from retrieval_heads.analysis.statistics import friedman
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.study.study import Study
from retrieval_heads.tables.tests import AGREEMENT_BY_LENGTH, LENGTH_BREAK, NOISE

_BUT_LENGTH = [name for name in CELL if name != "context_length"]


def breaks_between_lengths(study: Study, overlap: pd.DataFrame) -> Iterator[dict]:
    """Do rankings change between two neighbouring lengths more than between the other neighbours?"""
    pairs = beyond_chance(overlap[overlap["dimension"] == "context_length"])
    lengths = sorted({int(length) for length in [*pairs["a"], *pairs["b"]]})
    if len(lengths) < 3:
        return
    position = {str(length): i for i, length in enumerate(lengths)}
    for method, group in pairs.groupby("method"):
        named = sorted({*group["a"], *group["b"]}, key=position.__getitem__)
        positions = np.array([position[length] for length in named])
        neighbours = positions[None, :] == positions[:, None] + 1
        shared = [shared_beyond_chance(rows, named) for _, rows in group.groupby(_BUT_LENGTH)]
        shared = [values for values in shared if not np.isnan(values).any()]
        if len(shared) > 1 and neighbours.sum() > 2:
            result = friedman(np.array([values[neighbours] for values in shared]))
            yield test_row(LENGTH_BREAK, "context_length", result, "ranking group", len(shared), method=method)
        for a, b in zip(*np.nonzero(neighbours), strict=True):
            here = np.zeros_like(neighbours)
            here[a, b] = True
            blocks = [(values, here, neighbours & ~here) for values in shared]
            names = {"a": named[a], "b": named[b], "method": method}
            yield from relabeled_rows(study, LENGTH_BREAK, "context_length", blocks, **names)


def methods_against_noise(study: Study, overlap: pd.DataFrame, reliability: pd.DataFrame | None) -> Iterator[dict]:
    """Do two methods agree less than each agrees with itself on other documents?"""
    if reliability is None or reliability.empty:
        return
    noise = beyond_chance(reliability).groupby([*CELL, "method"])["beyond"].mean().unstack("method")
    pairs = beyond_chance(overlap[overlap["dimension"] == "method"])
    for (a, b), group in pairs.groupby(["a", "b"]):
        if {a, b} <= set(noise.columns):
            own = noise[[a, b]].reindex(pd.MultiIndex.from_frame(group[CELL])).to_numpy().mean(axis=1)
            differences = group["beyond"].to_numpy() - own
            known = differences[~np.isnan(differences)]
            yield from paired_rows(study, NOISE, "method", known, "configuration", a=a, b=b)


def methods_by_length(study: Study, overlap: pd.DataFrame) -> Iterator[dict]:
    """Do the methods agree more at some context lengths than at others?"""
    pairs = beyond_chance(overlap[overlap["dimension"] == "method"])
    values = pairs.pivot_table(index=[*_BUT_LENGTH, "a", "b"], columns="context_length", values="beyond").dropna()
    order = sorted(values.columns)
    if len(order) > 2 and len(values) > 1:
        result = friedman(values[order].to_numpy())
        yield test_row(AGREEMENT_BY_LENGTH, "context_length", result, "ranking pair", len(values))
    for a, b in combinations(order, 2):
        differences = (values[a] - values[b]).to_numpy()
        names = {"a": str(a), "b": str(b)}
        yield from paired_rows(study, AGREEMENT_BY_LENGTH, "context_length", differences, "ranking pair", **names)

"""Pairs of rankings (or of unions of top sets) by what they differ in, ready to be shown."""

from collections.abc import Mapping

import pandas as pd

from retrieval_heads.analysis.summaries import Summary, summary


def pairs_along(table: pd.DataFrame, dimension: str) -> pd.DataFrame:
    """The rows of the overlap or the unions table whose pairs differ in a dimension."""
    return table[table["dimension"] == dimension]


def top_sets_along(table: pd.DataFrame, dimension: str) -> pd.DataFrame:
    """Those of them that have a Jaccard, for both top sets have heads."""
    return pairs_along(table, dimension).dropna(subset="jaccard")


def measured_pairs(pairs: pd.DataFrame, measure: str = "jaccard") -> dict[frozenset[str], tuple[Summary, float]]:
    """For each two values that were compared, a summary of a measure and its mean chance level.

    Parameters
    ----------
    measure : jaccard, rbo or spearman.
    """
    return {
        frozenset(values): (summary(rows[measure]), chance_level(rows, measure))
        for values, rows in pairs.groupby(["a", "b"])
    }


def chance_level(pairs: pd.DataFrame, measure: str = "jaccard") -> float:
    """The mean of a measure for random rankings: 0 for a correlation.

    Parameters
    ----------
    measure : jaccard, rbo or spearman.
    """
    if measure == "spearman":
        return 0.0
    return pairs["chance" if measure == "jaccard" else f"{measure}_chance"].mean()


BETWEEN = ""
"""The category of a pair of questions that have none in common."""


def with_category(pairs: pd.DataFrame, categories: Mapping[str, str]) -> pd.DataFrame:
    """Pairs of questions that have a Jaccard, with the category that both belong to, or :data:`BETWEEN`.

    Parameters
    ----------
    pairs : the overlap or the unions table.
    categories : question → category.
    """
    pairs = top_sets_along(pairs, "question")
    a, b = (pairs[end].map(categories) for end in ("a", "b"))
    return pairs.assign(category=a.where(a == b, BETWEEN))

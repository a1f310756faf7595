"""The drop of accuracy in each single configuration: a model, a method, a question and a context length."""

from collections.abc import Mapping, Sequence

import pandas as pd

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables.select import select


def configurations(effects: pd.DataFrame, categories: Mapping[str, str]) -> pd.DataFrame:
    """The drop of each single configuration and level, with its question's category.

    Parameters
    ----------
    effects : the effects table, of one intervention.
    categories : question → category.
    """
    rows = select(effects)
    return rows.assign(category=rows["question"].map(categories))


def over_levels(drops: pd.DataFrame) -> pd.DataFrame:
    """The mean drop of each configuration over all levels, as rows whose k is null."""
    means = drops.groupby([*DIMENSIONS, "category"], as_index=False)["drop"].mean()
    return means.assign(k=pd.NA)


def against_first_model(drops: pd.DataFrame, models: Sequence[str]) -> pd.DataFrame:
    """Each configuration's drop in a model, and the same configuration's in the first of the models (drop_first).

    Parameters
    ----------
    drops : from :func:`configurations`, of one level.
    """
    by = [name for name in DIMENSIONS if name != "model"]
    first = drops[drops["model"] == models[0]][[*by, "drop"]]
    return drops[drops["model"].isin(models[1:])].merge(first, on=by, suffixes=("", "_first"))

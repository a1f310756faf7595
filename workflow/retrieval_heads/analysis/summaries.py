"""Means and ranges of rows of the analysis' tables, for figures that show several of them as one."""

import pandas as pd

from retrieval_heads.study.dimensions import DIMENSIONS


def over_levels(drops: pd.DataFrame) -> pd.DataFrame:
    """The mean drop of each configuration over all levels of ablation, as rows whose k is null.

    Parameters
    ----------
    drops : rows of the effects table, with their question's category.
    """
    means = drops.groupby([*DIMENSIONS, "category"], as_index=False)["drop"].mean()
    return means.assign(k=pd.NA)


def envelope(rows: pd.DataFrame, by: str, name: str) -> pd.DataFrame:
    """Several estimates as one band: their mean, and the ends of all their intervals together.

    Parameters
    ----------
    rows : of a table with the columns name, name_low and name_high.
    by : the column whose values have a band each.

    Returns
    -------
    Columns low, mean and high, indexed by the values.
    """
    return rows.groupby(by).agg(low=(f"{name}_low", "min"), mean=(name, "mean"), high=(f"{name}_high", "max"))

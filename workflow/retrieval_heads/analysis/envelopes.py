"""Where several intervals are shown as one: from the lowest of their ends to the highest, with the mean between."""

import pandas as pd


def envelope(rows: pd.DataFrame, by: str, value: str, low: str = "", high: str = "", weight: str = "") -> pd.DataFrame:
    """For each value of a column the lowest end, the mean and the highest end of the intervals of its rows.

    Parameters
    ----------
    rows : estimates with their intervals, such as the controls of several methods.
    by : the column to group by.
    value : the column of estimates.
    low, high : the columns with the ends; by default ``{value}_low`` and ``{value}_high``.
    weight : the column to weight the mean by; by default all rows count alike.

    Returns
    -------
    Columns low, mean and high, indexed by the values of ``by``, sorted.
    """
    grouped = rows.groupby(by)
    if weight:
        weighted = (rows[value] * rows[weight]).groupby(rows[by]).sum()
        mean = weighted / grouped[weight].sum()
    else:
        mean = grouped[value].mean()
    ends = {"low": grouped[low or f"{value}_low"].min(), "mean": mean, "high": grouped[high or f"{value}_high"].max()}
    return pd.DataFrame(ends)

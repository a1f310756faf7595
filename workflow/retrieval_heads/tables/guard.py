"""The guard table: what a model makes of prose with a head set ablated."""

from collections.abc import Iterable

import pandas as pd

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    HEAD_SET,
    HEAD_SET_KEY,
    HEAD_SET_NULLABLE,
    INTEGER,
    INTERVENTION,
    NUMBER,
    dimensions,
)

GUARD = Table(
    "guard",
    (
        *dimensions(CELL),
        *HEAD_SET,
        *INTERVENTION,
        ("logprob", NUMBER),
        ("change", NUMBER),
        ("tokens", INTEGER),
    ),
    key=(*CELL, *HEAD_SET_KEY, "intervention"),
    nullable=HEAD_SET_NULLABLE,
)

LANGUAGE_WHOLE, LANGUAGE_BROKEN = 0.1, 1.0
"""Losses of log-probability of prose, in nats per token: up to the first a model's language counts as whole, from the
second on as broken. They raise its perplexity by a tenth, and by a factor of e."""


def guard_at(guard: pd.DataFrame, by: Iterable[str] = ("model", "method", "k")) -> pd.DataFrame:
    """What ablation does to the log-probability of prose, over all questions, lengths and draws of the guard table.

    Returns
    -------
    For each source (method and random), matching ("" for a method's own heads) and value of ``by``: mean, lowest and
    highest change in nats per token, the number of sets, and the mean share of heads that were matched.
    """
    rows = guard[guard["source"].isin(["method", "random"])]
    rows = rows.assign(matching=rows["matching"].astype(object).where(rows["matching"].notna(), ""))
    grouped = rows.groupby(["source", "matching", *by], sort=True)
    of = {"change": ("change", "mean"), "lowest": ("change", "min"), "highest": ("change", "max")}
    return grouped.agg(**of, sets=("change", "size"), matched=("matched", "mean")).reset_index()

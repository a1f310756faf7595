"""The specificity table: what a model answers to facts and sums that no context states, with a head set ablated."""

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    ANSWERED,
    ANSWERED_NULLABLE,
    HEAD_SET,
    HEAD_SET_KEY,
    HEAD_SET_NULLABLE,
    INTERVENTION,
    TEXT,
    dimensions,
)

SPECIFICITY = Table(
    "specificity",
    (
        *dimensions(CELL),
        ("kind", TEXT),
        ("item", TEXT),
        *HEAD_SET,
        *INTERVENTION,
        *ANSWERED,
    ),
    key=(*CELL, "kind", "item", *HEAD_SET_KEY, "intervention"),
    # With no head ablated, it is no question's heads that are.
    nullable=HEAD_SET_NULLABLE | ANSWERED_NULLABLE | {"question"},
)

FEWEST_ITEMS = 20
"""So many items of a kind the whole model must answer, or nothing is said of what it loses of that kind."""

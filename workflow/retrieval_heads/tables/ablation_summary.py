"""The ablation_summary table: how many answers are right under each head set."""

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

ABLATION_SUMMARY = Table(
    "ablation_summary",
    (
        *dimensions(CELL),
        *HEAD_SET,
        *INTERVENTION,
        ("accuracy", NUMBER),
        ("correct", INTEGER),
        ("total", INTEGER),
    ),
    key=(*CELL, *HEAD_SET_KEY, "intervention"),
    nullable=HEAD_SET_NULLABLE,
)

"""The ablation_summary table: how many answers are right under each head set."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    HEAD_SET,
    HEAD_SET_KEY,
    HEAD_SET_NULLABLE,
    INTEGER,
    INTERVENTION,
    NUMBER,
    TEXT,
)

ABLATION_SUMMARY = Table(
    "ablation_summary",
    (
        ("model", TEXT),
        ("question", TEXT),
        ("context_length", INTEGER),
        *HEAD_SET,
        *INTERVENTION,
        ("accuracy", NUMBER),
        ("correct", INTEGER),
        ("total", INTEGER),
    ),
    key=("model", "question", "context_length", *HEAD_SET_KEY, "intervention"),
    nullable=HEAD_SET_NULLABLE,
)

"""The ablation table: what a model answers with a head set ablated."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    ANSWERED,
    HEAD_SET,
    HEAD_SET_KEY,
    HEAD_SET_NULLABLE,
    INTEGER,
    INTERVENTION,
    NUMBER,
    TEXT,
)

ABLATION = Table(
    "ablation",
    (
        ("model", TEXT),
        ("question", TEXT),
        ("context_length", INTEGER),
        ("depth", NUMBER),
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        *HEAD_SET,
        *INTERVENTION,
        *ANSWERED,
    ),
    key=("model", "prompt_id", *HEAD_SET_KEY, "intervention"),
    nullable=HEAD_SET_NULLABLE,
)

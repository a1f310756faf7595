"""The ablation table: what a model answers with a head set ablated."""

from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    BOOLEAN,
    HEAD_SET,
    HEAD_SET_KEY,
    HEAD_SET_NULLABLE,
    INTERVENTION,
    NUMBER,
    PROMPT_KEY,
    TEXT,
    dimensions,
)

ABLATION = Table(
    "ablation",
    (
        *dimensions(PROMPT),
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        *HEAD_SET,
        *INTERVENTION,
        ("answer", TEXT),
        ("generated", TEXT),
        ("correct", BOOLEAN),
        ("contains", BOOLEAN),
        ("outcome", TEXT),
        ("answer_logprob", NUMBER),
    ),
    key=(*PROMPT_KEY, *HEAD_SET_KEY, "intervention"),
    nullable=HEAD_SET_NULLABLE,
)

"""The compensation table: what the answer to a prompt loses without a head set, and what the set restores by itself."""

from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    HEAD_SET,
    HEAD_SET_KEY,
    HEAD_SET_NULLABLE,
    INTERVENTION,
    NUMBER,
    PROMPT_KEY,
    TEXT,
    dimensions,
)

COMPENSATION = Table(
    "compensation",
    (
        *dimensions(PROMPT),
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        *HEAD_SET,
        *INTERVENTION,
        ("effect", NUMBER),
        ("singles", NUMBER),
        ("direct", NUMBER),
        ("total", NUMBER),
        ("answer_logodds", NUMBER),
        ("twin_logodds", NUMBER),
        ("restored_logodds", NUMBER),
    ),
    key=(*PROMPT_KEY, *HEAD_SET_KEY, "intervention"),
    # Single heads are measured of top sets alone, and log-odds where what replaces outputs comes from a twin.
    nullable=HEAD_SET_NULLABLE | {"singles", "answer_logodds", "twin_logodds", "restored_logodds"},
)

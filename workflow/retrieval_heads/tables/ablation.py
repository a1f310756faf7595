"""The ablation table: what a model answers with a head set ablated."""

from dataclasses import replace

from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    ANSWERED,
    ANSWERED_NULLABLE,
    HEAD_SET,
    HEAD_SET_KEY,
    HEAD_SET_NULLABLE,
    INTERVENTION,
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
        *ANSWERED,
    ),
    key=(*PROMPT_KEY, *HEAD_SET_KEY, "intervention"),
    nullable=HEAD_SET_NULLABLE | ANSWERED_NULLABLE,
)

ABLATION_SHARD = replace(ABLATION, nullable=ABLATION.nullable | {name for name, _ in ANSWERED})
"""What a job writes of it. The rows of the baseline say which prompts the job asks, and are left open: what the whole
model answers to these is known to the unablated table."""

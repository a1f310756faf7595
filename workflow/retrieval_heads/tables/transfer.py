"""The transfer table: what a model answers to one question without the top heads of another."""

from dataclasses import replace

from retrieval_heads.tables.ablation import ABLATION, ABLATION_SHARD
from retrieval_heads.tables.columns import TEXT

_SOURCE = "source_question"

TRANSFER = replace(
    ABLATION,
    name="transfer",
    fields=((_SOURCE, TEXT), *ABLATION.fields),
    key=(_SOURCE, *ABLATION.key),
    nullable=ABLATION.nullable | {_SOURCE},
)
"""The columns of the ablation table, and ``source_question``, whose top heads the head set is made of; ``question`` is
the target, which is asked."""

TRANSFER_SHARD = replace(TRANSFER, nullable=TRANSFER.nullable | ABLATION_SHARD.nullable)
"""What a job writes of it, as of the ablation table."""

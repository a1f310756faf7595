"""The transfer_drops table: what the top heads of each question cost each question."""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, INTERVENTION, TEXT, dimensions, estimate

_ENDS = frozenset({"logprob_drop_low", "logprob_drop_high"})

TRANSFER_DROPS = Table(
    "transfer_drops",
    (
        *dimensions(DIMENSIONS),
        *INTERVENTION,
        ("source_question", TEXT),
        ("size", INTEGER),
        *estimate("drop"),
        *estimate("logprob_drop"),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*DIMENSIONS, "intervention", "source_question"),
    # A single document tells nothing of others.
    nullable=_ENDS,
)

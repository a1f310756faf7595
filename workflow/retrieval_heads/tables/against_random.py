"""The against_random table: what ablating as many random heads does to accuracy."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    ABLATED,
    ABLATED_KEY,
    ABLATED_NULLABLE,
    INTEGER,
    NUMBER,
    TESTED,
    TEXT,
    estimate,
)

AGAINST_RANDOM = Table(
    "against_random",
    (
        *ABLATED,
        ("matching", TEXT),
        ("matched", NUMBER),
        ("draws", INTEGER),
        *estimate("accuracy"),
        *estimate("drop"),
        *estimate("difference"),
        *TESTED,
    ),
    key=(*ABLATED_KEY, "matching"),
    nullable=ABLATED_NULLABLE | {"matched"},
)
"""As many random heads ablated, averaged over draws: accuracy, drop, and how much more the top k cost (difference)."""

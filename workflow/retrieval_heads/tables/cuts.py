"""The cuts table: how far the last head of each top set stands above the first head outside of it."""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, RANKING, estimate

CUTS = Table(
    "cuts",
    (
        *RANKING,
        ("k", INTEGER),
        ("size", INTEGER),
        *estimate("gap"),
        ("noise", NUMBER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*DIMENSIONS, "k"),
    nullable=frozenset({"gap_low", "gap_high"}),
)
"""A single document has no interval. Where no head is told apart, or all are in the top set, there is no cut."""

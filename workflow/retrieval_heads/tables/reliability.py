"""The reliability table: how far rankings from two halves of the documents agree."""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import AGREEMENT, AGREEMENT_NULLABLE, INTEGER, RANKING

RELIABILITY = Table(
    "reliability",
    (
        *RANKING,
        ("split", INTEGER),
        ("documents", INTEGER),
        ("k", INTEGER),
        ("size_a", INTEGER),
        ("size_b", INTEGER),
        *AGREEMENT,
    ),
    key=(*DIMENSIONS, "split"),
    nullable=AGREEMENT_NULLABLE,
)

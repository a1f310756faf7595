"""The overlap table: how far two rankings agree."""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import AGREEMENT, AGREEMENT_NULLABLE, INTEGER, RANKING, SHAPE, TEXT

OVERLAP = Table(
    "overlap",
    (
        ("dimension", TEXT),
        ("a", TEXT),
        ("b", TEXT),
        *RANKING,
        *SHAPE,
        ("k", INTEGER),
        ("size_a", INTEGER),
        ("size_b", INTEGER),
        *AGREEMENT,
    ),
    key=("dimension", "a", "b", *DIMENSIONS),
    # The dimension along which a pair differs has no single value.
    nullable=frozenset(DIMENSIONS) | AGREEMENT_NULLABLE,
)

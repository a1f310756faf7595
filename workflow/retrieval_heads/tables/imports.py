"""The imports table: how far lists of heads from elsewhere agree with the rankings."""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import AGREEMENT, AGREEMENT_NULLABLE, INTEGER, RANKING, TEXT

IMPORTS = Table(
    "imports",
    (
        ("import", TEXT),
        *RANKING,
        ("k", INTEGER),
        ("listed", INTEGER),
        ("size_a", INTEGER),
        ("size_b", INTEGER),
        *AGREEMENT,
    ),
    key=("import", *DIMENSIONS),
    nullable=AGREEMENT_NULLABLE,
)

"""The same_heads table: whether the same heads are on top in two settings, but for the noise of rankings."""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, RANKING, TEXT, estimate

SAME_HEADS = Table(
    "same_heads",
    (
        ("dimension", TEXT),
        ("a", TEXT),
        ("b", TEXT),
        *RANKING,
        ("k", INTEGER),
        ("between", NUMBER),
        *estimate("within_a"),
        *estimate("within_b"),
        *estimate("sameness"),
        ("verdict", TEXT),
        ("configurations", INTEGER),
        ("splits", INTEGER),
        ("documents", INTEGER),
    ),
    key=("dimension", "a", "b", *DIMENSIONS),
    # The dimension along which two settings differ has no single value, nor has what is pooled. There is no sameness
    # where rankings do not agree with themselves.
    nullable=frozenset(
        {
            *DIMENSIONS,
            "between",
            *(f"{n}{end}" for n in ("within_a", "within_b", "sameness") for end in ("", "_low", "_high")),
        }
        - {"model", "method"}
    ),
)

SAME, DIFFERENT, UNTOLD = "same", "different", "untold"
"""The verdicts."""

ALIKE = 0.8
"""The sameness above which heads count as the same, and below which as different."""

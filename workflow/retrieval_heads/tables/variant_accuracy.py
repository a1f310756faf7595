"""The variant_accuracy table: what the whole model answers in each variant of the prompts, beside the plain one."""

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, dimensions, estimate

VARIANT_ACCURACY = Table(
    "variant_accuracy",
    (
        *dimensions(CELL),
        *estimate("accuracy"),
        *estimate("guess"),
        ("decoyed", NUMBER),
        *estimate("difference"),
        ("p", NUMBER),
        ("p_holm", NUMBER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
        ("shared_prompts", INTEGER),
    ),
    key=tuple(CELL),
    # The plain variant is compared with none.
    nullable=frozenset({"question", "context_length", "p", "p_holm", *(n for n, _ in estimate("difference"))}),
)
"""The difference is that from the plain variant, over the prompts that both have."""

"""The look_summary table: what every head looks at on average, in the rows that produce right answers."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, SHAPE, dimensions, estimate
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.looks import KINDS

BEYOND = "beyond_chance"
"""What is at the answer less what would be of a head that looks for the token alone."""

LOOK_SUMMARY = Table(
    "look_summary",
    (
        *dimensions(OVER),
        *SHAPE,
        ("layer", INTEGER),
        ("head", INTEGER),
        *(column for name in (*KINDS, BEYOND) for column in estimate(name)),
        ("p_family", NUMBER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*OVER, "layer", "head"),
    # A single document tells nothing of others.
    nullable=frozenset(f"{name}_{end}" for name in (*KINDS, BEYOND) for end in ("low", "high")),
)

"""The head_effect_summary table: what every head by itself is worth on average."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, SHAPE, TEXT, dimensions, estimate

OVER = ("model", "context_length", "variant")
"""The dimensions that effects of heads are not averaged over."""

HEAD_EFFECT_SUMMARY = Table(
    "head_effect_summary",
    (
        *dimensions(OVER),
        ("mode", TEXT),
        *SHAPE,
        ("layer", INTEGER),
        ("head", INTEGER),
        *estimate("effect"),
        *estimate("logodds_effect"),
        ("rank", NUMBER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*OVER, "mode", "layer", "head"),
    # A single document tells nothing of others, and only a mode with twins has an answer to hold this one against.
    nullable=frozenset(
        {"effect_low", "effect_high", "logodds_effect", "logodds_effect_low", "logodds_effect_high"},
    ),
)

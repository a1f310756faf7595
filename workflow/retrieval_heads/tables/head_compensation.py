"""The head_compensation table: what each head of the top sets writes into answers, and what they lose without it."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import BOOLEAN, INTEGER, INTERVENTION, NUMBER, dimensions, estimate
from retrieval_heads.tables.head_effect_summary import OVER

_ESTIMATES = ("direct", "total", "repair")

HEAD_COMPENSATION = Table(
    "head_compensation",
    (
        *dimensions(OVER),
        *INTERVENTION,
        ("layer", INTEGER),
        ("head", INTEGER),
        *(field for name in _ESTIMATES for field in estimate(name)),
        ("p", NUMBER),
        ("p_family", NUMBER),
        ("backed_up", BOOLEAN),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*OVER, "intervention", "layer", "head"),
    # A single document has no interval; heads that hardly matter are not tested, and of others it may not be told.
    nullable=frozenset({f"{name}_{end}" for name in _ESTIMATES for end in ("low", "high")}) | {"p_family", "backed_up"},
)

"""The needed_or_carrying table: what an answer needs each head for, beside what the head carries of it."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, SHAPE, TEXT, dimensions, estimate
from retrieval_heads.tables.head_effect_summary import OVER

# What the two numbers of a head say of it: the values of `role`.
NEEDED_ONLY, BOTH, BACKED_UP = "needed only", "needed and carrying", "backed up"

NEEDED_OR_CARRYING = Table(
    "needed_or_carrying",
    (
        *dimensions(OVER),
        *SHAPE,
        ("layer", INTEGER),
        ("head", INTEGER),
        ("needed_mode", TEXT),
        ("carrying_mode", TEXT),
        *estimate("needed"),
        *estimate("carrying"),
        *estimate("difference"),
        ("p", NUMBER),
        ("p_family", NUMBER),
        ("role", TEXT),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*OVER, "layer", "head"),
    nullable=frozenset({f"{name}_{end}" for name in ("needed", "carrying", "difference") for end in ("low", "high")})
    | {"p_family", "role"},
)

"""The unions table: how far the heads agree that any ranking of a value has in its top set."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, SHAPE, TEXT, dimensions
from retrieval_heads.tables.heads import GRID

UNIONS = Table(
    "unions",
    (
        *SHAPE,
        *dimensions(["variant"]),
        ("dimension", TEXT),
        ("a", TEXT),
        ("b", TEXT),
        ("k", INTEGER),
        ("heads_a", INTEGER),
        ("heads_b", INTEGER),
        ("jaccard", NUMBER),
        ("chance", NUMBER),
    ),
    key=(*GRID, "variant", "dimension", "a", "b"),
)

"""The profiles table: where each head stands over many rankings."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, SHAPE, TEXT, dimensions
from retrieval_heads.tables.heads import GRID

PROFILES = Table(
    "profiles",
    (
        *SHAPE,
        *dimensions(["variant", "method"]),
        ("dimension", TEXT),
        ("value", TEXT),
        ("layer", INTEGER),
        ("head", INTEGER),
        ("mean_rank", NUMBER),
        ("sd_rank", NUMBER),
        ("best_rank", NUMBER),
        ("worst_rank", NUMBER),
        ("top_share", NUMBER),
        ("top_chance", NUMBER),
        ("listed", INTEGER),
        ("configurations", INTEGER),
    ),
    key=(*GRID, "variant", "method", "dimension", "value", "layer", "head"),
)

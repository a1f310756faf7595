"""The profiles table: where each head stands over many rankings."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, TEXT, dimensions

PROFILES = Table(
    "profiles",
    (
        ("grid", TEXT),
        *dimensions(["method"]),
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
    key=("grid", "method", "dimension", "value", "layer", "head"),
)

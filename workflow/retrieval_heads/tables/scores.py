"""The scores table: what each method gives each head for each prompt."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, RANKING, TEXT

SCORES = Table(
    "scores",
    (
        *RANKING,
        ("prompt_id", TEXT),
        ("layer", INTEGER),
        ("head", INTEGER),
        ("score", NUMBER),
    ),
    key=("method", "prompt_id", "layer", "head"),
)

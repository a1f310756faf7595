"""The scores table: what each method gives each head for each prompt."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, TEXT

SCORES = Table(
    "scores",
    (
        ("model", TEXT),
        ("method", TEXT),
        ("question", TEXT),
        ("context_length", INTEGER),
        ("prompt_id", TEXT),
        ("layer", INTEGER),
        ("head", INTEGER),
        ("score", NUMBER),
    ),
    key=("method", "prompt_id", "layer", "head"),
)

"""The generations table: what the unablated model answers to each prompt that heads are scored on."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import BOOLEAN, INTEGER, TEXT

GENERATIONS = Table(
    "generations",
    (
        ("model", TEXT),
        ("question", TEXT),
        ("context_length", INTEGER),
        ("prompt_id", TEXT),
        ("generated", TEXT),
        ("success", BOOLEAN),
    ),
    key=("prompt_id",),
)

"""The dataset_counts table: how many prompts are used, and why others are not."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, TEXT

DATASET_COUNTS = Table(
    "dataset_counts",
    (
        ("model", TEXT),
        ("question", TEXT),
        ("context_length", INTEGER),
        ("split", TEXT),
        ("status", TEXT),
        ("prompts", INTEGER),
    ),
    key=("model", "question", "context_length", "split", "status"),
)

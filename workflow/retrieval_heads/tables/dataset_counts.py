"""The dataset_counts table: how many prompts are used, and why others are not."""

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, TEXT, dimensions

DATASET_COUNTS = Table(
    "dataset_counts",
    (
        *dimensions(CELL),
        ("split", TEXT),
        ("status", TEXT),
        ("prompts", INTEGER),
    ),
    key=(*CELL, "split", "status"),
)

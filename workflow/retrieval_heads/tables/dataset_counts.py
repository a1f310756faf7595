"""The dataset_counts table: how many prompts are used, and why others are not; and how many have
a twin."""

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, TEXT, dimensions

DATASET_COUNTS = Table(
    "dataset_counts",
    (
        *dimensions(CELL),
        ("split", TEXT),
        ("status", TEXT),
        ("twin_status", TEXT),
        ("prompts", INTEGER),
    ),
    key=(*CELL, "split", "status", "twin_status"),
    # Prompts that were left out have no twin, nor is one asked for where nothing in the study needs twins.
    nullable=frozenset({"twin_status"}),
)

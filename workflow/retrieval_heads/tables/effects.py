"""The effects table: what ablating a method's top heads does to accuracy."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import ABLATED, ABLATED_KEY, ABLATED_NULLABLE, GUESSED, INTEGER, TESTED, estimate

EFFECTS = Table(
    "effects",
    (
        *ABLATED,
        ("k_to", INTEGER),
        *estimate("baseline"),
        *GUESSED,
        *estimate("accuracy"),
        *estimate("drop"),
        *TESTED,
    ),
    key=ABLATED_KEY,
    nullable=ABLATED_NULLABLE | {name for name, _ in GUESSED},
)
"""A method's top k heads ablated: accuracy, drop from the baseline, and the paired test of the drop.

Accuracy is read between the baseline and what guessing gives without the document; headroom is what lies between.
"""

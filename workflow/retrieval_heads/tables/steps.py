"""The steps table: how accuracy changes from one level of ablation to the next."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import ABLATED, ABLATED_KEY, ABLATED_NULLABLE, INTEGER, TESTED, estimate

STEPS = Table(
    "steps",
    (*ABLATED, ("k_before", INTEGER), *estimate("change"), *TESTED),
    key=ABLATED_KEY,
    nullable=ABLATED_NULLABLE,
)
"""From one level of a method's top heads (k_before) to the next (k): the change of accuracy. Above 0 is a recovery."""

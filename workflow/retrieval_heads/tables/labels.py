"""The labels table: what is known of each head of a model whatever it is asked."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import BOOLEAN, INTEGER, NUMBER, dimensions

LABELS = Table(
    "labels",
    (
        *dimensions(["model"]),
        ("layer", INTEGER),
        ("head", INTEGER),
        ("key_value_group", INTEGER),
        ("induction", NUMBER),
        ("is_induction", BOOLEAN),
        ("sink_share", NUMBER),
        ("write_norm", NUMBER),
    ),
    key=("model", "layer", "head"),
    # Not every architecture's attention is linear in what its heads put out.
    nullable=frozenset({"write_norm"}),
)

INDUCTION = 0.3
"""The mean attention to what followed before, from which on a head is labelled an induction head."""

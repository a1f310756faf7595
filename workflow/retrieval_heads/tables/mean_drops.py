"""The mean_drops table: drops averaged over configurations."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, INTERVENTION, NUMBER, TEXT, dimensions, estimate

MEAN_DROPS = Table(
    "mean_drops",
    (
        *INTERVENTION,
        *dimensions(["variant"]),
        ("grouping", TEXT),
        ("value", TEXT),
        ("k", INTEGER),
        ("source", TEXT),
        ("matching", TEXT),
        *estimate("drop"),
        ("drop_sd", NUMBER),
        ("configurations", INTEGER),
    ),
    key=("intervention", "variant", "grouping", "value", "k", "source", "matching"),
    nullable=frozenset({"k", "matching"}),
)
"""Mean drop over configurations of equal weight, by the value of a dimension; k null: over all levels."""

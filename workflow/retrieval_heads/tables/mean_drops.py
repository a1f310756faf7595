"""The mean_drops table: drops averaged over configurations."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, INTERVENTION, NUMBER, SHAPE, TEXT, dimensions, estimate
from retrieval_heads.tables.heads import GRID

MEAN_DROPS = Table(
    "mean_drops",
    (
        *INTERVENTION,
        *dimensions(["variant"]),
        *SHAPE,
        ("grouping", TEXT),
        ("value", TEXT),
        ("k", INTEGER),
        ("source", TEXT),
        ("matching", TEXT),
        *estimate("drop"),
        ("drop_sd", NUMBER),
        ("configurations", INTEGER),
    ),
    key=("intervention", "variant", *GRID, "grouping", "value", "k", "source", "matching"),
    nullable=frozenset({*GRID, "k", "matching"}),
)
"""Mean drop over configurations of equal weight, by the value of a dimension; k null: over all levels."""

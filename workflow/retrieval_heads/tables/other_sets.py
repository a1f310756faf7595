"""The other_sets table: what it costs to ablate what is no ranking's own top set, but made from one."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    ABLATED,
    ABLATED_KEY,
    ABLATED_NULLABLE,
    NUMBER,
    TESTED,
    TEXT,
    estimate,
)

OTHER_SETS = Table(
    "other_sets",
    (
        ("source", TEXT),
        *ABLATED,
        ("matching", TEXT),
        ("matched", NUMBER),
        *estimate("baseline"),
        *estimate("drop"),
        *estimate("own_drop"),
        *estimate("random_drop"),
        *estimate("difference"),
        *TESTED,
    ),
    key=("source", *ABLATED_KEY, "matching"),
    nullable=ABLATED_NULLABLE | {"matched"},
)
"""The set (drop) beside the top set at its level (own_drop) and the random heads drawn for that (random_drop); the
difference is how much more the set costs than the random heads."""

SOURCES = ("plain", "without_induction")
"""What such sets are: the plain variant's top set, in another variant; and a top set without its induction heads."""

"""The head_sets table: which heads are ablated together."""

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    HEAD_NAMES,
    HEAD_SET,
    HEAD_SET_KEY,
    HEAD_SET_NULLABLE,
    dimensions,
)

HEAD_SETS = Table(
    "head_sets",
    (*dimensions(CELL), *HEAD_SET, ("heads", HEAD_NAMES)),
    key=(*CELL, *HEAD_SET_KEY),
    nullable=HEAD_SET_NULLABLE,
)

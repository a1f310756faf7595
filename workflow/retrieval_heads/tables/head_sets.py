"""The head_sets table: which heads are ablated together."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import HEAD_NAMES, HEAD_SET, HEAD_SET_KEY, HEAD_SET_NULLABLE, INTEGER, TEXT

HEAD_SETS = Table(
    "head_sets",
    (("model", TEXT), ("question", TEXT), ("context_length", INTEGER), *HEAD_SET, ("heads", HEAD_NAMES)),
    key=("model", "question", "context_length", *HEAD_SET_KEY),
    nullable=HEAD_SET_NULLABLE,
)

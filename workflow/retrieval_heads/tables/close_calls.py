"""The close_calls table: how many answers and scores hang on a choice that rounding alone may turn."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, TEXT, dimensions

_BY = ("model", "context_length", "variant", "method", "intervention")

CLOSE_CALLS = Table(
    "close_calls",
    (
        ("source", TEXT),
        *dimensions(_BY),
        ("choices", INTEGER),
        ("close", INTEGER),
        ("smallest", NUMBER),
        ("noise", NUMBER),
    ),
    key=("source", *_BY),
    nullable=frozenset({"method", "intervention"}),
)
"""source: the table whose margins these are. A row of scores is about a method, one of the ablation table about an
intervention."""

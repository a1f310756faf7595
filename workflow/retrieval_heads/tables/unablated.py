"""The unablated table: what a model answers with all its heads, behind the document and behind its haystack alone."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import ANSWERED, INTEGER, NUMBER, TEXT

UNABLATED = Table(
    "unablated",
    (
        ("model", TEXT),
        ("question", TEXT),
        ("context_length", INTEGER),
        ("depth", NUMBER),
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        ("source", TEXT),
        *ANSWERED,
    ),
    key=("model", "prompt_id", "source"),
)

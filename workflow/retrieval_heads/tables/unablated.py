"""The unablated table: what a model answers with all its heads, behind document, twin, and haystack alone."""

from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import ANSWERED, ANSWERED_NULLABLE, PROMPT_KEY, TEXT, dimensions

UNABLATED = Table(
    "unablated",
    (
        *dimensions(PROMPT),
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        ("source", TEXT),
        *ANSWERED,
    ),
    key=(*PROMPT_KEY, "source"),
    nullable=ANSWERED_NULLABLE,
)

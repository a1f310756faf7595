"""The quality_tests table: is one method's ranking better than another's?"""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, TEXT, dimensions, estimate
from retrieval_heads.tables.head_effect_summary import OVER

QUALITY_TESTS = Table(
    "quality_tests",
    (
        *dimensions(OVER),
        ("mode", TEXT),
        ("intervention", TEXT),
        ("measure", TEXT),
        ("k", INTEGER),
        ("a", TEXT),
        ("b", TEXT),
        *estimate("difference"),
        ("p", NUMBER),
        ("p_family", NUMBER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*OVER, "mode", "intervention", "measure", "a", "b"),
    # A single document tells nothing of others.
    nullable=frozenset({"intervention", "k", "difference_low", "difference_high"}),
)

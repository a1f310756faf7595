"""The depth_rankings table: whether heads are ranked alike whatever the needle's depth."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, dimensions, estimate
from retrieval_heads.tables.head_effect_summary import OVER

DEPTH_RANKINGS = Table(
    "depth_rankings",
    (
        *dimensions((*OVER, "method")),
        *estimate("same_depth"),
        *estimate("other_depth"),
        *estimate("difference"),
        ("p", NUMBER),
        ("p_holm", NUMBER),
        ("depths", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*OVER, "method"),
)

"""The rankings table: heads in the order of their mean score."""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, RANKING

RANKINGS = Table(
    "rankings",
    (
        *RANKING,
        ("layer", INTEGER),
        ("head", INTEGER),
        ("score", NUMBER),
        ("rank", NUMBER),
        ("last", INTEGER),
        ("n_samples", INTEGER),
        ("score_sd", NUMBER),
    ),
    key=(*DIMENSIONS, "layer", "head"),
    nullable=frozenset({"score_sd"}),
)

"""The rankings table: heads in the order of their mean score."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, TEXT

RANKINGS = Table(
    "rankings",
    (
        ("model", TEXT),
        ("method", TEXT),
        ("question", TEXT),
        ("context_length", INTEGER),
        ("layer", INTEGER),
        ("head", INTEGER),
        ("score", NUMBER),
        ("rank", NUMBER),
        ("last", INTEGER),
        ("n_samples", INTEGER),
        ("score_sd", NUMBER),
    ),
    key=("model", "method", "question", "context_length", "layer", "head"),
    nullable=frozenset({"score_sd"}),
)

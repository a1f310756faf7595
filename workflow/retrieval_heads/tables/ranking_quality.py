"""The ranking_quality table: how well each ranking of heads tells which heads matter."""

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.study.methods import CEILING as CEILING
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, TEXT, dimensions, estimate

# What is ranked by: a method, a rival that knows nothing of retrieval, or the effects in the other test documents.
METHOD, RIVAL = "method", "rival"

# How a ranking is judged: the values of `measure`.
SPEARMAN, PRECISION, CAPTURED, SHARE, AREA, AUROC = "spearman", "precision", "captured", "share", "area", "auroc"

RANKING_QUALITY = Table(
    "ranking_quality",
    (
        *dimensions(CELL),
        ("mode", TEXT),
        ("intervention", TEXT),
        ("ranking", TEXT),
        ("kind", TEXT),
        ("measure", TEXT),
        ("k", INTEGER),
        *estimate("value"),
        ("cost", NUMBER),
        ("train_prompts", INTEGER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*CELL, "mode", "intervention", "ranking", "measure", "k"),
    nullable=frozenset(
        {
            "question",
            "mode",
            "intervention",
            "k",
            "value",
            "value_low",
            "value_high",
            "cost",
            "train_prompts",
            "documents",
        }
    ),
)

"""The specificity_summary table: what heads cost in retrieval, and in facts and sums that no context states."""

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, INTERVENTION, NUMBER, TEXT, dimensions, estimate

OK = "ok"
"""The status of a row whose specificity is known."""

LOSSES = ("retrieval_loss", "facts_loss", "sums_loss", "control_loss")
"""What is lost of each, as a share of what the whole model answers: of test prompts, facts, sums, and of both kinds of
items with equal weight."""

_ESTIMATES = (*LOSSES, "specificity", "difference")

SPECIFICITY_SUMMARY = Table(
    "specificity_summary",
    (
        *dimensions(CELL),
        *INTERVENTION,
        *dimensions(["method"]),
        ("k", INTEGER),
        ("size", NUMBER),
        ("source", TEXT),
        ("matching", TEXT),
        ("matched", NUMBER),
        ("draws", INTEGER),
        *(column for name in _ESTIMATES for column in estimate(name)),
        ("p", NUMBER),
        ("p_holm", NUMBER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
        ("facts", INTEGER),
        ("sums", INTEGER),
        ("status", TEXT),
    ),
    key=(*CELL, "intervention", "method", "k", "source"),
    # Pooled over questions; of too few items or prompts; and the comparison with random heads stands in the row of the
    # top heads.
    nullable=frozenset(
        {"question", "matching", "matched", "draws", "p", "p_holm"}
        | {column for name in _ESTIMATES for column, _ in estimate(name)}
    ),
)

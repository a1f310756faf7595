"""The tests table: named tests with their effect sizes."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import (
    INTEGER,
    INTERVENTION,
    INTERVENTION_COLUMNS,
    NUMBER,
    P_VALUES,
    SHAPE,
    TEXT,
    dimensions,
    estimate,
)
from retrieval_heads.tables.heads import GRID

# What a test is about: the values of `subject`.
ACCURACY = "accuracy with no head ablated"
DROP = "drop of accuracy"
AGAINST_RANDOM = "top against random"
HEAD_OVERLAP = "overlap of heads"
LAYER_OVERLAP = "overlap of layers"
SPECIALISTS = "question specialists"
MODEL_RANKS = "ranks in two models"
CONSENSUS = "consensus of methods"
SCORE_GAP = "score gap"
LENGTH_BREAK = "break between lengths"
NOISE = "methods against noise"
AGREEMENT_BY_LENGTH = "agreement of methods by length"

TESTS = Table(
    "tests",
    (
        ("subject", TEXT),
        ("dimension", TEXT),
        *INTERVENTION,
        *dimensions(["variant"]),
        *SHAPE,
        ("a", TEXT),
        ("b", TEXT),
        *dimensions(["method"]),
        ("k", INTEGER),
        ("size_least", INTEGER),
        ("size_most", INTEGER),
        ("test", TEXT),
        ("unit", TEXT),
        ("units", INTEGER),
        ("statistic", NUMBER),
        *P_VALUES,
        ("effect", TEXT),
        ("effect_size", NUMBER),
        *estimate("difference"),
    ),
    key=("subject", "dimension", "intervention", "variant", *GRID, "a", "b", "method", "k"),
    nullable=frozenset(
        {
            # A test of rankings is about no ablation.
            *INTERVENTION_COLUMNS,
            *GRID,
            "a",
            "b",
            "method",
            "k",
            "size_least",
            "size_most",
            "effect_size",
            "difference",
            "difference_low",
            "difference_high",
        }
    ),
)
"""Named tests with their effect sizes: what is compared (a against b, or all values of a dimension) and over what."""

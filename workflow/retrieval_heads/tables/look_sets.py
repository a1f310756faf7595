"""The look_sets table: what the first heads of each method look at, beside all other heads."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, SHAPE, dimensions, estimate
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.looks import ANSWER_CHANCE, DISTRACTOR_CHANCE, KINDS

CHANCES = (ANSWER_CHANCE, DISTRACTOR_CHANCE)
# Of the hits, the share at the answer beyond that of its token alone; of the rows, the share of sinks beyond others'.
BEYOND_SHARE, MORE_SINK = "beyond_share", "more_sink"
TESTS_OF = (BEYOND_SHARE, MORE_SINK)

LOOK_SETS = Table(
    "look_sets",
    (
        *dimensions((*OVER, "method")),
        *SHAPE,
        ("k", INTEGER),
        ("size", NUMBER),
        *(column for name in KINDS for column in estimate(name)),
        *((name, NUMBER) for name in CHANCES),
        *(
            column
            for name in TESTS_OF
            for column in (*estimate(name), (f"{name}_p", NUMBER), (f"{name}_p_family", NUMBER))
        ),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*OVER, "method", "k"),
    # A row without a method is about all heads, which are held against none; without hits, none is at the answer.
    nullable=frozenset(
        {"method", *(f"{name}_{end}" for name in KINDS for end in ("low", "high"))}
        | {f"{name}{end}" for name in TESTS_OF for end in ("", "_low", "_high", "_p", "_p_family")}
    ),
)

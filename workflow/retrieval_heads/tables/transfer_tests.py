"""The transfer_tests table: do a question's own top heads cost it more than other questions' do?"""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, INTERVENTION, NUMBER, dimensions, estimate

TRANSFER_TESTS = Table(
    "transfer_tests",
    (
        *dimensions(DIMENSIONS),
        *INTERVENTION,
        ("size", INTEGER),
        *((name, NUMBER) for name in ("unablated", "own", "others", "random", "guess")),
        *estimate("difference"),
        ("p", NUMBER),
        ("p_holm", NUMBER),
        *estimate("logprob_difference"),
        ("logprob_p", NUMBER),
        ("logprob_p_holm", NUMBER),
        ("questions", INTEGER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*DIMENSIONS, "intervention"),
    nullable=frozenset({"question", "random", "logprob_difference_low", "logprob_difference_high"}),
)
"""A row without a question is about all of them: own heads less other questions'. One of a question is about what its
own heads cost it beyond what they cost the others, and beyond what the others' cost it."""

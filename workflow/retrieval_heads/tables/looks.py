"""The looks table: where each head looks hardest in the rows that produce the answer to a test prompt."""

from typing import Any

import numpy as np

from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import BOOLEAN, HEAD_SCORES, INTEGER, PROMPT_KEY, SHAPE, TEXT, dimensions
from retrieval_heads.tables.heads import GRID

# Where a row's strongest key may be, but for all else: the first token, or a token that is the very one produced.
SINK, ANSWER, DISTRACTOR, ELSEWHERE = "sink", "at_answer", "at_distractor", "elsewhere"
KINDS = (SINK, ANSWER, DISTRACTOR, ELSEWHERE)

# What a head would have at the answer and at distractors that hits as often, at any place of the token alike.
ANSWER_CHANCE, DISTRACTOR_CHANCE = "answer_chance", "distractor_chance"
SHARES = (*KINDS, ANSWER_CHANCE, DISTRACTOR_CHANCE)
"""Shares of the rows, each a list with one for every head."""

LOOKS = Table(
    "looks",
    (
        *dimensions(PROMPT),
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        *SHAPE,
        ("correct", BOOLEAN),
        ("rows", INTEGER),
        *((name, HEAD_SCORES) for name in SHARES),
    ),
    key=PROMPT_KEY,
    lengths=dict.fromkeys(SHARES, GRID),
)


def looks_row(prompt: Any, correct: bool, rows: int, shares: dict[str, np.ndarray]) -> dict[str, Any]:
    """A row of the table.

    Parameters
    ----------
    prompt : a row of the prompts table, with its columns as attributes.
    correct : whether the model answers it.
    rows : how many rows produce a token of what it answers.
    shares : each of :data:`SHARES`, of shape (layers, heads of a layer).
    """
    layers, heads = shares[SINK].shape
    return {
        **{name: getattr(prompt, name) for name in (*PROMPT, "prompt_id", "doc_id")},
        "layers": layers,
        "heads": heads,
        "correct": correct,
        "rows": rows,
        **{name: shares[name].astype(np.float32).ravel() for name in SHARES},
    }

"""The scores table: what each method gives all heads of the model for each prompt."""

from typing import Any

import numpy as np

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import HEAD_SCORES, PROMPT_KEY, RANKING, SHAPE, TEXT
from retrieval_heads.tables.heads import GRID

SCORES = Table(
    "scores",
    (*RANKING, ("prompt_id", TEXT), *SHAPE, ("scores", HEAD_SCORES)),
    key=(*PROMPT_KEY, "method"),
    lengths={"scores": GRID},
)


def score_row(prompt: Any, method: str, scores: np.ndarray) -> dict[str, Any]:
    """A row of the table.

    Parameters
    ----------
    prompt : a row of the prompts table, with its columns as attributes.
    method : the method's name.
    scores : one for each head of the model; shape (layers, heads of a layer). They are kept in float32.
    """
    layers, heads = scores.shape
    return {
        **{name: getattr(prompt, name) for name in (*CELL, "prompt_id")},
        "method": method,
        "layers": layers,
        "heads": heads,
        "scores": scores.astype(np.float32).ravel(),
    }

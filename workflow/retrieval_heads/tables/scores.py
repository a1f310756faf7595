"""The scores table: what each method gives all heads of the model for each prompt."""

import math
from typing import Any

import numpy as np

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import HEAD_SCORES, NUMBER, PROMPT_KEY, RANKING, SHAPE, TEXT, known_margin
from retrieval_heads.tables.heads import GRID

SCORES = Table(
    "scores",
    (*RANKING, ("prompt_id", TEXT), *SHAPE, ("scores", HEAD_SCORES), ("margin", NUMBER)),
    key=(*PROMPT_KEY, "method"),
    nullable=frozenset({"margin"}),
    lengths={"scores": GRID},
)


def score_row(prompt: Any, method: str, scores: np.ndarray, margin: float = math.inf) -> dict[str, Any]:
    """A row of the table.

    Parameters
    ----------
    prompt : a row of the prompts table, with its columns as attributes.
    method : the method's name.
    scores : one for each head of the model; shape (layers, heads of a layer). They are kept in float32.
    margin : by how much the closest of the choices in them was decided; infinite where none was made.
    """
    layers, heads = scores.shape
    return {
        **{name: getattr(prompt, name) for name in (*CELL, "prompt_id")},
        "method": method,
        "layers": layers,
        "heads": heads,
        "scores": scores.astype(np.float32).ravel(),
        "margin": known_margin(margin),
    }

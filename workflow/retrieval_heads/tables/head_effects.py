"""The head_effects table: what every head by itself is worth for the answer to each test prompt."""

from typing import Any

import numpy as np

from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import HEAD_SCORES, NUMBER, PROMPT_KEY, SHAPE, TEXT, dimensions
from retrieval_heads.tables.heads import GRID

HEAD_EFFECTS = Table(
    "head_effects",
    (
        *dimensions(PROMPT),
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        ("mode", TEXT),
        *SHAPE,
        ("answer_logprob", NUMBER),
        ("effects", HEAD_SCORES),
    ),
    key=(*PROMPT_KEY, "mode"),
    lengths={"effects": GRID},
)


def effects_row(prompt: Any, mode: str, answer_logprob: float, effects: np.ndarray) -> dict[str, Any]:
    """A row of the table.

    Parameters
    ----------
    prompt : a row of the prompts table, with its columns as attributes.
    mode : what replaces a head's output.
    answer_logprob : m = Σ ln p of the expected answer's tokens by the whole model.
    effects : m less what it is with one head ablated, of each head of the model; shape (layers, heads of a layer). They
        are kept in float32.
    """
    layers, heads = effects.shape
    return {
        **{name: getattr(prompt, name) for name in (*PROMPT, "prompt_id", "doc_id")},
        "mode": mode,
        "layers": layers,
        "heads": heads,
        "answer_logprob": answer_logprob,
        "effects": effects.astype(np.float32).ravel(),
    }

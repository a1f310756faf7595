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
        ("answer_logodds", NUMBER),
        ("logodds_effects", HEAD_SCORES),
    ),
    key=(*PROMPT_KEY, "mode"),
    # Only where heads put out what they do on a twin is there another answer to hold the expected one against.
    nullable=frozenset({"answer_logodds", "logodds_effects"}),
    lengths={"effects": GRID, "logodds_effects": GRID},
)


def effects_row(
    prompt: Any,
    mode: str,
    answer_logprob: float,
    effects: np.ndarray,
    answer_logodds: float | None = None,
    logodds_effects: np.ndarray | None = None,
) -> dict[str, Any]:
    """A row of the table.

    Parameters
    ----------
    prompt : a row of the prompts table, with its columns as attributes.
    mode : what replaces a head's output.
    answer_logprob : m = Σ ln p of the expected answer's tokens by the whole model.
    effects : m less what it is with one head ablated, of each head of the model; shape (layers, heads of a layer). They
        are kept in float32.
    answer_logodds, logodds_effects : the same of ln p(answer) − ln p(the twin's answer), for a mode with twins.
    """
    layers, heads = effects.shape
    return {
        **{name: getattr(prompt, name) for name in (*PROMPT, "prompt_id", "doc_id")},
        "mode": mode,
        "layers": layers,
        "heads": heads,
        "answer_logprob": answer_logprob,
        "effects": effects.astype(np.float32).ravel(),
        "answer_logodds": answer_logodds,
        "logodds_effects": None if logodds_effects is None else logodds_effects.astype(np.float32).ravel(),
    }

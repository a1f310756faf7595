"""Effects of heads and rankings that are written by hand, of models of few heads."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from retrieval_heads.analysis.rankings import placed
from retrieval_heads.tables.head_effects import HEAD_EFFECTS, effects_row

CELL = {"model": "m", "context_length": 512, "variant": "plain"}


def effects_of(by_prompt, mode="zero", shape=(2, 2)):
    """The head_effects table, from (document, question) → the effect of each head."""
    rows = [
        effects_row(
            SimpleNamespace(
                **CELL, question=question, depth=0.5, doc_id=document, prompt_id=f"{document}/{question}/512/0.5"
            ),
            mode,
            -1.0,
            np.array(effects, float).reshape(shape),
        )
        for (document, question), effects in by_prompt.items()
    ]
    return pd.DataFrame(rows, columns=HEAD_EFFECTS.columns)


def rankings_of(scores, shape=(2, 2)):
    """The rankings table, from (method, question) → the score of each head."""
    heads = shape[1]
    rows = [
        {**CELL, "method": method, "question": question, "layer": number // heads, "head": number % heads}
        | {"score": float(score), "n_samples": 3, "score_sd": 0.1}
        for (method, question), of_heads in scores.items()
        for number, score in enumerate(of_heads)
    ]
    return placed(pd.DataFrame(rows))

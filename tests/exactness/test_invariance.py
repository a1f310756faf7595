"""Results do not depend on how they are come by: threads, batches, shards and order change roundings alone."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch

import oracle
from noise import USUAL, Measuring, Way, differences
from retrieval_heads.analysis.noise import MARGIN_NOISE, SCORE_NOISE
from retrieval_heads.data.selection import OK
from retrieval_heads.engine.runner import Decoding
from retrieval_heads.methods import make_methods
from tiny_models import MODELS, Numbers, random_ids

CONTEXT, TOKENS = 60, 3
BY_NAME = (
    *("summed_attention", "wu24", "qrhead", "attention_contrast", "positional_copy", "core"),
    *("direct_logit", "locos", "attribution_patching", "value_flow"),
)
METHODS = {
    **{name: {} for name in BY_NAME},
    "single_head_effect": {"documents": 3},
    "atp_twin": {"method": "attribution_patching", "toward": "twin", "label": "AtP (twin)"},
    "flow_twin": {"method": "value_flow", "toward": "twin", "label": "Flow (twin)"},
}
WAYS = {
    "one by one": Way(threads=1, batch_tokens=1, cache_tokens=1, reversed=True),
    "a few at a time": Way(batch_tokens=130, cache_tokens=150, shards=2),
}


@pytest.fixture(autouse=True)
def threads():
    """Those of before, after each test."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def prompts(model, documents=3):
    """Two questions about each document, of which the model says the right answer, to the twin's as well."""
    rows = []
    for document in range(documents):
        context, guessed = random_ids(CONTEXT, seed=document), random_ids(CONTEXT, seed=100 + document)
        # Three tokens of the context state the answer; the twin has others there.
        twin = [2 + (token + 5) % 29 if 22 <= place < 25 else token for place, token in enumerate(context)]
        for number, question in enumerate(("q0", "q1")):
            suffix = random_ids(4 + 3 * number, seed=50 + number)
            said = [Numbers().decode(oracle.generate(model, [*of, *suffix], TOKENS)) for of in (context, twin)]
            rows.append(
                {
                    **{"prompt_id": f"{document}/{question}", "doc_id": str(document), "model": "tiny"},
                    **{"question": question, "context_length": 70, "variant": "plain", "depth": 0.5, "status": OK},
                    **{"input_ids": context + suffix, "null_ids": [*context, 5, 6], "no_needle_ids": guessed + suffix},
                    **{"opening_end": 1, "suffix_start": CONTEXT, "question_end": CONTEXT + 2, "null_question_end": 61},
                    **{"needle_start": 20, "needle_end": 32, "sentence_start": 21, "sentence_end": 27},
                    **{"answer_start": 22, "answer_end": 25, "statement_starts": [22], "statement_ends": [25]},
                    **{"document_starts": [1, 20, 40], "document_ends": [19, 32, 59], "answer": said[0]},
                    **{"twin_ids": twin, "twin_answer": said[1], "twin_status": OK, "decoy_answer": None},
                }
            )
    return pd.DataFrame(rows)


def head_sets():
    """For each question three sets, which share layers and do not."""
    sets = {"method": ["L1H2"], "equal": ["L0H3", "L1H2"], "random": ["L2H0", "L2H1"]}
    cell = {"model": "tiny", "context_length": 70, "variant": "plain"}
    named = {"method": "m", "matching": None, "draw": None, "matched": None}
    return pd.DataFrame(
        cell | named | {"question": question, "source": source, "k": len(heads), "size": len(heads), "heads": heads}
        for question in ("q0", "q1")
        for source, heads in sets.items()
    )


@cache
def measuring(architecture):
    model = MODELS[architecture]()
    table = prompts(model)
    types = dict.fromkeys(("q0", "q1"), "text")
    decoding, methods = Decoding(TOKENS, []), make_methods(METHODS)
    return Measuring(model, Numbers(), decoding, methods, types, table, table, head_sets(), len(table))


@cache
def as_usual(architecture):
    return measuring(architecture).measured(USUAL)


@pytest.mark.thorough
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", MODELS)
def test_results_do_not_depend_on_how_they_are_come_by(architecture, way):
    noise = MARGIN_NOISE["float32"]
    found = differences(as_usual(architecture), measuring(architecture).measured(WAYS[way]), noise)
    close = {name: value for name, value in found.items() if name.startswith("close")}
    assert sum(close.values()) <= 2, close
    texts = {name: value for name, value in found.items() if name.startswith("other texts")}
    assert not any(texts.values()), texts
    nats = {name: value for name, value in found.items() if name.startswith(("nats", "margin"))}
    assert max(nats.values()) < noise, nats
    shares = {name: value for name, value in found.items() if name.startswith(("scores", "effects"))}
    assert max(shares.values()) < SCORE_NOISE["float32"], shares


@pytest.mark.parametrize("method", METHODS)
def test_every_method_scores_every_prompt_and_tells_heads_apart_or_there_is_nothing_to_compare(method):
    apart = 0.0
    for architecture in MODELS:
        scores = as_usual(architecture)["scores"]
        rows = scores[scores["method"] == method]
        assert rows["prompt_id"].nunique() == len(rows) == 6
        apart += np.ptp(np.stack(rows["scores"]), axis=1).max()
    assert apart > 0

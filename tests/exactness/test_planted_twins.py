"""Toward the twin, the planted heads come first, and heads that every answer needs alike count for nothing."""

import math

import pandas as pd
import pytest
import torch

from planted_facts import CONFIG, TYPES, among_prose, faintly_planted, first
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import OK, group_by_context, usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import score_groups

TOWARD_TWIN = {
    "patching": {"method": "attribution_patching", "toward": "twin", "label": "a"},
    "flow": {"method": "value_flow", "toward": "twin", "label": "b"},
    "effect": {"method": "single_head_effect", "mode": "resample", "label": "c"},
}
TOWARD_ZERO = {"zero": {"method": "attribution_patching", "label": "d"}}


@pytest.fixture(scope="module")
def documents():
    """One document that states the facts, with values for its twin, and others of prose that state none."""
    made = make_documents(CONFIG, CONFIG["seed"])
    made = made[made["split"] == "train"]
    state = "Ohio" if made["hq_state"].iloc[0] != "Ohio" else "Utah"
    count = made["employee_count"].iloc[0]
    made["hq_state_twin"], made["employee_count_twin"] = state, str(10 - int(count[0])) + count[1:]
    if made["employee_count_twin"].iloc[0][0] == count[0]:  # 5 stays 5
        made["employee_count_twin"] = "7" + count[1:]
    return among_prose(made)


@pytest.fixture(scope="module")
def planted(documents):
    return faintly_planted(*documents["text"])


@pytest.fixture(scope="module")
def found(planted, documents):
    """The mean scores (L, H) of each method over the two prompts, both of which are answered as their twins are."""
    builder = Builder("planted", planted.tokenizer, None, CONFIG["questions"], CONFIG["prompts"], 900, CONFIG["seed"])
    (group,) = group_by_context(usable(builder.build(documents), "train", "here"))
    assert group["twin_status"].tolist() == [OK, OK]
    runner = Runner(planted.model, planted.tokenizer, Budget(8192, 16384), Decoding(8, ["."]))
    rows, generations = score_groups(runner, [group], make_methods(TOWARD_TWIN | TOWARD_ZERO), TYPES)
    assert generations[0]["success"].all() and generations[1]["success"].all()
    scores = pd.DataFrame(rows)
    assert (scores["method"].value_counts() == 2).all()
    grid = runner.layers, runner.heads
    return {
        name: torch.stack([torch.tensor(one) for one in made["scores"]]).mean(0).view(grid)
        for name, made in scores.groupby("method")
    }


@pytest.mark.parametrize("method", TOWARD_TWIN)
def test_the_planted_heads_come_first(planted, found, method):
    made, heads = found[method], planted.retrieval_heads
    assert first(made, len(heads)) == set(heads)
    others = made.clone()
    others[tuple(zip(*heads, strict=True))] = -math.inf
    assert min(made[head] for head in heads) > max(0, 2 * others.max())


@pytest.mark.parametrize("method", ["patching", "effect"])
def test_heads_that_every_answer_needs_alike_count_for_nothing(planted, found, method):
    """The support heads tell each token what stands before it, also where it is the same before both answers."""
    support = tuple(zip(*planted.support_heads, strict=True))
    most = found[method].max()
    assert found["zero"][support].abs().max() > 0.02 * found["zero"].max()
    assert found[method][support].abs().max() < 0.01 * most

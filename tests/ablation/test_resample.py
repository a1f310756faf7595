"""Heads that put out what they do behind the twin's context are those of plain passes that write these vectors."""

import pytest
from test_ablation import ARCHITECTURES, CONTEXT, SETS, TYPES, WHOLE, ablate, head_sets, prompts, runner_of, twin_of

import oracle
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.running import ablate_split
from retrieval_heads.api import ablated
from retrieval_heads.engine.budget import Budget
from retrieval_heads.errors import StudyError
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.tables.heads import parse_head
from tiny_models import llama

SMALL = Budget(200, 400)


def start_of(scope, prompt):
    return {"all": 0, "suffix": CONTEXT, "decode": len(prompt) - 1}[scope]


def resampling(model, table, scope, budget=WHOLE):
    return ablate_split(runner_of(model, budget), table, head_sets(), Intervention("one", "resample", scope), TYPES)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_resampling_is_what_plain_passes_with_the_vectors_of_the_twin_give(architecture, scope):
    model, table = ARCHITECTURES[architecture](), prompts(documents=1)
    found = resampling(model, table, scope, SMALL)
    by_zero = ablate(model, table, "zero", scope)
    assert len(found) == 5
    for row in found.itertuples():
        prompt = table[table["question"] == row.question].iloc[0]
        ids, answer = prompt["input_ids"], prompt["input_ids"][prompt["answer_start"] : prompt["answer_end"]]
        heads = next(heads for source, k, heads in SETS[row.question] if (source, k) == (row.source, row.k))
        heads = [parse_head(head) for head in heads]

        start = start_of(scope, ids)

        def logits(read, prompt=prompt, heads=heads, start=start):
            return oracle.resampled(model, read, prompt["twin_ids"], heads, start)

        tokens = [int(token) for token in row.generated.split()]
        assert tokens == oracle.generate_plainly(logits, ids, len(tokens)), "generated tokens read the twin's too"
        wanted = oracle.logprob_in(logits([*ids, *answer]), ids, answer)
        assert row.answer_logprob == pytest.approx(wanted, abs=1e-3)
    assert (found["answer_logprob"] - by_zero["answer_logprob"]).abs().max() > 1e-2


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_resampling_a_prompt_from_itself_changes_nothing(architecture, scope):
    model, table = ARCHITECTURES[architecture](), prompts(documents=1)
    table["twin_ids"] = [ids[:CONTEXT] for ids in table["input_ids"]]
    found = resampling(model, table, scope, SMALL)
    for row in found.itertuples():
        prompt = table[table["prompt_id"] == row.prompt_id].iloc[0]
        ids, answer = prompt["input_ids"], prompt["input_ids"][prompt["answer_start"] : prompt["answer_end"]]
        assert row.answer_logprob == pytest.approx(oracle.answer_logprob(model, ids, answer), abs=1e-3)
        tokens = [int(token) for token in row.generated.split()]
        assert tokens == oracle.generate(model, ids, 4)[: len(tokens)]


@pytest.mark.parametrize("scope", SCOPES)
def test_it_makes_no_difference_how_sets_are_batched(scope):
    model, table = llama(), prompts(documents=3)
    whole, parts = (resampling(model, table, scope, budget) for budget in (WHOLE, Budget(30, 60)))
    assert whole["generated"].tolist() == parts["generated"].tolist()
    assert (whole["answer_logprob"] - parts["answer_logprob"]).abs().max() < 1e-4


def test_a_twin_may_differ_in_its_first_token():
    model, table = llama(), prompts(documents=1, questions=("q0",))
    table["twin_ids"] = [twin_of(ids[:CONTEXT], range(20)) for ids in table["input_ids"]]
    row = resampling(model, table, "suffix").iloc[0]
    ids, answer = table["input_ids"][0], table["input_ids"][0][10:12]
    logits = oracle.resampled(model, [*ids, *answer], table["twin_ids"][0], [(1, 2)], CONTEXT)
    assert row["answer_logprob"] == pytest.approx(oracle.logprob_in(logits, ids, answer), abs=1e-3)


def test_outside_a_study_there_is_no_twin_and_others_are_named():
    refused = pytest.raises(StudyError, match="mode: resample is not offered; write one of uniform, zero")
    with refused, ablated(llama(), [(0, 0)], "resample"):
        pass

"""Two circuits that share no head give a diagonal, and one that serves both questions none."""

from typing import NamedTuple

import pandas as pd
import pytest
import torch

from made_tables import make_study
from planted import CODE, HEAD_DIM, Stream
from planted_facts import CONFIG, TYPES, faintly_planted
from retrieval_heads.ablation.head_sets import choose_head_sets
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.ablation.running import ablate_split, leave_open
from retrieval_heads.ablation.transfer import about_every_question, transferred_sets
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.analysis.transfer import measure_transfer
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import expected_answer, usable
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.findings.claims import Outcome
from retrieval_heads.findings.claims.transfer import own_heads_matter_more
from retrieval_heads.methods import make_methods
from retrieval_heads.methods._scoring import score_split
from retrieval_heads.tables.heads import parse_head
from retrieval_heads.tables.transfer import TRANSFER

SEED, PROSE, DOCUMENTS = CONFIG["seed"], 8000, 7

pytestmark = pytest.mark.thorough

NUMBERS = 24
"""Dimensions of a token's code that those of numbers have to themselves."""

METHOD = "direct_logit"
STATE, COUNT = "hq_state", "employee_count"


class Made(NamedTuple):
    drops: pd.DataFrame
    tests: pd.DataFrame


def split_circuits(planted, prompts):
    """Half of the heads that retrieve write what numbers are made of, and the others all else: no head serves both
    questions, though all look at the answers of both. Returns the heads of each question."""
    of_numbers = sorted(
        {
            token
            for row in prompts[prompts["question"] == COUNT].itertuples()
            for token in expected_answer(planted.tokenizer, row)
        }
    )
    model = planted.model
    now, copy = model.model.embed_tokens.weight, model.lm_head.weight
    with torch.no_grad():
        codes = now[:, Stream.NOW].clone()
        of_a_number = torch.zeros(len(codes), dtype=torch.bool)
        of_a_number[of_numbers] = True
        codes[of_a_number, NUMBERS:] = 0
        codes[~of_a_number, :NUMBERS] = 0
        norms = codes.norm(dim=-1, keepdim=True)
        codes /= norms.where(norms > 0, 1)
        strength = copy[:, Stream.COPY].norm(dim=-1, keepdim=True)
        now[:, Stream.NOW], copy[:, Stream.COPY] = codes, strength * codes
        half = len(planted.retrieval_heads) // 2
        circuits = {COUNT: planted.retrieval_heads[:half], STATE: planted.retrieval_heads[half:]}
        silent = {COUNT: range(NUMBERS, CODE), STATE: range(NUMBERS)}
        for question, heads in circuits.items():
            for layer, head in heads:
                for dimension in silent[question]:
                    model.model.layers[layer].self_attn.o_proj.weight[:, head * HEAD_DIM + dimension] = 0
    return circuits


def made(split, level):
    config = CONFIG | {"documents": CONFIG["documents"] | {"train": 2, "test": DOCUMENTS}}
    documents, prose = make_documents(config, SEED), load_haystack("resources/haystack")[:PROSE]
    planted = faintly_planted(prose, *documents["text"], share=1.0)
    builder = Builder("planted", planted.tokenizer, prose, CONFIG["questions"], CONFIG["prompts"], 480, SEED)
    prompts = builder.build(documents)
    train, test = (usable(prompts, one, "here") for one in ("train", "test"))
    circuits = split_circuits(planted, prompts) if split else dict.fromkeys((COUNT, STATE), planted.retrieval_heads)

    runner = Runner(planted.model, planted.tokenizer, Budget(4096, 16384), Decoding(8, ["."]))
    scores, _ = score_split(runner, train, make_methods({METHOD: {}}), TYPES)
    chosen = choose_head_sets(rank_heads([scores]), [level], {"matched": 1}, SEED)
    sets, reading = transferred_sets(chosen, [METHOD], level), Intervention("reading", "zero", "suffix")
    asked = about_every_question(test)
    ablated = ablate_split(runner, asked, sets, reading, TYPES, TRANSFER)
    shard = pd.concat([leave_open(asked, sets, reading, TRANSFER), ablated], ignore_index=True)
    transfer = join_unablated(shard, answer_unablated(runner, test, TYPES), TRANSFER)
    for row in sets[sets["source"] == "method"].itertuples():
        assert set(map(parse_head, row.heads)) == set(circuits[row.source_question])
    return Made(*measure_transfer(transfer, SEED, 200))


@pytest.fixture(scope="module")
def disjoint():
    return made(split=True, level=3)


@pytest.fixture(scope="module")
def shared():
    return made(split=False, level=6)


def drop_of(found):
    return found.drops.set_index(["source_question", "question"])["drop"]


def over_all(found):
    (row,) = found.tests[found.tests["question"].isna()].to_dict("records")
    return row


def outcome(found):
    study = make_study(methods=(METHOD,), interventions={"reading": {"mode": "zero", "scope": "suffix"}})
    (claim,) = own_heads_matter_more({"transfer_tests": found.tests}, study)
    return claim.outcome


def test_the_model_answers_both_questions(disjoint, shared):
    for found in (disjoint, shared):
        assert (found.tests["unablated"] > 0.9).all() and (found.tests["documents"] == DOCUMENTS).all()


def test_two_circuits_give_a_diagonal(disjoint):
    drop = drop_of(disjoint)
    assert drop[STATE, STATE] > 0.8 and drop[COUNT, COUNT] > 0.8
    assert abs(drop[STATE, COUNT]) < 0.1 and abs(drop[COUNT, STATE]) < 0.1
    row = over_all(disjoint)
    assert row["difference"] > 0.8 and row["difference_low"] > 0 and row["p_holm"] < 0.05
    assert row["own"] < 0.1 and row["others"] > 0.9 and row["random"] > 0.9
    assert outcome(disjoint) is Outcome.SUPPORTED


def test_one_circuit_gives_none(shared):
    assert drop_of(shared).min() > 0.8
    row = over_all(shared)
    assert row["difference"] == 0 and row["p"] == row["logprob_p"] == 1
    # As nothing is left without other questions' heads, nothing could show.
    assert outcome(shared) is Outcome.UNDECIDED

"""The methods that put something in place of heads' outputs give what eager passes over prompt and twin give."""

from dataclasses import replace
from functools import cache

import pandas as pd
import pytest
import torch
from test_traces import ANSWER, CONTEXT, NEEDLE, PROMPTS, assert_equal

import oracle
from retrieval_heads.data.selection import OK
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Region, Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.methods import Document, make_methods
from retrieval_heads.methods._scoring import score_documents, score_groups, score_split
from tiny_models import MODELS, Numbers, llama, random_ids

OPENING = 1


def with_twin(one):
    """The prompt, whose twin has other tokens where the needle states the answer, twice."""
    context = list(one.context)
    for start, stop in one.statements:
        context[start:stop] = [2 + (token + 7) % 29 for token in context[start:stop]]
    return replace(one, twin=context, twin_answer=context[ANSWER.start : ANSWER.stop])


TWINNED = [with_twin(one) for one in PROMPTS]
METHODS = {
    "attribution_patching": {},
    "atp_twin": {"method": "attribution_patching", "toward": "twin", "label": "AtP (twin)"},
    "value_flow": {},
    "flow_twin": {"method": "value_flow", "toward": "twin", "label": "Flow (twin)"},
}


def runner_of(model):
    return Runner(model, Numbers(), Budget(10_000, 10_000), Decoding(4, []))


def score(model, settings, made, states=None):
    """The scores (P, L, H) of each method, all in one go: two documents of two prompts each."""
    documents = [Document(made[at : at + 2], random_ids(3, seed=99)) for at in range(0, len(made), 2)]
    scored = score_documents(runner_of(model), documents, make_methods(settings, states))[1]
    return {name: of_method.scores for name, of_method in scored.items()}


@cache
def the_fast_way(architecture):
    return score(oracle.liven(MODELS[architecture]()), METHODS, TWINNED)


def expected(architecture, of_prompt):
    """Of each prompt by its reading and its twin's, over which gradients are taken by autograd."""
    model, found = oracle.liven(MODELS[architecture]()), []
    for one in TWINNED:
        outputs, slopes = oracle.gradients(model, one.input_ids, one.answer)
        read = [*one.twin, *one.suffix, *one.answer]
        found.append(of_prompt(model, one, outputs, slopes, read))
    return torch.stack(found)


def without_tape(outputs):
    return [z.detach() for z in outputs]


@pytest.mark.parametrize("architecture", MODELS)
def test_attribution_patching_toward_twin_equals_autograd_over_both(architecture):
    def of_prompt(model, _one, outputs, slopes, twin):
        others = without_tape(oracle.eager_outputs(model, twin)[1])
        changes = [z - other for z, other in zip(outputs, others, strict=True)]
        return oracle.attribution_patching(changes, slopes, CONTEXT)

    assert_equal(the_fast_way(architecture)["atp_twin"], expected(architecture, of_prompt))


@pytest.mark.parametrize("keys", [NEEDLE, range(CONTEXT)], ids=["needle", "context"])
@pytest.mark.parametrize("architecture", MODELS)
def test_value_flow_toward_twin_equals_the_slow_way(architecture, keys):
    def of_prompt(model, one, _outputs, slopes, twin):
        read = [*one.input_ids, *one.answer]
        attention, values = oracle.eager_attention(model, read), oracle.eager_values(model, read)
        changes = [v - other for v, other in zip(values, oracle.eager_values(model, twin), strict=True)]
        return oracle.value_flow(attention, changes, slopes, CONTEXT, keys)

    found = the_fast_way(architecture)["flow_twin"]
    if keys != NEEDLE:
        wide = [replace(one, needle_start=keys.start, needle_end=keys.stop) for one in TWINNED]
        found = score(oracle.liven(MODELS[architecture]()), METHODS, wide)["flow_twin"]
    assert_equal(found, expected(architecture, of_prompt))


@pytest.mark.parametrize("head", [(0, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "gpt2", "gpt_oss"])
def test_it_is_what_a_small_step_toward_the_twin_costs(architecture, head):
    """Finite differences of m − m(z′): the head's outputs behind the context go a little way to those of the twin."""
    (layer, number), step, one = head, 0.02, TWINNED[0]
    model = oracle.liven(MODELS[architecture]())
    read = [*one.input_ids, *one.answer]
    with torch.no_grad():
        here, there = (oracle.eager_outputs(model, ids)[1] for ids in (read, [*one.twin, *one.suffix, *one.answer]))

    def logprob(way):
        outputs = [z + way * (other - z) for z, other in zip(here, there, strict=True)]
        return oracle.logprob_in(
            oracle.with_outputs(model, read, [(layer, number)], CONTEXT, outputs), one.input_ids, one.answer
        )

    slope = (logprob(-step) - logprob(step)) / (2 * step)
    scores = the_fast_way(architecture)["atp_twin"][0]
    assert slope == pytest.approx(scores[head].item(), abs=0.01 * scores.abs().max().item())


def means(model):
    """A state of the mean, of random vectors."""
    heads = model.config.num_attention_heads
    size = oracle.eager_outputs(model, [1, 2])[1][0].shape[-1]
    random = torch.Generator().manual_seed(3)
    return {
        f"layer_{layer}": torch.randn(len(Region), heads, size, generator=random)
        for layer in range(model.config.num_hidden_layers)
    }


@pytest.mark.parametrize("architecture", MODELS)
def test_attribution_patching_toward_the_mean_of_each_part(architecture):
    model = oracle.liven(MODELS[architecture]())
    state = means(model)

    def of_prompt(_model, one, outputs, slopes, _twin):
        of = [Region.CONTEXT] * CONTEXT + [Region.SUFFIX] * len(one.suffix) + [Region.ANSWER] * len(one.answer)
        changes = [z - state[f"layer_{layer}"][torch.tensor(of)] for layer, z in enumerate(outputs)]
        return oracle.attribution_patching(changes, slopes, CONTEXT)

    found = score(model, {"attribution_patching": {"toward": "mean"}}, PROMPTS, {"mean": state})
    assert_equal(found["attribution_patching"], expected(architecture, of_prompt))


@pytest.mark.parametrize(
    "settings", [{"attribution_patching": {"toward": "mean"}}, {"single_head_effect": {"mode": "mean"}}]
)
def test_toward_a_mean_that_was_not_fitted_is_refused(settings):
    with pytest.raises(StudyError, match=r"^\w+: mean must be fitted to the prompts of a study; rank heads in one"):
        score(llama(), settings, PROMPTS)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2"])
def test_a_single_head_effect_toward_twin_is_exact(architecture):
    model, one = oracle.liven(MODELS[architecture]()), TWINNED[0]
    found = score(model, {"single_head_effect": {"mode": "resample"}}, TWINNED[:2])["single_head_effect"][0]
    read, whole = [*one.input_ids, *one.answer], oracle.answer_logprob(model, one.input_ids, one.answer)
    for head in [(0, 0), (1, 2), (2, 3)]:
        logits = oracle.resampled(model, read, one.twin, [head], CONTEXT)
        lost = whole - oracle.logprob_in(logits, one.input_ids, one.answer)
        assert found[head].item() == pytest.approx(lost, abs=1e-4)


def test_a_single_head_effect_toward_the_mean_is_exact():
    model, one = oracle.liven(llama()), PROMPTS[0]
    state = means(model)
    found = score(model, {"single_head_effect": {"mode": "mean"}}, PROMPTS[:2], {"mean": state})["single_head_effect"]
    of = [Region.CONTEXT] * CONTEXT + [Region.SUFFIX] * len(one.suffix) + [Region.ANSWER] * len(one.answer)
    logits = oracle.with_outputs(
        model, [*one.input_ids, *one.answer], [(1, 2)], CONTEXT, [mean[torch.tensor(of)] for mean in state.values()]
    )
    lost = oracle.answer_logprob(model, one.input_ids, one.answer) - oracle.logprob_in(
        logits, one.input_ids, one.answer
    )
    assert found[0][1, 2].item() == pytest.approx(lost, abs=1e-4)


def test_a_twin_that_is_the_prompt_takes_nothing_away():
    same = [replace(one, twin=one.context, twin_answer=one.answer) for one in PROMPTS]
    found = score(llama(), METHODS, same)
    assert found["atp_twin"].abs().max() < 1e-6
    assert found["flow_twin"].abs().max() < 1e-6


def test_a_prompt_without_a_twin_has_no_score_and_others_keep_theirs():
    whole = score(llama(), METHODS, TWINNED)
    some = score(llama(), METHODS, [TWINNED[0], PROMPTS[1], PROMPTS[2], TWINNED[3]])
    for name in ("atp_twin", "flow_twin"):
        assert some[name][1:3].isnan().all()
        assert some[name][[0, 3]].sub(whole[name][[0, 3]]).abs().max() < 1e-6
    for name in ("attribution_patching", "value_flow"):
        assert torch.equal(some[name], whole[name])
    effects = score(llama(), {"single_head_effect": {"mode": "resample"}}, PROMPTS[:2])["single_head_effect"]
    assert effects.isnan().all()


def test_twins_are_read_once_for_all_methods_and_not_for_those_without(monkeypatch):
    read, traces = [], Runner.traces

    def count(self, context, prompts, **options):
        read.extend((list(context), options.get("objective")) for _ in prompts)
        return traces(self, context, prompts, **options)

    monkeypatch.setattr(Runner, "traces", count)
    score(llama(), METHODS, TWINNED)
    twins = [objective for context, objective in read if context in [one.twin for one in TWINNED]]
    assert twins == [None] * len(TWINNED) and len(read) == 2 * len(TWINNED)
    read.clear()
    score(llama(), {name: METHODS[name] for name in ("attribution_patching", "value_flow")}, TWINNED)
    assert len(read) == len(TWINNED)


# --- prompts of a table ---------------------------------------------------------------------------------------------


def table(model):
    """Two documents: the model answers the first one's prompts and their twins; in the second one of both."""
    rows = []
    for number, one in enumerate(TWINNED):
        ids, twin = one.input_ids, [*one.twin, *one.suffix]
        answers = [str(oracle.generate(model, of, 1)[0]) for of in (ids, twin)]
        if number >= 2:
            answers[number - 2] = "-1"
        rows.append(
            {
                **{"prompt_id": str(number), "doc_id": str(number // 2), "model": "tiny", "question": f"q{number % 2}"},
                **{"split": "train", "context_length": 80, "variant": "plain", "depth": 0.5, "status": OK},
                **{"input_ids": ids, "null_ids": [*one.context, 5, 6], "suffix_start": CONTEXT, "opening_end": OPENING},
                **{"question_end": None, "null_question_end": None},
                **{"needle_start": NEEDLE.start, "needle_end": NEEDLE.stop},
                **{"answer_start": ANSWER.start, "answer_end": ANSWER.stop},
                **{"sentence_start": NEEDLE.start, "sentence_end": NEEDLE.stop},
                **{"statement_starts": [ANSWER.start], "statement_ends": [ANSWER.stop]},
                **{"document_starts": None, "document_ends": None, "answer": answers[0]},
                **{"twin_ids": one.twin, "twin_answer": answers[1], "twin_status": OK},
            }
        )
    return pd.DataFrame(rows)


TYPES = {"q0": "text", "q1": "text"}
NEEDING = [name for name in METHODS if name.endswith("twin")]


def test_prompts_that_are_not_answered_as_their_twins_are_have_no_score():
    model = llama()
    prompts = table(model)
    groups = [rows for _, rows in prompts.groupby("doc_id")]
    scores, _ = score_groups(runner_of(model), groups, make_methods(METHODS), TYPES)
    scored = pd.DataFrame(scores).groupby("method")["prompt_id"].agg(list).to_dict()
    assert scored == {name: ["0", "1"] if name in NEEDING else ["0", "1", "2", "3"] for name in METHODS}


def test_so_has_none_the_costly_method():
    model = llama()
    settings = METHODS | {"single_head_effect": {"mode": "resample", "documents": 2}}
    scores, _ = score_split(runner_of(model), table(model), make_methods(settings), TYPES)
    assert scores.loc[scores["method"] == "single_head_effect", "prompt_id"].tolist() == ["0", "1"]


def test_a_prompt_of_the_table_without_a_twin_has_no_score():
    model = llama()
    prompts = table(model)[:2]
    prompts["twin_ids"] = prompts["twin_ids"].astype(object)
    prompts.loc[1, ["twin_ids", "twin_answer", "twin_status"]] = [None, None, "there is none"]
    scores, generations = score_split(runner_of(model), prompts, make_methods(METHODS), TYPES)
    assert scores.loc[scores["method"].isin(NEEDING), "prompt_id"].tolist() == ["0", "0"]
    assert len(generations) == 2

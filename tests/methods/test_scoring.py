"""The three methods on a shared prefill give what full eager matrices give, step by step."""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import pandas as pd
import pytest
import torch

import oracle
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.methods import Document, Prompt, Reading, _scoring, make_methods
from retrieval_heads.methods._scoring import score_split
from retrieval_heads.methods.qrhead import QRHead
from retrieval_heads.methods.single_head_effect import SingleHeadEffect
from retrieval_heads.methods.summed_attention import SummedAttention
from retrieval_heads.methods.wu24 import RetrievalHead
from tiny_models import MODELS, Numbers, random_ids

NEEDLE, SENTENCE, ANSWER, CONTEXT = range(20, 66), range(44, 56), range(50, 53), 70
BEGUN = 3
"""How many tokens of each suffix begin the answer, if it has as many and one more; of the null suffix, the last."""
TYPES = {f"q{number}": "text" for number in range(3)}
ALONE, TOGETHER = Budget(1, 1), Budget(10_000, 1)
"""One document at a time, and all in one batch."""


def score(model, table, methods, budget=ALONE, types=TYPES, shard=0, shards=1, max_new_tokens=2):
    """The scores and generations tables."""
    runner = Runner(model, Numbers(), budget, Decoding(max_new_tokens, []))
    return score_split(runner, table, methods, types, shard, shards)


def prompts(suffix_lengths=(6, 9, 4), documents=2, context_tokens=CONTEXT):
    rows = []
    for document in range(documents):
        context = random_ids(context_tokens, seed=document)
        null = context + random_ids(3, seed=99)
        for question, length in enumerate(suffix_lengths):
            rows.append(
                {
                    "prompt_id": f"{document}/{question}",
                    "doc_id": str(document),
                    "model": "tiny",
                    "question": f"q{question}",
                    "context_length": context_tokens + 10,
                    "variant": "plain",
                    "depth": 0.5,
                    "input_ids": context + random_ids(length, seed=100 + question),
                    "null_ids": null,
                    "needle_start": NEEDLE.start,
                    "needle_end": NEEDLE.stop,
                    "answer_start": ANSWER.start,
                    "answer_end": ANSWER.stop,
                    "sentence_start": SENTENCE.start,
                    "sentence_end": SENTENCE.stop,
                    "statement_starts": [ANSWER.start],
                    "statement_ends": [ANSWER.stop],
                    "document_starts": None,
                    "document_ends": None,
                    "suffix_start": context_tokens,
                    "question_end": context_tokens + max(1, length - BEGUN),
                    "null_question_end": context_tokens + 2,
                    "twin_status": "there is none",
                    "answer": "none",
                }
            )
    return pd.DataFrame(rows)


@cache
def the_slow_way(architecture, ids, null, suffix_start, max_new_tokens):
    """What full eager passes give: the tokens generated, attention from the suffix of the prompt and of the null
    prompt on, and the rows that produce the tokens. Found once for all tests of a prompt."""
    model = MODELS[architecture]()
    generated = oracle.generate(model, ids, max_new_tokens)
    suffixes = [oracle.eager_attention(model, each)[:, :, suffix_start:].clone() for each in (ids, null)]
    return generated, *suffixes, oracle.decoding_rows(model, ids, generated)


def assert_equal_the_slow_way(architecture, table, span, max_new_tokens, budget=ALONE):
    """Returns the sum of wu24's scores, by which a test knows that there was something to compare."""
    question = {"method": "qrhead", "rows": "question", "label": "QRHead (question)"}
    methods = make_methods({"summed_attention": {}, "wu24": {"span": span}, "qrhead": {}, "qrhead_question": question})
    slow = {
        row.prompt_id: the_slow_way(
            architecture, tuple(row.input_ids), tuple(row.null_ids), row.suffix_start, max_new_tokens
        )
        for row in table.itertuples()
    }
    # What the model says is the right answer, so that wu24 is compared on all prompts.
    said = [Numbers().decode(slow[prompt][0]) for prompt in table["prompt_id"]]
    scores, generations = score(
        MODELS[architecture](), table.assign(answer=said), methods, budget, max_new_tokens=max_new_tokens
    )
    assert generations["success"].all()
    generations, scores, hits = generations.set_index("prompt_id"), scores.set_index("prompt_id"), 0
    for row in table.itertuples():
        generated, attention, null, rows = slow[row.prompt_id]
        asked = row.question_end - row.suffix_start
        expected = {
            "summed_attention": oracle.summed_attention(attention, NEEDLE),
            "wu24": oracle.wu24(rows, row.input_ids, generated, NEEDLE if span == "needle" else ANSWER),
            "qrhead": oracle.qrhead(attention, null, 0, NEEDLE),
            "qrhead_question": oracle.qrhead(attention[:, :, :asked], null[:, :, :2], 0, NEEDLE),
        }
        hits += expected["wu24"].sum().item()
        assert generations.loc[row.prompt_id, "generated"] == Numbers().decode(generated)
        found = scores.loc[row.prompt_id].set_index("method")["scores"]
        assert set(found.index) == set(expected)
        for method, wanted in expected.items():
            assert found[method].reshape(wanted.shape) == pytest.approx(wanted.numpy(), abs=2e-5), method
    return hits


@pytest.mark.parametrize("architecture", MODELS)
@pytest.mark.parametrize("span", ["needle", "answer"])
def test_all_methods_equal_the_slow_way(architecture, span):
    hits = assert_equal_the_slow_way(architecture, prompts(), span, max_new_tokens=6)
    if span == "needle":
        assert hits > 0, "no head ever hits, so the test shows nothing for wu24"


@pytest.mark.parametrize("architecture", MODELS)
def test_documents_that_run_together_equal_the_slow_way(architecture):
    table = prompts(documents=3)
    # The second document does not answer one of the questions.
    table = table.drop(index=table.index[table["question"].eq("q1")][1]).reset_index(drop=True)
    hits = assert_equal_the_slow_way(architecture, table, "needle", max_new_tokens=6, budget=TOGETHER)
    assert hits > 0


@pytest.mark.parametrize("budget", [ALONE, TOGETHER], ids=["alone", "together"])
@pytest.mark.parametrize("architecture", MODELS)
def test_answers_that_the_model_gives_are_scored_the_slow_way_too(architecture, budget, monkeypatch):
    table = prompts(documents=2)
    # Of each document, one question is answered with all of the answer, one with its beginning, one otherwise.
    answers = [
        the_slow_way(architecture, tuple(row.input_ids), tuple(row.null_ids), row.suffix_start, 6)[0][:5]
        for row in table.itertuples()
    ]
    expected = {
        tuple(ids): tokens if number % 3 == 0 else [*tokens[:2], tokens[2] ^ 1, 3] if number % 3 == 1 else [3, 4]
        for number, (ids, tokens) in enumerate(zip(table["input_ids"], answers, strict=True))
    }
    monkeypatch.setattr(_scoring, "expected_answer", lambda tokenizer, row: expected[tuple(row.input_ids)])
    assert assert_equal_the_slow_way(architecture, table, "needle", max_new_tokens=6, budget=budget) > 0


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_change_nothing(shards):
    model, table = MODELS["llama"](), prompts(documents=3)
    methods = make_methods({"summed_attention": {}, "qrhead": {}})
    whole = score(model, table, methods, max_new_tokens=3)
    parts = [score(model, table, methods, shard=shard, shards=shards, max_new_tokens=3) for shard in range(shards)]
    for one, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        together = pd.concat(pieces, ignore_index=True)
        pd.testing.assert_frame_equal(together, one, check_dtype=False, check_exact=True)


def test_where_memory_runs_out_smaller_batches_give_the_same(monkeypatch):
    model, table, tried = MODELS["llama"](), prompts(documents=3), []
    methods, prefill = make_methods({"summed_attention": {}}), Runner.prefill

    def small(runner, contexts):
        tried.append(len(contexts))
        if len(contexts) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return prefill(runner, contexts)

    whole, _ = score(model, table, methods)
    monkeypatch.setattr(Runner, "prefill", small)
    halved, _ = score(model, table, methods, Budget(10_000, 1))
    assert tried == [3, 1, 1, 1]
    pd.testing.assert_frame_equal(whole, halved)


def test_all_methods_equal_the_slow_way_in_a_long_context():
    table = prompts(suffix_lengths=(5,), documents=1, context_tokens=1040)
    assert_equal_the_slow_way("llama", table, "needle", max_new_tokens=2)


def test_a_question_of_one_token_is_no_decoded_token():
    # Under a sliding window it is a batch of its own, one token wide.
    hits = assert_equal_the_slow_way("mistral", prompts(suffix_lengths=(1, 4)), "needle", max_new_tokens=6)
    assert hits > 0


def test_every_head_has_a_score_for_every_method_and_prompt():
    methods = make_methods({"summed_attention": {}, "qrhead": {}})
    scores, generations = score(MODELS["llama"](), prompts(), methods)
    assert len(scores) == 2 * 6
    assert len(generations) == 6
    assert not scores.duplicated(["method", "prompt_id"]).any()
    assert (scores["layers"].eq(3) & scores["heads"].eq(4) & scores["scores"].map(len).eq(3 * 4)).all()


@pytest.mark.parametrize("first", [1, 2])
def test_a_costly_method_scores_the_first_documents_alone(first):
    methods = make_methods({"summed_attention": {}, "single_head_effect": {"documents": first}})
    scores, _ = score(MODELS["llama"](), prompts(documents=3), methods)
    scored = scores.groupby("method")["prompt_id"].agg(lambda ids: sorted({one.partition("/")[0] for one in ids}))
    assert scored["single_head_effect"] == ["0", "1"][:first] and scored["summed_attention"] == ["0", "1", "2"]


def test_a_costly_method_that_needs_success_scores_what_the_model_answers_alone():
    @dataclass(frozen=True)
    class OfAnswered(SingleHeadEffect):
        needs_success: ClassVar = True

    model, table = MODELS["llama"](), prompts()
    _, generations = score(model, table, [])
    wanted = generations["generated"].iloc[1]
    table["answer"] = wanted
    scores, generations = score(model, table, [OfAnswered()], types=dict.fromkeys(TYPES, "text"))
    answered = generations.loc[generations["success"], "prompt_id"]
    assert 0 < len(answered) < len(table)
    assert scores["prompt_id"].tolist() == answered.tolist()


def test_a_twin_whose_answer_is_not_known_compares_nothing():
    one = replace(PROMPT, suffix_start=8, answer=[6], twin=PROMPT.input_ids)
    runner = Runner(MODELS["llama"](), Numbers(), ALONE, Decoding(1, []))
    (method,) = make_methods({"single_head_effect": {"mode": "resample"}})
    assert method.score(runner, [Document([one], [1, 2])]).isnan().all()


def test_a_model_that_a_method_cannot_measure_is_refused_before_any_work(monkeypatch):
    class Refuses(SummedAttention):
        def require(self, runner):
            raise StudyError("this model has no such thing.")

    monkeypatch.setattr(Runner, "prefill", lambda *_: pytest.fail("it began"))
    with pytest.raises(StudyError, match="no such thing"):
        score(MODELS["llama"](), prompts(), [Refuses()])


def test_only_a_prompt_that_the_model_answers_has_a_wu24_score():
    model, table = MODELS["llama"](), prompts()
    first = [oracle.generate(model, ids, 1)[0] for ids in table["input_ids"]]
    types = {"q0": "count", "q1": "count", "q2": "text"}
    table["answer"] = [
        str(number + 1) if question == "q1" else str(number)
        for number, question in zip(first, table["question"], strict=True)
    ]
    methods = make_methods({"summed_attention": {}, "wu24": {}})
    scores, generations = score(model, table, methods, types=types)
    assert generations.set_index("prompt_id")["success"].to_dict() == {
        row.prompt_id: row.question != "q1" for row in table.itertuples()
    }
    answered = set(generations.loc[generations["success"], "prompt_id"])
    assert set(scores.loc[scores["method"] == "wu24", "prompt_id"]) == answered
    assert set(scores.loc[scores["method"] == "summed_attention", "prompt_id"]) == set(table["prompt_id"])


def test_a_score_does_not_depend_on_the_other_questions():
    model, methods = MODELS["llama"](), make_methods({"summed_attention": {}, "qrhead": {}})
    table = prompts()
    every, _ = score(model, table, methods)
    one, _ = score(model, table[table["question"] == "q2"], methods)
    both = every.merge(one, on=["method", "prompt_id"])
    assert len(both) == len(one)
    for among_others, alone in zip(both["scores_x"], both["scores_y"], strict=True):
        assert among_others == pytest.approx(alone, abs=1e-6)


PROMPT = Prompt(
    [5, 6, 7, 8, 6, 9], needle_start=1, needle_end=4, answer_start=2, answer_end=3, suffix_start=5, answer=[7]
)


def test_summed_attention_by_hand():
    rows = torch.tensor([[[0.1, 0.2, 0.3, 0.05, 0.15, 0.2]]])
    method = SummedAttention()
    read = method.reduce(rows, PROMPT)
    assert read.tolist() == pytest.approx([0.55])
    assert method.combine({Reading.QUESTION: [read[None]]}, [], PROMPT).tolist() == [pytest.approx([0.55])]


def one_hot(position):
    """A head's one row over 10 keys, of which one has all attention; (1, 1, 10)."""
    return torch.nn.functional.one_hot(torch.tensor([[position]]), 10).float()


def looks_at(keys):
    """A head's one row over 10 keys, with the attention of some of them."""
    row = torch.full((1, 1, 10), 0.001)
    for key, attention in keys.items():
        row[..., key] = attention
    return row


@pytest.mark.parametrize(
    ("generated", "strongest", "hits"),
    [
        ([6, 7], [1, 2], 2),  # both copied from inside the needle
        ([6, 7], [4, 2], 1),  # token 6 is looked at, but outside the needle
        ([6, 7], [2, 1], 0),  # inside the needle, but other tokens
        ([6, 7, 8], [1, 7, 3], 2),  # position 7 is a generated token
        ([6], [1, 2], 1),  # the second row produced no token that counts
        ([], [1], 0),
        ([6, 6], [1, 1], 2),  # a token copied twice is two hits
    ],
)
def test_wu24_by_hand(generated, strongest, hits):
    method = RetrievalHead()
    first, *rest = [method.reduce(one_hot(position), PROMPT)[None] for position in strongest]
    score = method.combine({Reading.QUESTION: [first], Reading.DECODE: rest}, generated, PROMPT)
    assert score.tolist() == [pytest.approx([hits / 3])]


def test_wu24_on_the_answer_alone():
    method = RetrievalHead(span="answer")
    first, second = (method.reduce(one_hot(position), PROMPT)[None] for position in (1, 2))
    score = method.combine({Reading.QUESTION: [first], Reading.DECODE: [second]}, [6, 7], PROMPT)
    assert score.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("keys", "hits", "margin"),
    [
        ({1: 0.4, 4: 0.3}, 1, math.log(4 / 3)),  # token 6 in the needle, and outside of it
        ({4: 0.4, 1: 0.3}, 0, math.log(4 / 3)),
        ({1: 0.4, 4: 0.4}, 0, 0.0),  # which of them comes first is no look of the head's
        ({4: 0.4, 5: 0.4}, 0, math.inf),  # two misses: a miss whichever it is
    ],
)
def test_wu24_tells_how_close_a_hit_was(keys, hits, margin):
    method = RetrievalHead()
    read = {Reading.QUESTION: [method.reduce(looks_at(keys), PROMPT)[None]], Reading.DECODE: []}
    assert method.combine(read, [6], PROMPT).tolist() == [pytest.approx([hits / 3])]
    assert method.decide(read, [6], PROMPT)[1] == pytest.approx(margin, abs=1e-6)


@pytest.mark.parametrize("close_first", [True, False])
def test_the_closest_of_several_hits_tells_how_close_all_were(close_first):
    method = RetrievalHead()
    keys = [{1: 0.4, 4: 0.39}, {4: 0.4, 1: 0.2}]
    first, second = (method.reduce(looks_at(one), PROMPT)[None] for one in (keys if close_first else keys[::-1]))
    read = {Reading.QUESTION: [first], Reading.DECODE: [second]}
    assert method.decide(read, [6, 6], PROMPT)[1] == pytest.approx(math.log(0.4 / 0.39), abs=1e-6)


def test_two_equally_strong_keys_that_are_hits_are_one():
    prompt = replace(PROMPT, needle_end=5)
    method = RetrievalHead()
    read = {Reading.QUESTION: [method.reduce(looks_at({1: 0.4, 4: 0.4}), prompt)[None]], Reading.DECODE: []}
    assert method.combine(read, [6], prompt).tolist() == [pytest.approx([1 / 4])]
    assert method.decide(read, [6], prompt)[1] == math.inf


def test_qrhead_by_hand():
    question, null = [0.5] * 9 + [-0.3], [0.4] * 9 + [0.3]
    gain = [0.1] * 9 + [-0.6]
    # mean 0.03, unbiased sd 0.2214: the last token lies at −0.6 ≤ 0.03 − 0.4428 and is dropped.
    prompt = Prompt(list(range(10)), 0, 10, 0, 1, 10, [0])
    method = QRHead()
    read = [method.reduce(torch.tensor(values)[None, None], prompt)[None] for values in (question, null)]
    score = method.combine({Reading.QUESTION: [read[0]], Reading.NULL: [read[1]]}, [], prompt)
    assert score.item() == pytest.approx(sum(gain[:9]), abs=1e-6)
    loose = QRHead(outlier_sd=10.0).combine({Reading.QUESTION: [read[0]], Reading.NULL: [read[1]]}, [], prompt)
    assert loose.item() == pytest.approx(sum(gain), abs=1e-6)


def test_qrhead_is_the_mean_over_the_suffix_rows():
    rows = torch.tensor([[[0.2, 0.4, 0.4, 0.0], [0.0, 0.2, 0.6, 0.2]]])
    assert QRHead().reduce(rows, Prompt([1, 2, 3, 4], 1, 3, 1, 2, 4, [2])).tolist() == [pytest.approx([0.3, 0.5])]


def test_qrhead_reads_no_question_without_a_token():
    prompt = Prompt([1, 2, 3, 4], 1, 3, 1, 2, 3, [2], question_end=3)
    with pytest.raises(StudyError, match=r"^prompts\.null_question: .* has no token, and QRHead is to read its rows"):
        QRHead(rows="question").reduce(torch.zeros(1, 2, 4), prompt)


def test_heads_are_scored_where_nothing_is_generated():
    table = prompts()
    model = oracle.liven(MODELS["llama"]())
    scores, generations = score(model, table, make_methods({"summed_attention": {}, "wu24": {}}), max_new_tokens=0)
    asked, _ = score(model, table, make_methods({"summed_attention": {}}), max_new_tokens=2)
    assert generations["generated"].eq("").all()
    assert generations["margin"].isna().all()
    found = scores[scores["method"] == "summed_attention"]
    assert found["scores"].map(list).tolist() == asked["scores"].map(list).tolist()


@pytest.mark.parametrize("what", ["context", "suffix"])
@pytest.mark.parametrize("methods", [{"summed_attention": {}}, {"value_flow": {}}, {"single_head_effect": {}}], ids=str)
def test_a_prompt_in_which_the_model_fails_is_named(what, methods):
    table = prompts()
    last = table.iloc[-1]
    wanted = last["input_ids"][:CONTEXT] if what == "context" else last["input_ids"][CONTEXT:]
    model = MODELS["llama"]()

    def spoil(_module, args, hidden):
        found = [wanted == ids[at : at + len(wanted)] for ids in args[0].tolist() for at in range(len(ids))]
        return hidden * math.nan if any(found) else hidden

    model.model.embed_tokens.register_forward_hook(spoil)
    with pytest.raises(
        StudyError, match=r"^[01]/[0-2]: the .* not finite, as model\.embed_tokens gives NaN"
    ) as refusal:
        score(model, table, make_methods(methods))
    # All questions are asked of every document; the context is that of the last one alone.
    assert what == "suffix" or str(refusal.value).startswith("1/0: ")


def test_a_score_that_is_not_finite_is_told_by_method_head_and_prompt(monkeypatch):
    def combine(self, readings, generated, prompt):
        scores = whole(self, readings, generated, prompt)
        if prompt.name == "1/2":
            scores[2, 3] = math.inf
        return scores

    whole = SummedAttention.combine
    monkeypatch.setattr(SummedAttention, "combine", combine)
    with pytest.raises(StudyError) as refusal:
        score(MODELS["llama"](), prompts(), make_methods({"summed_attention": {}}))
    assert str(refusal.value) == (
        "1/2: the scores by Summed Attention in layer 2, head 3 are not finite; leave out the methods that need them, "
        "or choose another model."
    )

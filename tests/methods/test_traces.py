"""The methods that read the expected answer give what eager attention and autograd over the whole prompt give."""

from dataclasses import replace
from functools import cache

import pytest
import torch

import oracle
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.methods import Document, Prompt, make_methods
from retrieval_heads.methods._scoring import score_documents
from retrieval_heads.methods.core import CoRe
from tiny_models import MODELS, Numbers, llama, random_ids

# Windows of 24 tokens show parts of all spans to some rows, and none of the first documents.
CONTEXT, NEEDLE, SENTENCE, ANSWER = 70, range(44, 62), range(49, 58), range(54, 57)
STATEMENTS = (ANSWER, range(58, 61))
DOCUMENTS = (range(2, 12), range(14, 22), range(64, 69))
TOLERANCE = 1e-4
CLOSE = 1e-4
"""Of two keys of which either may be the strongest by rounding."""


def prompts():
    """Two documents with two questions each, whose answers are three tokens that the needle states twice."""
    made = []
    for document in range(2):
        context = random_ids(CONTEXT, seed=document)
        answer = [context[at] for at in ANSWER]
        for at, token in zip(STATEMENTS[1], answer, strict=True):
            context[at] = token
        for length in (7, 4):
            made.append(
                Prompt(
                    [*context, *random_ids(length, seed=100 + length)],
                    *(NEEDLE.start, NEEDLE.stop, ANSWER.start, ANSWER.stop, CONTEXT, answer),
                    *(SENTENCE.start, SENTENCE.stop),
                    statements=tuple((one.start, one.stop) for one in STATEMENTS),
                    documents=tuple((one.start, one.stop) for one in DOCUMENTS),
                )
            )
    return made


PROMPTS = prompts()
METHODS = {
    "direct_logit": {},
    "locos": {},
    "attention_contrast": {},
    "positional_copy": {},
    "core": {},
    "attribution_patching": {},
    "value_flow": {},
}
SPANS = {"sentence": SENTENCE, "needle": NEEDLE, "answer": ANSWER}
SPANNED = ("locos", "attention_contrast")


def score(model, settings, made=PROMPTS):
    """The scores (P, L, H) of each method, all in one go."""
    documents = [Document([one], random_ids(3, seed=99)) for one in made]
    runner = Runner(model, Numbers(), Budget(10_000, 10_000), Decoding(4, []))
    scored = score_documents(runner, documents, make_methods(settings))[1]
    return {name: of_method.scores for name, of_method in scored.items()}


@cache
def the_fast_way(architecture):
    model = oracle.liven(MODELS[architecture]())
    found = score(model, METHODS)
    for span in SPANS:
        made = score(model, {name: {"span": span} for name in SPANNED})
        found |= {f"{name}, {span}": scores for name, scores in made.items()}
    return found


@cache
def the_slow_way(architecture):
    """For each prompt: its attention with the answer, φ, values, heads' outputs, their gradients, and what is seen."""
    model = oracle.liven(MODELS[architecture]())
    found = []
    for one in PROMPTS:
        read = [*one.input_ids, *one.answer]
        found.append(
            {
                "attention": oracle.eager_attention(model, read),
                "values": oracle.eager_values(model, read),
                "phi": oracle.written(model, one.input_ids, one.answer)[0],
                "reached": oracle.gradients(model, one.input_ids, one.answer),
                "visible": oracle.visible(model, len(read)),
            }
        )
    return found


def assert_equal(found, wanted):
    """To 1e-4 of the range of a method's scores."""
    span = (wanted.max() - wanted.min()).item()
    assert span > 0, "all heads score the same, so the test shows nothing"
    assert found.sub(wanted).abs().max() < TOLERANCE * span


def expected(architecture, of_prompt):
    return torch.stack([of_prompt(one, slow) for one, slow in zip(PROMPTS, the_slow_way(architecture), strict=True)])


def answer_rows(one):
    """The rows that produce the answer's tokens."""
    return slice(len(one.input_ids) - 1, len(one.input_ids) - 1 + len(one.answer))


@pytest.mark.parametrize("architecture", MODELS)
def test_direct_logit_equals_the_slow_way(architecture):
    wanted = expected(architecture, lambda one, slow: slow["phi"].sum(-1).mean(-1))
    assert_equal(the_fast_way(architecture)["direct_logit"], wanted)


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("method", SPANNED)
@pytest.mark.parametrize("architecture", MODELS)
def test_what_is_held_against_the_rest_equals_the_slow_way(architecture, method, span):
    def of_prompt(one, slow):
        amounts = slow["phi"] if method == "locos" else slow["attention"][:, :, answer_rows(one)]
        made = oracle.contrast(amounts, slow["visible"], answer_rows(one).start, SPANS[span])
        return torch.full(amounts.shape[:2], torch.nan) if made is None else made

    wanted, found = expected(architecture, of_prompt), the_fast_way(architecture)[f"{method}, {span}"]
    assert torch.equal(found.isnan(), wanted.isnan())
    left = ~wanted[:, 0, 0].isnan()
    assert left.any()
    assert_equal(found[left], wanted[left])


@pytest.mark.parametrize("method", SPANNED)
def test_nothing_is_scored_where_a_single_row_sees_less_outside_than_inside(method):
    one = PROMPTS[0]
    seen = len(one.input_ids)  # by the first row; each other one sees a key more
    for inside, missing in ((seen // 2 + 1, True), (seen // 2, False)):
        wide = replace(one, needle_start=0, needle_end=inside)
        found = score(oracle.liven(MODELS["llama"]()), {method: {"span": "needle"}}, [wide])[method]
        assert (found.isnan() if missing else found.isfinite()).all()


@pytest.mark.parametrize("architecture", MODELS)
def test_positional_copy_equals_the_slow_way_but_for_equal_maxima(architecture):
    wanted = expected(
        architecture, lambda one, slow: oracle.positional_copy(slow["attention"][:, :, answer_rows(one)], STATEMENTS)
    )
    tied = torch.zeros_like(wanted, dtype=torch.bool)
    for number, (one, slow) in enumerate(zip(PROMPTS, the_slow_way(architecture), strict=True)):
        first, second = slow["attention"][:, :, answer_rows(one)].topk(2).values.unbind(-1)
        tied[number] = (first - second < CLOSE * first).any(-1)
    assert tied.float().mean() < 0.1
    assert the_fast_way(architecture)["positional_copy"][~tied].sub(wanted[~tied]).abs().max() < 1e-6


def test_some_head_copies_by_position():
    assert max(the_fast_way(architecture)["positional_copy"].max() for architecture in MODELS) > 0


@pytest.mark.parametrize("architecture", MODELS)
def test_core_equals_the_slow_way(architecture):
    def of_prompt(one, slow):
        within = slow["attention"][:, :, : len(one.input_ids)]
        return oracle.core(within, CONTEXT, [NEEDLE, *DOCUMENTS], 0.1)

    assert_equal(the_fast_way(architecture)["core"], expected(architecture, of_prompt))


@pytest.mark.parametrize("architecture", MODELS)
def test_attribution_patching_equals_autograd_over_the_whole_prompt(architecture):
    wanted = expected(architecture, lambda one, slow: oracle.attribution_patching(*slow["reached"], CONTEXT))
    assert_equal(the_fast_way(architecture)["attribution_patching"], wanted)


@pytest.mark.parametrize("architecture", MODELS)
def test_value_flow_equals_the_slow_way(architecture):
    def of_prompt(one, slow):
        return oracle.value_flow(slow["attention"], slow["values"], slow["reached"][1], CONTEXT, NEEDLE)

    assert_equal(the_fast_way(architecture)["value_flow"], expected(architecture, of_prompt))


@pytest.mark.parametrize("architecture", MODELS)
def test_value_flow_over_all_keys_is_attribution_patching(architecture):
    whole = [
        Prompt(one.input_ids, 0, len(one.input_ids) + len(one.answer), ANSWER.start, ANSWER.stop, CONTEXT, one.answer)
        for one in PROMPTS
    ]
    model = oracle.liven(MODELS[architecture]())
    found = score(model, {"value_flow": {}, "attribution_patching": {}}, whole)
    assert_equal(found["value_flow"], found["attribution_patching"])


@pytest.mark.parametrize("head", [(0, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("architecture", ["llama", "gemma3_text", "gpt2", "gpt_oss"])
def test_value_flow_is_what_a_little_less_attention_to_the_needle_costs(architecture, head):
    """Finite differences in α: of the rows behind the context, to the needle's keys, with all that follows from it."""
    (layer, number), step, one = head, 0.02, PROMPTS[0]
    model, slow = oracle.liven(MODELS[architecture]()), the_slow_way(architecture)[0]
    rows = slow["attention"][layer, number, CONTEXT:, NEEDLE.start : NEEDLE.stop]
    looked_at = rows @ slow["values"][layer][number, NEEDLE.start : NEEDLE.stop]
    size = looked_at.shape[-1]

    def logprob(more):
        def change(_module, args):
            outputs = args[0].reshape(1, len(one.input_ids) + len(one.answer), -1).clone()
            outputs[0, CONTEXT:, number * size : (number + 1) * size] += more * looked_at
            return (outputs.view(args[0].shape),)

        handle = oracle.projection(model, layer).register_forward_pre_hook(change)
        try:
            return oracle.answer_logprob(model, one.input_ids, one.answer)
        finally:
            handle.remove()

    slope = (logprob(step) - logprob(-step)) / (2 * step)
    scores = the_fast_way(architecture)["value_flow"][0]
    assert slope == pytest.approx(scores[head].item(), abs=0.01 * scores.abs().max().item())


# --- by hand --------------------------------------------------------------------------------------------------------


def test_methods_alone_score_as_they_do_together():
    together = score(llama(), METHODS)
    for name, settings in METHODS.items():
        assert score(llama(), {name: settings})[name].sub(together[name]).abs().max() < 1e-6


def test_a_span_that_is_larger_than_the_rest_leaves_the_prompt_out():
    one = PROMPTS[0]
    large = Prompt(one.input_ids, 1, 60, ANSWER.start, ANSWER.stop, CONTEXT, one.answer)
    for name in SPANNED:
        assert score(llama(), {name: {"span": "needle"}}, [large])[name].isnan().all()
        assert not score(llama(), {name: {"span": "answer"}}, [large])[name].isnan().any()


def test_a_span_that_is_as_large_as_the_rest_is_held_against_it():
    """The answer's first token is produced by the last row of the question, which sees the others and itself."""
    one = PROMPTS[0]
    prompt, seen = replace(one, answer=one.answer[:1]), len(one.input_ids)
    assert seen % 2 == 1  # so that, with one more token, half of what is seen is a span
    even = replace(prompt, input_ids=[*one.input_ids, 7], needle_start=0, needle_end=(seen + 1) // 2)
    larger = replace(even, needle_end=even.needle_end + 1)
    for name in SPANNED:
        assert not score(llama(), {name: {"span": "needle"}}, [even])[name].isnan().any()
        assert score(llama(), {name: {"span": "needle"}}, [larger])[name].isnan().all()


@pytest.mark.parametrize("told", [{}, {"sentence_start": 49}, {"sentence_end": 58}])
def test_a_prompt_that_does_not_tell_its_sentence_is_refused(told):
    one = PROMPTS[0]
    bare = Prompt(one.input_ids, NEEDLE.start, NEEDLE.stop, ANSWER.start, ANSWER.stop, CONTEXT, one.answer, **told)
    with pytest.raises(ValueError, match="give sentence_start and sentence_end"):
        score(llama(), {"locos": {}}, [bare])


@pytest.mark.parametrize(("others", "missing"), [(0, True), (1, True), (2, False)])
def test_core_needs_two_whole_documents_beside_the_needle(others, missing):
    one = PROMPTS[0]
    few = Prompt(
        one.input_ids,
        *(NEEDLE.start, NEEDLE.stop, ANSWER.start, ANSWER.stop, CONTEXT, one.answer),
        documents=one.documents[:others],
    )
    found = score(llama(), {"core": {}}, [few])["core"].isnan()
    assert found.all() if missing else not found.any()


def test_core_is_even_where_temperature_is_high():
    found = score(llama(), {"core": {"temperature": 1e6}})["core"]
    assert found.sub(1 / 4).abs().max() < 1e-4
    assert found.shape == (len(PROMPTS), 3, 4)


def test_core_is_a_number_at_the_lowest_temperature():
    lowest = CoRe.limits["temperature"]["minimum"]
    found = score(llama(), {"core": {"temperature": lowest}})["core"]
    assert found.isfinite().all() and set(found.unique().tolist()) <= {0.0, 1.0}


class Looks:
    """A trace of two heads in one layer, of which it is known where each answer row looks hardest."""

    layers = range(1)

    def __init__(self, strongest, keys):
        self.rows = torch.nn.functional.one_hot(torch.tensor(strongest), keys).float()  # (H, A, K)
        self.answer_rows = slice(0, self.rows.shape[1])

    def attention(self, layer):
        return self.rows


@pytest.mark.parametrize(
    ("statements", "strongest", "share"),
    [
        (((2, 4),), [2, 3], 1.0),
        (((2, 4),), [3, 2], 0.0),  # the right tokens, each in the other's row
        (((2, 4), (6, 8)), [6, 3], 1.0),  # of either statement
        (((2, 4), (6, 7)), [6, 7], 0.5),  # the second statement has a single token
        ((), [2, 3], 1.0),  # none are told: the answer's own place
        (((2, 4),), [0, 9], 0.0),
    ],
)
def test_positional_copy_by_hand(statements, strongest, share):
    prompt = Prompt([1, 9, 5, 6, 9, 9, 5, 6, 9, 3], 1, 9, 2, 4, 9, [5, 6], statements=statements)
    (method,) = make_methods({"positional_copy": {}})
    assert method.score_trace(Looks([strongest], 10), prompt).tolist() == [[share]]


@pytest.mark.parametrize(
    ("strongest", "share"),
    [
        ([1, 2, 3], 1.0),  # the blank, then the tokens
        ([6, 7, 8], 2 / 3),  # no blank is before the second statement
        ([2, 3, 3], 1 / 3),
    ],
)
def test_a_blank_before_the_answer_is_a_token_of_the_statement(strongest, share):
    prompt = Prompt([1, 4, 5, 6, 9, 9, 8, 5, 6, 3], 1, 9, 2, 4, 9, [4, 5, 6], statements=((2, 4), (7, 9)))
    (method,) = make_methods({"positional_copy": {}})
    assert method.score_trace(Looks([strongest], 10), prompt).tolist() == [[pytest.approx(share)]]

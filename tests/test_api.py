"""A study's heads, and ablation, in a program of one's own."""

import contextvars
import copy
import threading
import warnings
from dataclasses import replace
from functools import partial
from itertools import product

import pandas as pd
import pytest
import torch
from torch.utils.checkpoint import checkpoint

import oracle
from oracle import generate, plain, without_heads
from retrieval_heads import tables
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.api import (
    Budget,
    Decoding,
    Document,
    HeadScorer,
    Prompt,
    Runner,
    ablated,
    answer_logprob,
    made_with,
    make_methods,
    read_documents,
    score_heads,
    top_heads,
)
from retrieval_heads.errors import StudyError
from retrieval_heads.tables import prompts as prompts_table
from retrieval_heads.tables.rankings import RANKINGS
from tiny_models import MODELS, VOCABULARY, Numbers, llama, made, random_ids

HEADS = [(0, 1), (1, 3), (1, 2), (2, 0)]


# --- made_with -------------------------------------------------------------------------------------------------------


def test_a_table_tells_what_it_was_made_with(tmp_path):
    told = {"rule": "rank_heads", "config": "d", "seed": 1, "models": {"small": {"dtype": "float32"}}}
    for name, one in (("told", told), ("untold", {})):
        tables.write(RANKINGS.empty(), tmp_path / f"{name}.parquet", RANKINGS, one)
        assert made_with(tmp_path / f"{name}.parquet") == one
    with pytest.raises(StudyError, match="no such file"):
        made_with(tmp_path / "none.parquet")


# --- top_heads -----------------------------------------------------------------------------------------------------

# Orders of the heads L0H0, L0H1, L1H0, L1H1, by hand.
ORDERS = {
    ("wu24", "place", 512): [(0, 0), (0, 1), (1, 0), (1, 1)],
    ("wu24", "place", 1024): [(1, 1), (0, 0), (0, 1), (1, 0)],
    ("wu24", "year", 512): [(1, 1), (1, 0), (0, 0), (0, 1)],
    ("wu24", "year", 1024): [(0, 0), (1, 1), (0, 1), (1, 0)],
    ("qrhead", "place", 512): [(1, 0), (0, 1)],  # lists two heads of four
    ("qrhead", "year", 512): [(1, 1), (1, 0)],
}


def make_results(folder, models=("small",), orders=ORDERS):
    rows = [
        (model, method, question, length, "plain", layer, head, 1 / rank, rank, rank, 9, 0.1)
        for model in models
        for (method, question, length), order in orders.items()
        for rank, (layer, head) in enumerate(order, 1)
    ]
    frame = pd.DataFrame(rows, columns=RANKINGS.columns)
    tables.write(frame, folder / "tables" / "rankings.parquet", RANKINGS)
    return folder


@pytest.fixture
def results(tmp_path):
    return make_results(tmp_path / "study")


def test_one_ranking_gives_its_first_heads(results):
    for (method, question, length), order in ORDERS.items():
        assert top_heads(results, method, 2, question=question, context_length=length) == order[:2]


def test_several_rankings_give_the_first_by_mean_rank(results):
    # Mean ranks of wu24 over both questions: at 512 tokens 2, 3, 2.5, 2.5; over all four rankings 1.75, 3, 3.25, 2.
    assert top_heads(str(results), "wu24", 4, context_length=512) == [(0, 0), (1, 0), (1, 1), (0, 1)]
    assert top_heads(str(results), "wu24", 3, context_length=512) == [(0, 0), (1, 0), (1, 1)]
    assert top_heads(results, "wu24", 4) == [(0, 0), (1, 1), (0, 1), (1, 0)]
    # Of year over both lengths: 2, 3.5, 3, 1.5.
    assert top_heads(results, "wu24", 3, question="year") == [(1, 1), (0, 0), (1, 0)]


def test_a_head_that_ties_with_one_left_out_is_left_out_too(results, tmp_path):
    # L1H0 and L1H1 share places 2 and 3.
    with pytest.warns(
        UserWarning, match="wu24 gives 1 of 2 heads here: the next ones tie with some that would be left out"
    ):
        assert top_heads(results, "wu24", 2, context_length=512) == [(0, 0)]
    # All have mean rank 1.5 where two rankings are each other's reverse.
    turned = {("wu24", "place", 512): [(0, 0), (0, 1)], ("wu24", "year", 512): [(0, 1), (0, 0)]}
    with pytest.warns(UserWarning, match="wu24 gives 0 of 1 heads here: the next ones tie"):
        assert top_heads(make_results(tmp_path / "turned", orders=turned), "wu24", 1) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert top_heads(tmp_path / "turned", "wu24", 2) == [(0, 0), (0, 1)]


def test_heads_that_never_scored_are_no_top_heads(tmp_path):
    """Of eight questions each finds one head of its own in a later layer: they are eight, and none of layer 0."""
    found = [(layer, head) for layer in range(1, 5) for head in (0, 1)]
    frames = [
        pd.DataFrame(list(product(range(6), range(4))), columns=["layer", "head"])
        .assign(
            model="small",
            method="wu24",
            question=f"q{n}",
            context_length=512,
            variant="plain",
            n_samples=9,
            score_sd=0.1,
        )
        .assign(score=lambda heads, one=one: (heads[["layer", "head"]].apply(tuple, axis=1) == one) * 0.5)
        for n, one in enumerate(found)
    ]
    tables.write(placed(pd.concat(frames)), tmp_path / "tables" / "rankings.parquet", RANKINGS)
    assert top_heads(tmp_path, "wu24", 8) == found
    with pytest.warns(UserWarning, match="wu24 gives 8 of 20 heads here: the next ones tie"):
        assert top_heads(tmp_path, "wu24", 20) == found
    with pytest.warns(UserWarning, match="gives 0 of 7 heads"):
        assert top_heads(tmp_path, "wu24", 7) == []


def test_heads_that_a_ranking_does_not_list_share_its_last_ranks(results):
    # L0H0 is in no list, and behind all others; L1H0 has ranks 1 and 2, L1H1 3.5 and 1, L0H1 2 and 3.5.
    assert top_heads(results, "qrhead", 3) == [(1, 0), (1, 1), (0, 1)]


def test_heads_are_plain_integers(results):
    assert {type(number) for head in top_heads(results, "wu24", 4) for number in head} == {int}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": "magic"}, r"has no method 'magic' with such rankings; give one of qrhead, wu24"),
        ({"question": "count"}, r"has no question 'count' with such rankings; give one of place, year"),
        (
            {"context_length": 2048, "variant": "plain"},
            r"has no context_length 2048 with such rankings; give one of 512, 1024",
        ),
        (
            {"method": "qrhead", "context_length": 1024, "variant": "plain"},
            r"has no context_length 1024 .* give one of 512",
        ),
        ({"model": "large"}, r"has no model 'large' with such rankings; give one of small"),
        ({"k": 0}, r"wu24 ranks 4 heads here; give k from 1 to 4, not 0"),
        ({"k": 5}, r"wu24 ranks 4 heads here; give k from 1 to 4, not 5"),
        ({"method": "qrhead", "k": 4}, r"qrhead ranks 3 heads here; give k from 1 to 3, not 4"),
    ],
)
def test_what_a_study_does_not_have_is_told(results, asked, message):
    with pytest.raises(StudyError, match=message):
        top_heads(results, **({"method": "wu24", "k": 2} | asked))


def test_a_folder_that_is_no_finished_study_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"nowhere.tables.rankings\.parquet: no such file; give the folder of a"):
        top_heads(tmp_path / "nowhere", "wu24", 1)


def test_a_study_of_an_earlier_version_is_named(tmp_path):
    file = make_results(tmp_path / "old") / "tables" / "rankings.parquet"
    pd.read_parquet(file).drop(columns="last").to_parquet(file)
    with pytest.raises(StudyError, match=r"of an earlier version and lacks the columns last; delete .*old and run"):
        top_heads(tmp_path / "old", "wu24", 1)


def test_one_of_several_models_is_asked_for(tmp_path):
    results = make_results(tmp_path, models=("small", "large"))
    with pytest.raises(StudyError, match="has 2 models; give model as one of large, small"):
        top_heads(results, "wu24", 1)
    assert top_heads(results, "wu24", 1, model="large") == [(0, 0)]


# --- ablated -------------------------------------------------------------------------------------------------------


def logits(model, ids, **inputs):
    with torch.no_grad():
        return model(torch.tensor(ids), **inputs).logits


def padded(prompts):
    """Prompts of different length as a batch, padded at the left."""
    width = max(map(len, prompts))
    ids = [[0] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)


def generate_batch(model, prompts, tokens=6):
    ids, mask = padded(prompts)
    with torch.no_grad():
        out = model.generate(ids, attention_mask=mask, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    return out[:, ids.shape[1] :].tolist()


PROMPTS = [random_ids(count, seed=count) for count in (40, 33, 7)]


@pytest.mark.parametrize("architecture", MODELS)
def test_a_forward_pass_is_that_of_zeroed_weights(architecture):
    model = MODELS[architecture]()
    without, ids = without_heads(model, HEADS), [random_ids(40, seed=1), random_ids(40, seed=2)]
    expected, whole = logits(without, ids), logits(model, ids)
    with ablated(model, HEADS):
        assert logits(model, ids).sub(expected).abs().max() < 1e-4
        assert logits(model, ids, use_cache=False).sub(expected).abs().max() < 1e-4
    assert expected.sub(whole).abs().max() > 0.1, "the ablation makes no difference, so the test shows nothing"


@pytest.mark.parametrize("architecture", MODELS)
def test_generation_is_that_of_zeroed_weights(architecture):
    model = MODELS[architecture]()
    without = without_heads(model, HEADS)
    alone = [generate(without, prompt, 6) for prompt in PROMPTS]
    with ablated(model, HEADS):
        assert [generate(model, prompt, 6) for prompt in PROMPTS] == alone
        together = generate_batch(model, PROMPTS)
    assert together == generate_batch(without, PROMPTS) == alone
    assert alone != [generate(model, prompt, 6) for prompt in PROMPTS]


@pytest.mark.parametrize("architecture", MODELS)
def test_uniform_attention_is_the_mean_of_what_a_head_can_see(architecture):
    model, prompt = MODELS[architecture](), PROMPTS[0]
    expected = plain(model, prompt, HEADS, 0, "uniform")
    with ablated(model, HEADS, mode="uniform"):
        assert logits(model, [prompt])[0].sub(expected).abs().max() < 1e-4
        ids, mask = padded(PROMPTS)
        for row, alone in enumerate(PROMPTS):
            positions = (mask.cumsum(-1) - 1).clamp(min=0)
            found = logits(model, ids.tolist(), attention_mask=mask, position_ids=positions)
            padded_row = found[row, -len(alone) :]
            assert padded_row.sub(plain(model, alone, HEADS, 0, "uniform")).abs().max() < 1e-4


def test_gradients_are_those_of_zeroed_weights():
    model, ids = llama(), torch.tensor([PROMPTS[0]])
    without = without_heads(model, HEADS)
    with ablated(model, HEADS):
        model(ids, labels=ids).loss.backward()
    without(ids, labels=ids).loss.backward()
    found, expected = (each.model.embed_tokens.weight.grad for each in (model, without))
    assert found.sub(expected).abs().max() < 1e-4 * expected.abs().max()


class Unchanged:
    """What a model was before, to hold it against."""

    def __init__(self, model):
        self.model, self.ids = model, [PROMPTS[0]]
        self.attention, self.logits = model.config._attn_implementation, logits(model, self.ids)
        self.weights = copy.deepcopy(model.state_dict())

    def check(self):
        assert self.model.config._attn_implementation == self.attention
        assert torch.equal(logits(self.model, self.ids), self.logits)
        assert all(torch.equal(value, self.weights[name]) for name, value in self.model.state_dict().items())
        assert not any(part._forward_pre_hooks or part._forward_hooks for part in self.model.modules())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("mode", ["zero", "uniform"])
def test_the_model_is_afterwards_as_it_was(attention, mode):
    model = llama()
    model.set_attn_implementation(attention)
    before = Unchanged(model)
    with ablated(model, HEADS, mode):
        assert not torch.equal(logits(model, before.ids), before.logits)
    before.check()


def test_the_model_is_as_it_was_after_an_error_inside():
    before = Unchanged(llama())
    with pytest.raises(ZeroDivisionError), ablated(before.model, HEADS):
        1 / 0  # noqa: B018
    before.check()
    with pytest.raises(IndexError), ablated(before.model, HEADS):
        logits(before.model, [[VOCABULARY]])
    before.check()


def test_a_context_in_another_ablates_the_heads_of_both():
    before = Unchanged(llama())
    model, ids = before.model, before.ids
    outer, both = (logits(without_heads(model, heads), ids) for heads in (HEADS[:1], HEADS))
    with ablated(model, HEADS[:1]):
        with ablated(model, HEADS[1:]):
            assert logits(model, ids).sub(both).abs().max() < 1e-4
        assert logits(model, ids).sub(outer).abs().max() < 1e-4
        with pytest.raises(ZeroDivisionError), ablated(model, HEADS[1:]):
            1 / 0  # noqa: B018
        assert logits(model, ids).sub(outer).abs().max() < 1e-4
    before.check()


def test_no_heads_change_nothing():
    before = Unchanged(llama())
    with ablated(before.model, []):
        assert logits(before.model, before.ids).sub(before.logits).abs().max() < 1e-5


def test_another_model_or_mode_inside_is_refused():
    first, second = Unchanged(llama()), Unchanged(llama())
    with ablated(first.model, HEADS):
        for model, mode in ((second.model, "zero"), (first.model, "uniform")):
            with pytest.raises(StudyError, match="another model, or another mode"), ablated(model, HEADS, mode):
                pass
        # Another model that is run in between is whole.
        second.check()
    first.check()
    second.check()


@pytest.mark.parametrize(
    ("heads", "mode", "message"),
    [
        ([(3, 0)], "zero", "heads: LlamaForCausalLM with 3 layers of 4 heads has no L3H0; take heads that were ranked"),
        ([(0, 0), (0, 4)], "zero", "has no L0H4"),
        ([(-1, 0)], "zero", "has no L-1H0"),
        ([(0, 0)], "mean", "mode: mean is not offered; write one of uniform, zero"),
    ],
)
def test_what_a_model_does_not_have_is_refused(heads, mode, message):
    before = Unchanged(llama())
    with pytest.raises(StudyError, match=message), ablated(before.model, heads, mode):
        pass
    before.check()


class Plain(torch.nn.Module):
    """What someone might put in an attention's place: heads as they are, and no way in for a hook."""

    def forward(self, hidden_states, **_):
        return hidden_states, None


def replace_attention(model):
    model.base_model.layers[1].self_attn = Plain()


LOSING_HEADS = {
    "set_attn_implementation": lambda model: model.set_attn_implementation("eager"),
    "the config": lambda model: setattr(model.config, "_attn_implementation", "sdpa"),
    "a layer's attention": replace_attention,
    "a layer's forward": lambda model: setattr(
        model.base_model.layers[2], "forward", lambda hidden_states, **_: hidden_states
    ),
}


@pytest.mark.parametrize("around", [False, True], ids=["alone", "in another context"])
@pytest.mark.parametrize("change", LOSING_HEADS)
def test_what_would_bring_heads_back_is_refused(change, around):
    model = llama()
    attention = model.config._attn_implementation
    with ablated(model, HEADS[:1] if around else []), ablated(model, HEADS):
        LOSING_HEADS[change](model)
        with pytest.raises(
            StudyError, match=r"ablated: the attention of layer \d was changed inside the context, by set_"
        ):
            logits(model, [PROMPTS[0]])
        with pytest.raises(StudyError, match="was changed inside the context"):
            generate(model, PROMPTS[0], 2)
    assert model.config._attn_implementation == attention
    logits(model, [PROMPTS[0]])  # outside, whatever was changed is the user's


def test_a_change_that_is_taken_back_is_none():
    model = llama()
    with ablated(model, HEADS):
        expected = logits(model, [PROMPTS[0]])
        hooked = model.config._attn_implementation
        model.set_attn_implementation("eager")
        model.set_attn_implementation(hooked)
        assert torch.equal(logits(model, [PROMPTS[0]]), expected)


def test_gradient_checkpointing_is_refused_where_it_would_run_layers_again():
    model, ids, again = llama(), torch.tensor([PROMPTS[0]]), partial(checkpoint, use_reentrant=False)
    for part in model.modules():
        if hasattr(part, "gradient_checkpointing"):
            part.gradient_checkpointing, part._gradient_checkpointing_func = True, again
    with ablated(model, HEADS):
        assert model(ids).logits.requires_grad  # a model that is not in training runs nothing again
        model.train()
        logits(model, [PROMPTS[0]])
        with pytest.raises(StudyError, match=r"gradient checkpointing runs layers again .* turn it off for the model"):
            model(ids, labels=ids)
        for part in model.modules():
            vars(part).pop("gradient_checkpointing", None)
        model(ids, labels=ids).loss.backward()


def test_a_copy_that_outlives_its_context_says_so():
    model = llama()
    with ablated(model, HEADS):
        copied = copy.deepcopy(model)
    with pytest.raises(StudyError, match="a copy of it after the context has ended"):
        logits(copied, [PROMPTS[0]])
    Unchanged(model).check()


def test_a_call_from_another_thread_is_refused_and_its_own_context_is_taken():
    model, ids, found = llama(), [PROMPTS[0]], {}

    def run(name):
        try:
            found[name] = logits(model, ids)
        except StudyError as error:
            found[name] = str(error)

    with ablated(model, HEADS):
        for target, arguments in ((run, ("bare",)), (contextvars.copy_context().run, (run, "copied"))):
            thread = threading.Thread(target=target, args=arguments)
            thread.start()
            thread.join()
    assert "called in another thread" in found["bare"]
    assert found["copied"].sub(logits(without_heads(model, HEADS), ids)).abs().max() < 1e-4


# --- methods of one's own ------------------------------------------------------------------------------------------


class Share(HeadScorer):
    """How much of what a head does for the answer comes from the values at the needle."""

    name = "share"

    def score(self, runner, documents):
        return torch.stack([self._share(runner, prompt) for document in documents for prompt in document.prompts])

    def _share(self, runner, prompt):
        trace = runner.trace(prompt.context, prompt.suffix, prompt.answer, objective=answer_logprob)
        carried = [
            trace.attention(layer)[..., prompt.needle] @ trace.values(layer)[:, prompt.needle] for layer in trace.layers
        ]
        return torch.stack([(trace.gradients(layer) * carried[layer]).sum((1, 2)) for layer in trace.layers])


def asked(context, suffix, answer):
    return Prompt([*context, *suffix], 5, 12, 6, 9, len(context), answer)


DOCUMENTS = [
    Document(
        [asked(random_ids(40, seed=n), random_ids(6, seed=10 + m), random_ids(3, seed=20 + m)) for m in range(2)],
        random_ids(3, seed=30),
    )
    for n in range(3)
]


@pytest.mark.parametrize("budget", [Budget(1, 1), Budget(10_000, 1)], ids=["alone", "together"])
def test_a_method_of_ones_own_takes_a_class_and_a_call(budget):
    model = MODELS["gemma2"]()
    scores = score_heads(Runner(model, Numbers(), budget), DOCUMENTS, Share())
    assert scores.shape == (6, 3, 4)
    prompts = [prompt for document in DOCUMENTS for prompt in document.prompts]
    for found, prompt in zip(scores, prompts, strict=True):
        ids = [*prompt.input_ids, *prompt.answer]
        logits, outputs = oracle.eager_outputs(model, ids)
        logprob = oracle.tensor_logprob(logits, prompt.input_ids, prompt.answer)
        gradients = torch.autograd.grad(logprob, outputs)
        rows, values = oracle.eager_attention(model, ids), oracle.eager_values(model, ids)
        for layer, gradient in enumerate(gradients):
            carried = rows[layer][:, :, 5:12] @ values[layer][:, 5:12]
            expected = (gradient.transpose(0, 1) * carried)[:, prompt.suffix_start :].sum((1, 2))
            assert found[layer].sub(expected).abs().max() < 1e-4
        assert found.abs().max() > 1e-3


def test_methods_of_the_package_are_run_the_same_way():
    model = llama()
    (method,) = make_methods({"summed_attention": {}})
    scores = score_heads(Runner(model, Numbers(), Budget(10_000, 1), Decoding(2, [])), DOCUMENTS, method)
    first = DOCUMENTS[0].prompts[0]
    expected = oracle.summed_attention(oracle.eager_attention(model, first.input_ids), range(5, 12))
    assert scores[0].sub(expected).abs().max() < 1e-5


def test_a_model_that_would_be_measured_wrongly_is_refused():
    with pytest.raises(StudyError, match="MambaForCausalLM: its 3 layers have 0 attentions in all"):
        score_heads(Runner(made("mamba"), Numbers(), Budget(1, 1)), DOCUMENTS, Share())


def test_documents_are_those_of_a_study(tmp_path):
    row = dict.fromkeys(prompts_table.PROMPTS.columns) | {
        **{"prompt_id": "a", "doc_id": "a", "split": "train", "model": "m", "question": "q", "status": "ok"},
        **{
            "context_length": 9,
            "variant": "plain",
            "depth": 0.5,
            "answer": " 5 6",
            "input_ids": [1, 5, 6, 2],
            "null_ids": [1, 5, 6, 3],
        },
        **{"needle_start": 1, "needle_end": 3, "answer_start": 1, "answer_end": 3, "suffix_start": 3},
        **{"sentence_start": 1, "sentence_end": 3, "statement_starts": [1], "statement_ends": [3]},
        **{"opening_end": 1, "twin_status": "there is none", "question_end": 4, "null_question_end": 4},
    }
    other = row | {"prompt_id": "b", "question": "r", "input_ids": [1, 5, 6, 4]}
    other |= {"twin_ids": [1, 7, 8], "twin_answer": " 7 8", "twin_status": "ok"}
    left_out = row | {"prompt_id": "c", "status": "the document does not state the fact"}
    tables.write(pd.DataFrame([row, other, left_out]), tmp_path / "prompts.parquet", prompts_table.PROMPTS)
    (document,) = read_documents(tmp_path / "prompts.parquet", Numbers())
    prompts = [
        Prompt([1, 5, 6, last], 1, 3, 1, 3, 3, [5, 6], 1, 3, statements=((1, 3),), question_end=4, name=name)
        for last, name in ((2, "a"), (4, "b"))
    ]
    prompts[1] = replace(prompts[1], twin=[1, 7, 8], twin_answer=[7, 8])
    assert document == Document(prompts, null_suffix=[3], null_question_end=4)
    with pytest.raises(StudyError, match="no usable prompt in the test split"):
        read_documents(tmp_path / "prompts.parquet", Numbers(), "test")

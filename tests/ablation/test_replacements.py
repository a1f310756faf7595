"""What takes the place of a head's output: which there are, and the mean, which has a fit."""

import pytest
import torch
from test_ablation import ARCHITECTURES, CONTEXT, SETS, TYPES, head_sets, prompts

import oracle
from retrieval_heads import plugins
from retrieval_heads.ablation.guard import READ, SCORED, measure_guard
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.replacements import KIND, make_replacement, usable_anywhere
from retrieval_heads.ablation.running import ablate_split
from retrieval_heads.ablation.single_heads import measure_effects
from retrieval_heads.ablation.states import load_state, save_state
from retrieval_heads.api import ablated
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Region, Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.study.config import complete
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.tables.heads import parse_head
from tiny_models import MODELS, Numbers, random_ids

OPENING = 3


def runner_of(model):
    return Runner(model, Numbers(), Budget(200, 400), Decoding(4, []))


def with_opening(table):
    return table.assign(opening_end=OPENING)


def train_prompts():
    """Prompts of other contexts than those that are asked; the last document states one of the facts alone."""
    table = with_opening(prompts(documents=3)).iloc[:-1]
    contexts = {doc: random_ids(CONTEXT, seed=70 + number) for number, doc in enumerate(table["doc_id"].unique())}
    ids = [contexts[row.doc_id] + list(row.input_ids[CONTEXT:]) for row in table.itertuples()]
    return table.assign(input_ids=ids)


def regions(prompt, length):
    """The region of each token of a prompt of so many tokens with what comes behind it."""
    return torch.tensor(
        [0] * OPENING + [1] * (CONTEXT - OPENING) + [2] * (len(prompt) - CONTEXT) + [3] * (length - len(prompt))
    )


def means_by_hand(model, table):
    """For each layer (regions, H, D): means over tokens of each prompt, over prompts of each question, over these."""
    of_questions = []
    for _, rows in table.groupby("question"):
        of_prompts = []
        for row in rows.itertuples():
            ids = [*row.input_ids, *row.input_ids[row.answer_start : row.answer_end]]
            with torch.no_grad():
                _, outputs = oracle.eager_outputs(model, ids)
            of = regions(row.input_ids, len(ids))
            of_prompts.append([torch.stack([z[of == region].mean(0) for region in range(4)]) for z in outputs])
        of_questions.append([torch.stack(layers).mean(0) for layers in zip(*of_prompts, strict=True)])
    return [torch.stack(layers).mean(0) for layers in zip(*of_questions, strict=True)]


def with_means(model, heads, start, means, prompt):
    """Gives the logits (T, V) of plain passes in which heads put out their region's mean from a position on."""

    def logits(ids):
        of = regions(prompt, len(ids))
        return oracle.with_outputs(model, ids, heads, start, [mean[of] for mean in means])

    return logits


def fitted(model, path):
    """The state of the mean, by way of its file."""
    save_state(make_replacement("mean").fit(runner_of(model), train_prompts()), path / "state.safetensors")
    return load_state(path / "state.safetensors", model.device)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_mean_is_what_plain_passes_with_the_means_of_all_regions_give(architecture, scope, tmp_path):
    model = ARCHITECTURES[architecture]()
    runner, means, state = runner_of(model), means_by_hand(model, train_prompts()), fitted(model, tmp_path)
    for layer, mean in enumerate(means):
        assert state[f"layer_{layer}"].sub(mean).abs().max() < 1e-4
    table = with_opening(prompts(documents=1))
    found = ablate_split(runner, table, head_sets(), Intervention("one", "mean", scope, state), TYPES)
    different = 0
    for row in found.itertuples():
        prompt = table[table["question"] == row.question].iloc[0]
        ids, answer = prompt["input_ids"], prompt["input_ids"][prompt["answer_start"] : prompt["answer_end"]]
        heads = next(heads for source, k, heads in SETS[row.question] if (source, k) == (row.source, row.k))
        heads = [parse_head(head) for head in heads]
        start = {"all": 0, "suffix": CONTEXT, "decode": len(ids) - 1}[scope]
        logits = with_means(model, heads, start, means, ids)
        tokens = [int(token) for token in row.generated.split()]
        assert tokens == oracle.generate_plainly(logits, ids, len(tokens))
        wanted = oracle.logprob_in(logits([*ids, *answer]), ids, answer)
        assert row.answer_logprob == pytest.approx(wanted, abs=1e-3)
        zeros = [torch.zeros_like(mean) for mean in means]
        zeroed = with_means(model, heads, start, zeros, ids)
        different += abs(wanted - oracle.logprob_in(zeroed([*ids, *answer]), ids, answer)) > 1e-3
    assert different >= 2, "the means are as good as zero, so the test shows nothing"


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_the_yardstick_takes_the_same_means(architecture, tmp_path):
    model, table = MODELS[architecture](), with_opening(prompts(documents=1))
    means = means_by_hand(model, train_prompts())
    found = measure_effects(runner_of(model), table, "mean", fitted(model, tmp_path))
    for row, prompt in zip(found.itertuples(), table.itertuples(), strict=True):
        ids, answer = prompt.input_ids, prompt.input_ids[prompt.answer_start : prompt.answer_end]
        for layer, head in [(0, 0), (1, 2), (2, 3)]:
            logits = with_means(model, [(layer, head)], CONTEXT, means, ids)
            lost = row.answer_logprob - oracle.logprob_in(logits([*ids, *answer]), ids, answer)
            assert row.effects[layer * row.heads + head] == pytest.approx(lost, abs=1e-4)


def test_each_context_is_read_once_for_all_its_questions(caplog):
    model, read = MODELS["llama"](), []
    model.model.embed_tokens.register_forward_pre_hook(lambda _module, args: read.append(args[0].shape[1]))
    caplog.set_level("INFO", "retrieval_heads")
    make_replacement("mean").fit(runner_of(model), train_prompts())
    assert read.count(CONTEXT) == 3 and len(read) == 3 + 5
    assert caplog.messages[0] == "5 prompts to find the heads' mean outputs in"


@pytest.mark.parametrize("scope", ["all", "suffix"])
def test_the_guard_reads_prose_with_the_means_of_opening_context_and_answer(scope, tmp_path):
    model = MODELS["llama"]()
    ids, state = [1, *random_ids(READ + SCORED, seed=3)], fitted(model, tmp_path)
    sets = head_sets()[lambda sets: sets["question"] == "q0"]
    found = measure_guard(runner_of(model), ids, sets, Intervention("one", "mean", scope, state))
    before = 1 + READ
    # Heads are ablated where the last token that is read first produces the first scored one, in scope all alone.
    of = torch.tensor([Region.OPENING] + [Region.CONTEXT] * (READ - 1) + [Region.SUFFIX] + [Region.ANSWER] * SCORED)
    means = [state[f"layer_{layer}"][of] for layer in range(3)]
    for row, heads in zip(found.itertuples(), sets["heads"], strict=True):
        start = 0 if scope == "all" else before
        logits = oracle.with_outputs(model, ids, [parse_head(head) for head in heads], start, means)
        assert row.logprob == pytest.approx(oracle.logprob_in(logits, ids[:before], ids[before:]) / SCORED, abs=1e-4)


@pytest.mark.parametrize("scope", SCOPES)
def test_the_mean_of_a_constant_head_changes_nothing_and_zero_does(scope, tmp_path):
    model = MODELS["qwen2"]()
    with torch.no_grad():
        for layer in range(model.config.num_hidden_layers):
            values, _ = oracle.values_module(model, layer)
            values.weight.zero_()
            values.bias.copy_(torch.randn(len(values.bias), generator=torch.Generator().manual_seed(layer)))
    runner, table, state = runner_of(model), with_opening(prompts()), fitted(model, tmp_path)
    by_mean, by_zero = (
        ablate_split(runner, table, head_sets(), how, TYPES)
        for how in (Intervention("m", "mean", scope, state), Intervention("z", "zero", scope))
    )
    whole = {
        row.prompt_id: oracle.answer_logprob(model, row.input_ids, row.input_ids[row.answer_start : row.answer_end])
        for row in table.itertuples()
    }
    wanted = by_mean["prompt_id"].map(whole)
    assert (by_mean["answer_logprob"] - wanted).abs().max() < 1e-4
    assert (by_zero["answer_logprob"] - wanted).abs().max() > 1e-2
    effects = measure_effects(runner, table, "mean", state)["effects"]
    assert max(abs(effect) for row in effects for effect in row) < 1e-4


def test_one_that_needs_a_fit_is_offered_to_studies_alone():
    assert usable_anywhere() == ["uniform", "zero"]
    refused = pytest.raises(StudyError, match="mode: mean is not offered; write one of uniform, zero")
    with refused, ablated(MODELS["llama"](), [(0, 0)], "mean"):
        pass
    config = {
        "study": "s",
        "models": {"m": {"source": {"path": "x"}}},
        "questions": {"hq_state": {"text": "Where?", "type": "state"}},
        "documents": {"train": 1, "test": 1},
        "prompts": {"context_lengths": [512]},
        "ablation": {"mode": "mean"},
    }
    assert list(complete(config)["ablation"]["interventions"]) == ["mean_all"]


@pytest.mark.parametrize("mode", plugins.names(KIND))
def test_each_says_what_it_does_without_being_imported(mode):
    described = plugins.describe(KIND, [mode])[mode]
    assert described["label"] and described["definition"].startswith("An ablated head puts out ")


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"mean": torch.arange(6.0).view(2, 3).T, "count": torch.tensor(3)}
    save_state(state, tmp_path / "state.safetensors")
    again = load_state(tmp_path / "state.safetensors", torch.device("cpu"))
    assert all(torch.equal(again[name], value) for name, value in state.items()) and len(again) == len(state)
    assert load_state(None, torch.device("cpu")) == {}

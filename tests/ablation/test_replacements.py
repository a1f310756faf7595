"""What takes the place of a head's output: those that come along, and one with a fit that a user adds."""

import copy
from pathlib import Path

import pytest
import torch
from test_ablation import CONTEXT, SETS, TYPES, head_sets, prompts

import oracle
import region_mean
from retrieval_heads import plugins
from retrieval_heads.ablation import replacements
from retrieval_heads.ablation.guard import READ, SCORED, measure_guard
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.ablation.replacements import KIND, make_replacement, unfitted
from retrieval_heads.ablation.running import ablate_split
from retrieval_heads.ablation.states import load_state, save_state
from retrieval_heads.api import ablated
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Region, Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.study.config import complete
from retrieval_heads.study.forms import schema
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.tables.heads import parse_head
from tiny_models import MODELS, Numbers, random_ids


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    """The replacement of ``region_mean.py``, as if that file lay in the package's folder."""
    file = Path(region_mean.__file__)
    monkeypatch.setattr(replacements, "__path__", [*replacements.__path__, str(file.parent)])
    files = plugins.files
    monkeypatch.setattr(plugins, "files", lambda kind: files(kind) | ({file.stem: file} if kind == KIND else {}))
    schema.cache_clear()  # which has their names
    yield
    schema.cache_clear()


def runner_of(model):
    return Runner(model, Numbers(), Budget(200, 400), Decoding(4, []))


def train_prompts():
    """Prompts of other contexts than those that are asked."""
    table = prompts(documents=3)
    ids = [random_ids(CONTEXT, seed=70 + row) + list(ids[CONTEXT:]) for row, ids in enumerate(table["input_ids"])]
    return table.assign(input_ids=ids)


def regions(prompt, length):
    """The region of each token of a prompt of so many tokens with what comes behind it."""
    return [0] * CONTEXT + [1] * (len(prompt) - CONTEXT) + [2] * (length - len(prompt))


def means_by_hand(model, table):
    """(regions, L, H, D): means of what enters the output projections in plain passes over prompts and answers."""
    grid = model.config.num_hidden_layers, model.config.num_attention_heads
    seen = {layer: [] for layer in range(grid[0])}
    handles = [
        oracle.projection(model, layer).register_forward_pre_hook(
            lambda _, args, layer=layer: seen[layer].append(args[0].reshape(-1, grid[1], args[0].shape[-1] // grid[1]))
        )
        for layer in seen
    ]
    of = []
    for row in table.itertuples():
        ids = [*row.input_ids, *row.input_ids[row.answer_start : row.answer_end]]
        with torch.no_grad():
            model(torch.tensor([ids]))
        of += regions(row.input_ids, len(ids))
    for handle in handles:
        handle.remove()
    of = torch.tensor(of)
    by_region = [[torch.cat(z)[of == region].mean(0) for z in seen.values()] for region in (0, 1, 2)]
    return torch.stack([torch.stack(layers) for layers in by_region])


def plain_passes(model, heads, start, means, prompt):
    """Logits (T, V) of plain passes in which heads put out their region's mean from a position on."""
    model = copy.deepcopy(model)

    def replace_outputs(layer):
        def hook(_, args):
            z = args[0].clone()
            view = z.view(z.shape[-2], model.config.num_attention_heads, -1)
            for head in (head for other, head in heads if other == layer):
                for token, region in list(enumerate(regions(prompt, len(view))))[start:]:
                    view[token, head] = means[region, layer, head]
            return (z,)

        return hook

    for layer in range(model.config.num_hidden_layers):
        oracle.projection(model, layer).register_forward_pre_hook(replace_outputs(layer))

    @torch.no_grad()
    def logits(ids):
        return model(torch.tensor([list(ids)])).logits[0].float()

    return logits


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("architecture", ["llama", "gemma2"])
def test_a_fitted_replacement_is_what_plain_passes_with_its_means_give(architecture, scope, tmp_path):
    model = MODELS[architecture]()
    runner, means = runner_of(model), means_by_hand(model, train_prompts())
    save_state(make_replacement("region_mean").fit(runner, train_prompts()), tmp_path / "state.safetensors")
    state = load_state(tmp_path / "state.safetensors", model.device)
    assert state["mean"].sub(means).abs().max() < 1e-5
    table = prompts(documents=1)
    found = ablate_split(runner, table, head_sets(), Intervention("one", "region_mean", scope, state), TYPES)
    different = 0
    for row in found.itertuples():
        prompt = table[table["question"] == row.question].iloc[0]
        ids, answer = prompt["input_ids"], prompt["input_ids"][prompt["answer_start"] : prompt["answer_end"]]
        heads = next(heads for source, k, heads in SETS[row.question] if (source, k) == (row.source, row.k))
        start = {"all": 0, "suffix": CONTEXT, "decode": len(ids) - 1}[scope]
        logits = plain_passes(model, [parse_head(head) for head in heads], start, means, ids)
        tokens = [int(token) for token in row.generated.split()]
        assert tokens == oracle.generate_plainly(logits, ids, len(tokens))
        wanted = oracle.logprob_in(logits([*ids, *answer]), ids, answer)
        assert row.answer_logprob == pytest.approx(wanted, abs=1e-3)
        zeroed = oracle.plain_passes(model, [parse_head(head) for head in heads], start, "zero")
        different += abs(wanted - oracle.logprob_in(zeroed([*ids, *answer]), ids, answer)) > 1e-3
    assert different >= 2, "the means are as good as zero, so the test shows nothing"


def test_the_guard_reads_prose_with_the_same_means():
    model = MODELS["llama"]()
    runner, ids = runner_of(model), [1, *random_ids(READ + SCORED, seed=3)]
    state = make_replacement("region_mean").fit(runner, train_prompts())
    sets = head_sets()[lambda sets: sets["question"] == "q0"]
    found = measure_guard(runner, ids, sets, Intervention("one", "region_mean", "suffix", state))
    before = 1 + READ
    means = state["mean"][[Region.ANSWER] * 3]  # all that is scored is answer
    for row, heads in zip(found.itertuples(), sets["heads"], strict=True):
        logits = plain_passes(model, [parse_head(head) for head in heads], before, means, ids[:CONTEXT])
        wanted = oracle.logprob_in(logits(ids), ids[:before], ids[before:]) / SCORED
        assert row.logprob == pytest.approx(wanted, abs=1e-4)


def test_the_mean_of_a_constant_head_changes_nothing_and_zero_does():
    model = MODELS["qwen2"]()
    with torch.no_grad():
        for layer in range(model.config.num_hidden_layers):
            values, _ = oracle.values_module(model, layer)
            values.weight.zero_()
            values.bias.copy_(torch.randn(len(values.bias), generator=torch.Generator().manual_seed(layer)))
    runner, table = runner_of(model), prompts()
    state = make_replacement("region_mean").fit(runner, train_prompts())
    by_mean, by_zero = (
        ablate_split(runner, table, head_sets(), how, TYPES)
        for how in (Intervention("m", "region_mean", "all", state), Intervention("z", "zero", "all"))
    )
    whole = {
        row.prompt_id: oracle.answer_logprob(model, row.input_ids, row.input_ids[row.answer_start : row.answer_end])
        for row in table.itertuples()
    }
    wanted = by_mean["prompt_id"].map(whole)
    assert (by_mean["answer_logprob"] - wanted).abs().max() < 1e-4
    assert (by_zero["answer_logprob"] - wanted).abs().max() > 1e-2


def test_one_that_needs_a_fit_is_offered_to_studies_alone():
    assert "region_mean" not in unfitted()
    refused = pytest.raises(StudyError, match="mode: region_mean is not offered; write one of uniform, zero")
    with refused, ablated(MODELS["llama"](), [(0, 0)], "region_mean"):
        pass
    config = {
        "study": "s",
        "models": {"m": {"source": {"path": "x"}}},
        "questions": {"hq_state": {"text": "Where?", "type": "state"}},
        "documents": {"train": 1, "test": 1},
        "prompts": {"context_lengths": [512]},
        "ablation": {"mode": "region_mean"},
    }
    assert list(complete(config)["ablation"]["interventions"]) == ["region_mean_all"]


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

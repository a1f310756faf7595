"""What an answer loses without each head is what plain passes without it give; and where all is linear, first order is
exact."""

import copy

import pytest
import torch
from torch import nn

import oracle
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Runner
from retrieval_heads.methods import Document, Prompt, make_methods
from tiny_models import LENGTHS, MODELS, Numbers, llama, random_ids

CONTEXT, SUFFIX, ANSWER = random_ids(46, seed=1), random_ids(7, seed=2), random_ids(4, seed=3)
PROMPT = Prompt([*CONTEXT, *SUFFIX], 10, 20, 12, 16, len(CONTEXT), ANSWER)
GRID = [(layer, head) for layer in range(3) for head in range(4)]
TOLERANCE = 1e-4


def run(model, tokens=10_000):
    return Runner(model, Numbers(), Budget(tokens, 10_000))


def effects(model, mode, tokens=10_000):
    (method,) = make_methods({"single_head_effect": {"mode": mode}})
    return method.score(run(model, tokens), [Document([PROMPT], [3])])[0]


@pytest.mark.parametrize("architecture", MODELS)
def test_a_head_that_is_zeroed_is_one_whose_output_projection_reads_nothing(architecture):
    model = oracle.liven(MODELS[architecture]())
    wanted = [oracle.single_head_effect(model, CONTEXT, SUFFIX, ANSWER, head) for head in GRID]
    found = effects(model, "zero").flatten().tolist()
    assert max(map(abs, wanted)) > 0.01, "no head has an effect, so the test shows nothing"
    assert found == pytest.approx(wanted, abs=TOLERANCE * max(1, *map(abs, wanted)))


@pytest.mark.parametrize("architecture", MODELS)
def test_a_head_that_looks_everywhere_alike_is_one_in_plain_passes(architecture):
    model, ids = oracle.liven(MODELS[architecture]()), [*CONTEXT, *SUFFIX]
    whole = oracle.answer_logprob(model, ids, ANSWER)
    wanted = [
        whole - oracle.logprob_in(oracle.plain(model, [*ids, *ANSWER], [head], len(CONTEXT), "uniform"), ids, ANSWER)
        for head in GRID
    ]
    found = effects(model, "uniform").flatten().tolist()
    assert max(map(abs, wanted)) > 0.01
    assert found == pytest.approx(wanted, abs=TOLERANCE * max(1, *map(abs, wanted)))


TWIN = [2 + (token + 5) % 29 if place in range(10, 20) else token for place, token in enumerate(CONTEXT)]
TWIN_ANSWER = random_ids(3, seed=4)


def resampling_effects(model, twin=TWIN, tokens=10_000):
    replacement = Intervention("one", "resample", "suffix").replacement
    return run(model, tokens).single_head_effects(CONTEXT, SUFFIX, ANSWER, replacement, twin=(twin, TWIN_ANSWER))


@pytest.mark.parametrize("architecture", MODELS | LENGTHS)
def test_a_head_that_is_resampled_is_one_that_puts_out_what_it_does_behind_the_twins_context(architecture):
    model, ids = oracle.liven((MODELS | LENGTHS)[architecture]()), [*CONTEXT, *SUFFIX]

    def logprobs(heads):
        """Of answer and twin's answer, each read by itself."""
        of = (
            (oracle.resampled(model, [*ids, *answer], TWIN, heads, len(CONTEXT)), answer)
            for answer in (ANSWER, TWIN_ANSWER)
        )
        return torch.tensor([oracle.logprob_in(logits, ids, answer) for logits, answer in of], dtype=torch.double)

    whole = logprobs([])
    wanted = torch.stack([whole - logprobs([head]) for head in GRID])
    found = resampling_effects(model)
    limit = TOLERANCE * max(1, wanted.abs().max().item(), whole.abs().max().item())
    assert wanted.abs().max() > 0.01, "no head has an effect, so the test shows nothing"
    assert found.answer_logprob == pytest.approx(whole[0].item(), abs=limit)
    assert found.answer_logodds == pytest.approx((whole[0] - whole[1]).item(), abs=limit)
    assert found.effects.flatten().sub(wanted[:, 0]).abs().max() < limit
    assert found.logodds_effects.flatten().sub(wanted[:, 0] - wanted[:, 1]).abs().max() < limit


@pytest.mark.parametrize("architecture", MODELS)
def test_a_head_that_is_resampled_from_the_prompt_itself_has_no_effect(architecture):
    found = resampling_effects(MODELS[architecture](), twin=CONTEXT)
    assert found.effects.abs().max() < TOLERANCE
    assert found.logodds_effects.abs().max() < TOLERANCE


@pytest.mark.parametrize("tokens", [1, 40])
def test_the_log_odds_are_the_same_however_many_heads_run_at_a_time(tokens):
    parts, whole = resampling_effects(llama(), tokens=tokens), resampling_effects(llama())
    assert parts.effects.sub(whole.effects).abs().max() < 1e-5
    assert parts.logodds_effects.sub(whole.logodds_effects).abs().max() < 1e-5


def test_without_a_twin_there_are_no_log_odds():
    found = run(llama()).single_head_effects(CONTEXT, SUFFIX, ANSWER)
    assert found.answer_logodds is None and found.logodds_effects is None


@pytest.mark.parametrize("tokens", [1, 40])
def test_it_makes_no_difference_how_many_heads_run_at_a_time(tokens):
    assert effects(llama(), "zero", tokens).sub(effects(llama(), "zero")).abs().max() < 1e-5


def test_the_sum_of_all_effects_is_not_that_of_the_first_order():
    """Else one of the two would do."""
    (first,) = make_methods({"attribution_patching": {}})
    estimate = first.score(run(llama()), [Document([PROMPT], [3])])[0]
    assert estimate.sub(effects(llama(), "zero")).abs().max() > 0.1


class Constant(nn.Module):
    """A norm that multiplies by one factor, whatever comes in: frozen."""

    def __init__(self, norm, factor):
        super().__init__()
        self.weight, self.factor = norm.weight, factor

    def forward(self, x):
        return x * self.weight * self.factor


def linear():
    """A model whose logits are linear in its heads' outputs: norms are frozen, attention looks everywhere alike
    whatever it reads, and feed-forward parts write nothing."""
    model = oracle.liven(llama())
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.q_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
            layer.input_layernorm = Constant(layer.input_layernorm, 0.7)
            layer.post_attention_layernorm = Constant(layer.post_attention_layernorm, 0.7)
        model.model.norm = Constant(model.model.norm, 0.3)
    return model


def last_logit(logits, answer):
    """Of the answer's last token where it is produced."""
    return logits[-2, answer[-1]]


def test_attribution_patching_is_exact_where_all_is_linear():
    model = linear()
    trace = run(model).trace(CONTEXT, SUFFIX, ANSWER, objective=last_logit)
    (method,) = make_methods({"attribution_patching": {}})
    found = method.score_trace(trace, PROMPT)
    ids = torch.tensor([[*SUFFIX, *ANSWER]])

    @torch.no_grad()
    def logit(reader):
        context = model(torch.tensor([CONTEXT]), use_cache=True).past_key_values
        return reader(ids, past_key_values=context).logits[0, -2, ANSWER[-1]].item()

    wanted = torch.tensor([logit(model) - logit(oracle.without_heads(model, [head])) for head in GRID]).view(3, 4)
    assert (wanted.abs().amax(1) > 0.01).all(), "heads of some layer have no effect, so the test shows nothing"
    assert found.sub(wanted).abs().max() < TOLERANCE * max(1, wanted.abs().max())


def test_in_the_last_layer_direct_logit_is_exact_where_all_is_linear():
    """One token of an answer: what the head writes is what the centred logit loses without it."""
    model, answer = linear(), ANSWER[:1]
    (method,) = make_methods({"direct_logit": {}})
    found = method.score(run(model), [Document([Prompt(PROMPT.input_ids, 10, 20, 12, 13, 46, answer)], [3])])[0]

    @torch.no_grad()
    def logit(reader):
        logits = reader(torch.tensor([[*CONTEXT, *SUFFIX]])).logits[0, -1]
        return (logits[answer[0]] - logits.mean()).item()

    wanted = [logit(model) - logit(oracle.without_heads(copy.deepcopy(model), [(2, head)])) for head in range(4)]
    assert max(map(abs, wanted)) > 0.01
    assert found[2].tolist() == pytest.approx(wanted, abs=TOLERANCE)

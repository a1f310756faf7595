"""Numbers that are not finite are refused, by where they arise and in which prompt, and never as the architecture's."""

import math
import re
from functools import partial

import pytest
import torch

from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner, answer_logprob, naming
from retrieval_heads.errors import StudyError
from tiny_models import VOCABULARY, Numbers, llama, random_ids

LAYER = 1
CONTEXT, ANSWER = random_ids(30, seed=0), random_ids(3, seed=3)
SUFFIXES = [random_ids(6, seed=1), random_ids(4, seed=2)]
PROMPTS = ["doc 1/founder", "doc 1/state"]
WEIGHTS = "the model's weights are damaged or too large: get it again, or choose another."
FLOAT16 = "float16 ends at 65504: set models.*.dtype to bfloat16 or float32."


def runner(model):
    return Runner(model, Numbers(), Budget(1000, 1000), Decoding(3, []))


def answer(model, **more):
    run = runner(model)
    with naming(PROMPTS[:1]):
        prefix = run.prefill([CONTEXT])
    with naming(PROMPTS):
        return run.answer(prefix, SUFFIXES, answers=[ANSWER, ANSWER], **more)


def trace(model, objective=None, direct=False):
    with naming(PROMPTS):
        prompts = [(suffix, ANSWER) for suffix in SUFFIXES]
        return list(runner(model).traces(CONTEXT, prompts, objective=objective, direct=direct))


def effects(model):
    with naming(PROMPTS):
        return runner(model).single_head_effects(CONTEXT, SUFFIXES[0], ANSWER)


def losses(model):
    with naming(PROMPTS):
        return runner(model).answer_losses(CONTEXT, SUFFIXES[0], ANSWER, [[], [(0, 1), (2, 3)]])


WORK = [answer, trace, partial(trace, objective=answer_logprob), effects, losses]


def planted(name, rows=slice(0, 1), value=math.nan):
    """A model with such a value in some rows of a weight, as if it had been spoilt once it was loaded."""
    model = llama()
    with torch.no_grad():
        model.get_parameter(f"{name}.weight")[rows] = value
    return model


IN_LAYER = f"model.layers.{LAYER}"
# Heads have 8 rows each of a projection, and two of four share keys and values.
PLACES = {
    "embedding": ("model.embed_tokens", slice(None), "model.embed_tokens"),
    "queries": (f"{IN_LAYER}.self_attn.q_proj", slice(24, 25), f"layer {LAYER}, head 3 (self_attn.q_proj)"),
    "keys": (f"{IN_LAYER}.self_attn.k_proj", slice(8, 9), f"layer {LAYER}, heads 2, 3 (self_attn.k_proj)"),
    "values": (f"{IN_LAYER}.self_attn.v_proj", slice(0, 1), f"layer {LAYER}, heads 0, 1 (self_attn.v_proj)"),
    "output projection": (f"{IN_LAYER}.self_attn.o_proj", slice(0, 1), f"layer {LAYER} (self_attn.o_proj)"),
    "feed-forward part": (f"{IN_LAYER}.mlp.up_proj", slice(5, 6), f"layer {LAYER} (mlp.up_proj)"),
    "norm": (f"{IN_LAYER}.input_layernorm", slice(0, 1), f"layer {LAYER} (input_layernorm)"),
    "last norm": ("model.norm", slice(3, 4), "model.norm"),
    "head": ("lm_head", slice(7, 8), "lm_head"),
}


@pytest.mark.parametrize("value", [math.nan, math.inf], ids=str)
@pytest.mark.parametrize("place", PLACES)
def test_where_they_arise_is_told_with_head_and_prompt(place, value):
    name, rows, where = PLACES[place]
    model = planted(name, rows, value)
    for work in WORK:
        with pytest.raises(StudyError) as refusal:
            work(model)
        said = str(refusal.value)
        assert said.startswith(f"{PROMPTS[0]}: the ") and said.endswith(
            f", as {where} gives NaN or infinity; {WEIGHTS}"
        )
        assert "\n" not in said


@pytest.mark.parametrize("place", PLACES)
def test_a_model_that_is_tried_is_not_refused_for_its_architecture(place):
    name, rows, where = PLACES[place]
    with pytest.raises(StudyError) as refusal:
        runner(planted(name, rows)).require_measurable()
    said = str(refusal.value)
    assert said.startswith("LlamaForCausalLM, tried on random tokens: the logits are not finite, as ")
    # transformers' own attention is run there, which tells of no heads.
    part = re.sub(r", heads? [\d, ]+(?= )", "", where)
    assert f" as {part} gives" in said and said.endswith(WEIGHTS)


def overflowing(layer):
    """A model in float16 that leaves its range in a layer's feed-forward part, and does well in other precisions."""
    model = llama()
    with torch.no_grad():
        for name, factor in (("up", 3e3), ("down", 3e3)):
            model.get_parameter(f"model.layers.{layer}.mlp.{name}_proj.weight").mul_(factor)
    return model


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_overflow_of_float16_is_told_as_that(layer):
    for work in (*WORK, lambda model: runner(model).require_measurable()):
        with pytest.raises(StudyError) as refusal:
            work(overflowing(layer).half())
        said = str(refusal.value)
        assert f", as layer {layer} (mlp.down_proj) leaves the range of float16; " in said
        assert said.endswith(FLOAT16) and "architecture" not in said and "choose another" not in said
        for enough in (torch.float32, torch.bfloat16):
            work(overflowing(layer).to(enough))


def test_one_logit_of_one_prompt_is_enough():
    def spoil(_module, _args, logits):
        if len(logits) == len(SUFFIXES) and logits.shape[1] > 1:
            logits[1, -1, VOCABULARY // 2] = math.nan

    model = llama()
    model.lm_head.register_forward_hook(spoil)
    with pytest.raises(StudyError, match=rf"^{PROMPTS[1]}: the logits are not finite, as lm_head gives NaN"):
        answer(model)
    # The other prompt's, where nothing but padding is spoilt, is not asked for.
    assert effects(model).effects.isfinite().all()


def test_what_no_prompt_has_does_not_count():
    def spoil(_module, _args, logits):
        if len(logits) == len(SUFFIXES) and logits.shape[1] > 1:
            logits[1, -1] = math.nan  # behind a shorter answer there is padding

    model = llama()
    whole = runner(model)
    expected = [ANSWER, ANSWER[:1]]
    sound = whole.answer(whole.prefill([CONTEXT]), SUFFIXES, answers=expected).answer_logprob
    model.lm_head.register_forward_hook(spoil)
    spoilt = runner(model)
    assert spoilt.answer(spoilt.prefill([CONTEXT]), SUFFIXES, answers=expected).answer_logprob == sound


def test_a_token_that_is_decoded_counts_too():
    def spoil(_module, _args, logits):
        if logits.shape[1] == 1:
            logits[0, 0, 3] = math.inf

    model = llama()
    model.lm_head.register_forward_hook(spoil)
    with pytest.raises(StudyError, match=rf"^{PROMPTS[0]}: the logits are not finite, as lm_head gives"):
        answer(model)


class _WithoutGradient(torch.nn.Module):
    """An activation as any other, whose gradient does not exist."""

    def forward(self, x):
        """SiLU, and a root of nothing."""
        return torch.nn.functional.silu(x) + (x * 0).sqrt()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_gradients_are_told_where_the_pass_itself_is_finite(dtype):
    model = llama().to(dtype)
    model.model.layers[LAYER].mlp.act_fn = _WithoutGradient()
    trace(model)
    with pytest.raises(StudyError) as refusal:
        trace(model, objective=answer_logprob)
    expected = {
        torch.float32: "; leave out the methods that need them, or choose another model.",
        torch.float16: f" in float16; {FLOAT16}",
    }
    assert str(refusal.value) == f"{PROMPTS[0]}: the gradients in layer {LAYER} are not finite{expected[dtype]}"


def test_a_head_set_is_told_where_the_whole_model_is_finite():
    def spoil(_module, _args, logits):
        if len(logits) > 1:
            logits[-1] = math.inf

    model = llama()
    model.lm_head.register_forward_hook(spoil)
    with pytest.raises(StudyError, match=rf"^{PROMPTS[0]}: the logits without L0H1, L2H3 are not finite"):
        losses(model)


def test_a_sound_pass_is_run_once(monkeypatch):
    model, passes = llama(), []
    model.model.register_forward_hook(lambda *_: passes.append(1))
    trace(model)
    # The context ends in its last layer's keys, so that its pass does not count.
    assert len(passes) == 1

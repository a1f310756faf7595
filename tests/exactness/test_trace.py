"""What a trace says of a prompt's heads is what autograd and eager attention say of the whole prompt, run at once."""

import copy

import pytest
import torch

import tiny_models
from oracle import eager_attention, eager_outputs, eager_values, tensor_logprob
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Runner, answer_logprob
from retrieval_heads.errors import StudyError
from tiny_models import MODELS, Numbers, llama, long_rope, random_ids

CONTEXT, SUFFIX, ANSWER = random_ids(46, seed=1), random_ids(7, seed=2), random_ids(4, seed=3)
PROMPT = [*CONTEXT, *SUFFIX, *ANSWER]
TOLERANCE = 1e-4
ALL = MODELS | tiny_models.LENGTHS


def run(model):
    return Runner(model, Numbers(), Budget(10_000, 10_000))


def plain_logprob(logits):
    """Σ ln p of the answer in the logits (T, V) of the whole prompt."""
    return tensor_logprob(logits, [*CONTEXT, *SUFFIX], ANSWER)


def last_logit(logits, _answer):
    """Of the first token of the vocabulary, behind the answer."""
    return logits[-1, 0]


OBJECTIVES = {"log-probability": (answer_logprob, plain_logprob), "logit": (last_logit, lambda logits: logits[-1, 0])}


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("architecture", ALL)
def test_gradients_are_those_of_autograd_over_the_whole_prompt(architecture, objective):
    model = ALL[architecture]()
    ours, plain = OBJECTIVES[objective]
    trace = run(model).trace(CONTEXT, SUFFIX, ANSWER, objective=ours)
    logits, outputs = eager_outputs(model, PROMPT)
    expected = torch.autograd.grad(plain(logits), outputs)
    largest = max(one[len(CONTEXT) :].abs().max() for one in expected)
    assert largest > 0.01, "no head has an effect, so the test shows nothing"
    for layer, wanted in enumerate(expected):
        found = trace.gradients(layer).transpose(0, 1)
        assert found.sub(wanted[len(CONTEXT) :]).abs().max() < TOLERANCE * max(1, largest)


@pytest.mark.parametrize("architecture", ALL)
def test_rows_values_and_outputs_are_those_of_the_whole_prompt(architecture):
    model = ALL[architecture]()
    trace = run(model).trace(CONTEXT, SUFFIX, ANSWER)
    logits, outputs = eager_outputs(model, PROMPT)
    rows, values = eager_attention(model, PROMPT)[:, :, len(CONTEXT) :], eager_values(model, PROMPT)
    assert trace.logits.sub(logits[-1 - len(ANSWER) :]).abs().max() < TOLERANCE
    assert list(trace.layers) == [0, 1, 2]
    for layer in trace.layers:
        assert trace.attention(layer).sub(rows[layer]).abs().max() < TOLERANCE
        assert trace.values(layer).sub(values[layer]).abs().max() < TOLERANCE
        z = trace.outputs(layer)
        assert z.transpose(0, 1).sub(outputs[layer][len(CONTEXT) :]).abs().max() < TOLERANCE
        assert (trace.attention(layer) @ trace.values(layer)).sub(z).abs().max() < TOLERANCE


def test_the_first_order_effect_of_a_head_is_the_change_that_a_small_step_makes():
    model = llama()
    trace = run(model).trace(CONTEXT, SUFFIX, ANSWER, objective=answer_logprob)
    step, (layer, head) = 1e-3, (1, 2)
    effect = (trace.outputs(layer)[head] * trace.gradients(layer)[head]).sum()
    weight = model.model.layers[layer].self_attn.o_proj.weight
    changed = copy.deepcopy(model)
    # Less of the head behind the context: its keys and values there are those of the whole model.
    changed.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(
        lambda _module, args: (scaled(args[0], head, 1 - step, weight.shape[1] // 4),)
    )
    logits, _ = eager_outputs(model, PROMPT)
    less, _ = eager_outputs(changed, PROMPT)
    assert (plain_logprob(logits) - plain_logprob(less)).item() / step == pytest.approx(effect.item(), rel=0.05)


def scaled(outputs, head, factor, size):
    """Heads' outputs (1, T, H · D) of which one is multiplied behind the context."""
    outputs = outputs.clone()
    outputs[:, len(CONTEXT) :, head * size : (head + 1) * size] *= factor
    return outputs


def test_it_makes_no_difference_what_has_been_run_before():
    model, other = llama(), random_ids(46, seed=9)
    runner = run(model)
    alone = run(model).trace(CONTEXT, SUFFIX, ANSWER, objective=answer_logprob)
    runner.prefill([other, CONTEXT])
    beside = runner.trace(CONTEXT, SUFFIX, ANSWER, objective=answer_logprob)
    again = runner.trace(CONTEXT, SUFFIX, ANSWER, objective=answer_logprob)
    runner.trace(other, SUFFIX)
    after = runner.trace(CONTEXT, SUFFIX, ANSWER, objective=answer_logprob)
    for trace in (beside, again, after):
        assert trace.gradients(1).sub(alone.gradients(1)).abs().max() < 1e-5


def test_a_context_that_was_just_run_is_not_run_again():
    model, lengths = llama(), []
    model.model.embed_tokens.register_forward_pre_hook(lambda _module, args: lengths.append(args[0].shape[1]))
    runner = run(model)
    for suffix in (SUFFIX, SUFFIX[:3]):
        runner.trace(CONTEXT, suffix, ANSWER)
    assert lengths == [len(CONTEXT), len(SUFFIX) + len(ANSWER), 3 + len(ANSWER)]


@pytest.mark.parametrize("trained", [True, False])
def test_the_model_is_left_as_it_was(trained):
    model = llama().requires_grad_(trained)
    implementation = model.config._attn_implementation
    run(model).trace(CONTEXT, SUFFIX, ANSWER, objective=answer_logprob)
    with pytest.raises(ZeroDivisionError):
        run(model).trace(CONTEXT, SUFFIX, ANSWER, objective=lambda *_: 1 / 0)
    assert all(weight.requires_grad == trained and weight.grad is None for weight in model.parameters())
    assert model.config._attn_implementation == implementation
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_gradients_that_were_not_asked_for_are_refused():
    with pytest.raises(ValueError, match="give an objective"):
        run(llama()).trace(CONTEXT, SUFFIX).gradients(0)


def test_a_prompt_that_goes_on_beyond_a_switch_of_the_rotary_embedding_is_refused():
    with pytest.raises(StudyError, match="changes beyond 50 tokens"):
        run(long_rope(50)).trace(CONTEXT, SUFFIX)


@pytest.mark.parametrize("architecture", ALL)
def test_prompts_that_are_traced_together_give_what_each_gives_alone(architecture):
    runner = run(ALL[architecture]())
    shorter, longer = (SUFFIX[2:], ANSWER[:2]), ([*SUFFIX, 5], ANSWER)
    together = runner.traces(CONTEXT, [(SUFFIX, ANSWER), shorter, longer], objective=answer_logprob, direct=True)
    for suffix, answer in ((SUFFIX, ANSWER), shorter, longer):
        one, alone = next(together), runner.trace(CONTEXT, suffix, answer, objective=answer_logprob, direct=True)
        assert one.answer_rows == alone.answer_rows
        assert one.logits.sub(alone.logits).abs().max() < TOLERANCE
        for layer in one.layers:
            assert torch.equal(one.visible(layer), alone.visible(layer))
            for what in ("attention", "values", "outputs", "gradients", "direct_gradients"):
                found, wanted = getattr(one, what)(layer), getattr(alone, what)(layer)
                assert found.shape == wanted.shape
                assert found.sub(wanted).abs().max() < TOLERANCE * max(1, wanted.abs().max())
    assert next(together, None) is None


def test_only_so_many_prompts_are_traced_together_as_may_be_held(monkeypatch):
    runner, passes = run(llama()), []
    runner.model.model.layers[0].register_forward_pre_hook(lambda _module, args: passes.append(len(args[0])))
    prompts = [(SUFFIX, ANSWER)] * 3
    runner.prefill([CONTEXT])
    passes.clear()
    assert len(list(runner.traces(CONTEXT, prompts))) == 3
    # Three layers of four heads, eleven rows of 57 keys: two prompts are as much as this allows.
    monkeypatch.setattr("retrieval_heads.engine.trace._MAX_WEIGHTS", 2 * 3 * 4 * 11 * 57)
    assert len(list(runner.traces(CONTEXT, prompts))) == 3
    assert passes == [3, 2, 1]

"""What heads write into the logits is what adds up to them, by hand and in every architecture."""

import pytest
import torch
from torch import nn

import oracle
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.methods import make_methods
from tiny_models import LENGTHS, MODELS, Numbers, llama, made, random_ids

CONTEXT, SUFFIX, ANSWER = random_ids(46, seed=1), random_ids(7, seed=2), random_ids(4, seed=3)
TOLERANCE = 1e-4


def run(model):
    return Runner(model, Numbers(), Budget(10_000, 10_000))


def contributions(trace):
    """φ (L, H, A, K) of a trace."""
    return torch.stack(
        [
            trace.attention(layer)[:, trace.answer_rows] * trace.value_products(layer, trace.direct_gradients(layer))
            for layer in trace.layers
        ]
    )


@pytest.mark.parametrize("architecture", MODELS)
def test_all_that_writes_adds_up_to_the_logits(architecture):
    model = oracle.liven(MODELS[architecture]())
    phi, rest, logits = oracle.written(model, [*CONTEXT, *SUFFIX], ANSWER)
    heads = contributions(run(model).trace(CONTEXT, SUFFIX, ANSWER, direct=True))
    assert heads.abs().max() > 0.01, "no head writes anything, so the test shows nothing"
    assert (heads.sum((0, 1, 3)) + rest).sub(logits).abs().max() < TOLERANCE * max(1, rest.abs().max())
    assert heads.sub(phi).abs().max() < TOLERANCE * max(1, phi.abs().max())


@pytest.mark.parametrize("architecture", MODELS | LENGTHS)
def test_every_architecture_is_known_with_any_biases(architecture):
    run(oracle.liven((MODELS | LENGTHS)[architecture]())).require_direct_path()


def test_a_norm_between_heads_and_output_projection_is_frozen_too():
    """In BitNet, one norm is over all heads of a layer: without it frozen, they would seem to write nothing."""
    model = oracle.liven(made("bitnet"))
    run(model).require_direct_path()
    trace = run(model).trace(CONTEXT, SUFFIX, ANSWER, direct=True)
    row, read = len(CONTEXT) + len(SUFFIX) - 1, [*CONTEXT, *SUFFIX, *ANSWER]
    final, last = model.model.norm, model.model.layers[-1]
    seen = {}
    final.register_forward_hook(lambda _module, args, _out: seen.update(final=args[0][0, row]))
    last.self_attn.attn_sub_norm.register_forward_hook(lambda _module, args, _out: seen.update(heads=args[0][0, row]))
    with torch.no_grad():
        model(torch.tensor([read]), use_cache=False)
    unembedding = model.lm_head.weight.detach()
    back = oracle.frozen_norm(final, seen["final"], unembedding[ANSWER[0]] - unembedding.mean(0))
    back = oracle.frozen_norm(last.self_attn.attn_sub_norm, seen["heads"], back @ last.self_attn.o_proj.weight)
    by_head = (back * seen["heads"]).view(4, -1).sum(-1)
    found = (trace.outputs(2)[:, trace.answer_rows] * trace.direct_gradients(2)).sum(-1)[:, 0]
    assert by_head.abs().max() > 0.01
    assert found.sub(by_head).abs().max() < TOLERANCE


@pytest.mark.parametrize("architecture", MODELS)
def test_biases_belong_to_no_head(architecture):
    """A head whose slice of the output projection is zero writes nothing, whatever the bias."""
    model = oracle.without_heads(oracle.liven(MODELS[architecture]()), [(1, 2)])
    trace = run(model).trace(CONTEXT, SUFFIX, ANSWER, direct=True)
    assert contributions(trace)[1, 2].abs().max() == 0


class Squashed(nn.Module):
    """A projection with something behind it that no factor can stand for."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x).tanh()


class OddNorm(nn.Module):
    """A norm of no usual kind."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x) + x.sign()


def with_more_that_is_taken_off_again():
    """One projection adds what no gradient tells, and a later one takes it off again."""
    model, added = llama(), []

    def add(_module, _args, out):
        added[:] = [out.detach().sin()]
        return out + added[0]

    model.model.layers[0].self_attn.o_proj.register_forward_hook(add)
    model.model.layers[2].self_attn.o_proj.register_forward_hook(lambda _module, _args, out: out - added[0])
    return model


def with_squashed_output():
    model = llama()
    model.model.layers[1].self_attn.o_proj = Squashed(model.model.layers[1].self_attn.o_proj)
    return model


def with_odd_norm():
    model = llama()
    model.model.norm = OddNorm(model.model.norm)
    return model


UNKNOWN = {
    "a projection that is not linear": with_squashed_output,
    "two projections whose faults add up to nothing": with_more_that_is_taken_off_again,
    "a norm of another kind": with_odd_norm,
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_way_to_the_logits_is_refused_by_name_to_the_methods_that_need_it(case):
    runner = run(UNKNOWN[case]())
    for method in make_methods({"direct_logit": {}, "locos": {}}):
        with pytest.raises(
            StudyError, match=r"^LlamaForCausalLM: .* leave out the methods that need it, and controls\.compensation\.$"
        ):
            method.require(runner)


@pytest.mark.parametrize("case", UNKNOWN)
def test_the_other_methods_measure_it(case):
    others = ("attention_contrast", "positional_copy", "attribution_patching", "value_flow", "single_head_effect")
    runner = run(UNKNOWN[case]())
    runner.require_measurable()
    for method in make_methods({name: {} for name in (*others, "core", "qrhead")}):
        method.require(runner)

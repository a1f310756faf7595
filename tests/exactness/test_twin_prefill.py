"""A twin's context is run from its first other token on: what follows it is the same as if all of it had been run."""

import pytest
import torch

from oracle import eager_attention, eager_outputs
from retrieval_heads.engine import attention
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Runner
from tiny_models import LENGTHS, MODELS, Numbers, llama, random_ids

ALL = MODELS | LENGTHS
CONTEXT, SUFFIX, ANSWER = random_ids(46, seed=1), random_ids(7, seed=2), random_ids(4, seed=3)
OTHER = random_ids(46, seed=9)


def changed(context, first, count=3):
    """A twin of a context, whose other tokens begin with the first."""
    return [2 + (token + 5) % 29 if first <= place < first + count else token for place, token in enumerate(context)]


def run(model):
    return Runner(model, Numbers(), Budget(10_000, 10_000))


def lengths_run(model):
    """Fills with the number of tokens of each pass."""
    lengths = []
    model.get_input_embeddings().register_forward_pre_hook(lambda _module, args: lengths.append(args[0].shape[1]))
    return lengths


@pytest.mark.parametrize("queries", [None, 128, 5])
@pytest.mark.parametrize("first", [1, 11, 43])
@pytest.mark.parametrize("architecture", ALL)
def test_behind_a_twin_all_is_as_in_plain_passes_over_it(architecture, first, queries, monkeypatch):
    if queries is not None:  # as on a device without the kernel that joins softmaxes
        monkeypatch.setattr(attention, "_QUERIES_IN_ORDER", queries)
        monkeypatch.setattr(attention.AttentionCall, "_joins_softmaxes", lambda call: False)
    model, twin = ALL[architecture](), changed(CONTEXT, first)
    runner = run(model)
    runner.prefill([CONTEXT])
    runner.twin(twin)
    for context in (twin, CONTEXT):
        trace = runner.trace(context, SUFFIX, ANSWER)
        ids = [*context, *SUFFIX, *ANSWER]
        with torch.no_grad():
            logits, outputs = eager_outputs(model, ids)
        assert trace.logits.sub(logits[-len(ANSWER) - 1 :]).abs().max() < 1e-3
        rows = eager_attention(model, ids)[:, :, len(CONTEXT) :]
        for layer in trace.layers:
            assert trace.attention(layer).sub(rows[layer]).abs().max() < 1e-4
            assert trace.outputs(layer).transpose(0, 1).sub(outputs[layer][len(CONTEXT) :]).abs().max() < 1e-3


def test_only_what_differs_is_run_and_both_contexts_are_kept():
    model, read = llama(), len(SUFFIX) + len(ANSWER)
    runner, lengths = run(model), lengths_run(model)
    runner.trace(CONTEXT, SUFFIX, ANSWER)
    for _ in range(2):
        runner.twin(changed(CONTEXT, 11))
        for context in (changed(CONTEXT, 11), CONTEXT):
            runner.trace(context, SUFFIX, ANSWER)
    assert lengths == [46, read, 46 - 11, *[read] * 4]


def test_each_of_several_contexts_has_its_twin():
    model = llama()
    runner, lengths = run(model), lengths_run(model)
    runner.prefill([CONTEXT, OTHER])
    for context, twin in ((CONTEXT, changed(CONTEXT, 11)), (OTHER, changed(OTHER, 20))):
        runner.trace(context, SUFFIX)
        runner.twin(twin)
        runner.trace(twin, SUFFIX)
    assert lengths == [46, 7, 46 - 11, 7, 7, 46 - 20, 7]


def test_a_context_that_is_no_twin_is_run_as_a_whole_so_that_nothing_depends_on_what_was_run_before():
    model = llama()
    runner, lengths = run(model), lengths_run(model)
    for context in (CONTEXT, changed(CONTEXT, 11), CONTEXT):
        runner.trace(context, SUFFIX)
    assert lengths == [46, 7] * 3


def test_a_twin_that_differs_at_once_or_in_its_length_is_run_as_a_whole():
    model = llama()
    runner, lengths = run(model), lengths_run(model)
    for twin in (changed(CONTEXT, 0), CONTEXT[:-1]):
        runner.prefill([CONTEXT])
        runner.twin(twin)
    assert lengths == [46, 46, 46, 45]

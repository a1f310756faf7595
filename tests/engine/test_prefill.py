"""What is run of a context, and what is not."""

import pytest
import torch

from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Ablation, Runner
from tiny_models import Numbers, llama, random_ids

CONTEXT = random_ids(20, seed=1)


def feed_forward_passes(model, work):
    """How often each layer's feed-forward part runs meanwhile."""
    counts = [0] * len(model.model.layers)

    def counted(number):
        def count(*_):
            counts[number] += 1

        return count

    handles = [layer.mlp.register_forward_hook(counted(number)) for number, layer in enumerate(model.model.layers)]
    work()
    for handle in handles:
        handle.remove()
    return counts


def runner_of(model, batch_tokens=1000):
    return Runner(model, Numbers(), Budget(batch_tokens, 1000))


def test_of_a_contexts_last_layer_only_keys_and_values_are_run():
    model = llama()
    *others, last = feed_forward_passes(model, lambda: runner_of(model).prefill([CONTEXT]))
    assert set(others) == {1}
    assert last == 0


def test_under_ablation_too_though_its_rows_run_in_parts():
    model = llama()
    runner = runner_of(model, batch_tokens=len(CONTEXT))
    ablation = Ablation(runner.head_mask([[(0, 0)], [(0, 1)], [(1, 0)]]))
    *others, last = feed_forward_passes(model, lambda: runner.prefill([CONTEXT], ablation, reserved=4))
    assert all(count > 0 for count in others)
    assert last == 0


def test_what_heads_put_out_in_the_last_layer_is_shown_where_it_is_asked_for():
    model, seen = llama(), []
    *_, last = feed_forward_passes(
        model, lambda: runner_of(model).observe_outputs(CONTEXT, lambda layer, _: seen.append(layer))
    )
    assert last == 1
    assert seen == list(range(len(model.model.layers)))


@pytest.mark.parametrize("reserved", [0, 3])
def test_keys_and_values_of_all_layers_are_the_models_own(reserved):
    model = llama()
    with torch.no_grad():
        cache = model(torch.tensor([CONTEXT]), use_cache=True).past_key_values
    runner = runner_of(model)
    prefix = runner.prefill([CONTEXT], Ablation(runner.head_mask([[]])) if reserved else None, reserved=reserved)
    for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
        assert torch.allclose(keys[:, :, : len(CONTEXT)], cache.layers[layer].keys, atol=1e-5)
        assert torch.allclose(values[:, :, : len(CONTEXT)], cache.layers[layer].values, atol=1e-5)

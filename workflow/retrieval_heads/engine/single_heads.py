"""What a prompt's answer loses without each head by itself: exact, for all heads, with as much shared as can be.

The rows of a batch have one head less each. All are the model as it is up to the layer of that head, so one row, the
trunk, runs through all layers, and each other row forks from it where its head is. L layers of H heads so cost
H · L · (L + 1) / 2 row-layers in place of H · L² (:mod:`retrieval_heads.engine.forks`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel

from retrieval_heads.engine.architecture import head_grid, require_same_rotation
from retrieval_heads.engine.attention import Region, Replacement, hooked
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.caches import OnePassCache, Prefix
from retrieval_heads.engine.forks import Forks, hooked_layers, split_hidden
from retrieval_heads.job import report_share


@torch.inference_mode()
def single_head_effects(
    model: PreTrainedModel,
    prefix: Prefix,
    context: int,
    suffix: Sequence[int],
    answer: Sequence[int],
    replacement: Replacement | None,
    budget: Budget,
) -> tuple[float, Tensor]:
    """See :meth:`retrieval_heads.engine.runner.Runner.single_head_effects`."""
    layers, heads = head_grid(model)
    # The last token of the answer produces nothing that is asked for.
    read = [*suffix, *answer[:-1]]
    require_same_rotation(model, prefix.length, prefix.length + len(read))
    one = prefix.only(context)
    tokens = torch.tensor(list(answer), device=model.device)
    found: list[Tensor] = []

    def run(numbers: Sequence[int]) -> Tensor:
        """Σ ln p of the answer, (1 + n,), by the whole model and without each of n heads, in float64 on the host."""
        mask = torch.ones(1 + len(numbers), layers, heads, device=model.device)
        for row, number in enumerate(numbers, 1):
            mask[row, number // heads, number % heads] = 0
        forks = Forks.plan(mask)
        ids = torch.tensor([read], device=model.device)
        regions = torch.full_like(ids, Region.SUFFIX)
        regions[:, len(suffix) :] = Region.ANSWER
        with hooked(
            model,
            head_mask=lambda layer: forks.head_mask[layer][:, None],
            replacement=replacement,
            shared=one.shared,
            shared_tokens=one.length,
            regions=regions,
            start=one.length,
        ) as hook:
            hook.positions = one.length + torch.arange(len(read), device=model.device)[None]
            with hooked_layers(model, _Forking(forks)):
                logits = model(
                    input_ids=ids,
                    position_ids=hook.positions,
                    past_key_values=Cache(layers=[OnePassCache(one.length) for _ in range(layers)]),
                    logits_to_keep=len(answer),
                    use_cache=True,
                ).logits
        logprob = logits.float().log_softmax(-1).gather(-1, tokens.expand(len(logits), -1)[..., None])
        return logprob.squeeze(-1).cpu().double().sum(-1)

    # Heads of the same layers are neighbours, so that a part forks late. The earlier a layer, the more its heads cost.
    costs = [layers - number // heads for number in range(layers * heads)]
    for part in budget.batches(range(layers * heads), len(read), "batch_tokens", run, units=False):
        found.append(part)
        done = sum(len(one) - 1 for one in found)
        report_share(sum(costs[:done]) / sum(costs))
    effects = torch.cat([part[0] - part[1:] for part in found])
    return found[0][0].item(), effects.view(layers, heads)


class _Forking:
    """Before each layer, rows fork; all have the same tokens, so the mask and positions of one are those of all."""

    def __init__(self, forks: Forks):
        self._forks = forks

    def before(self, layer: int, _: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Give each row of the layer the hidden states of its parent."""
        hidden, args, kwargs = split_hidden(args, kwargs)
        return (hidden[self._forks.parents[layer]], *args), kwargs

    def after(self, _layer: int, _module: nn.Module, _args: tuple, _kwargs: dict, _output: Any) -> None:
        """Leave the layer's output as it is."""

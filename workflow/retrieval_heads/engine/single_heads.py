"""What a prompt's answer loses without each head by itself: exact, for all heads, with as much shared as can be.

The rows of a batch have one head less each. All are the model as it is up to the layer of that head, so one row, the
trunk, runs through all layers, and each other row forks from it where its head is. L layers of H heads so cost
H · L · (L + 1) / 2 row-layers in place of H · L² (:mod:`retrieval_heads.engine.forks`).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from retrieval_heads.engine.ablation import make_head_mask
from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import Replacement
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.engine.forks import Forks, split_hidden
from retrieval_heads.engine.one_pass import read_once
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
    one, tokens = prefix.only(context), torch.tensor(list(answer), device=model.device)
    every = [(number // heads, number % heads) for number in range(layers * heads)]
    found: list[Tensor] = []

    def run(part: Sequence[tuple[int, int]]) -> Tensor:
        """Σ ln p of the answer, (1 + n,), by the whole model and without each of n heads, in float64 on the host."""
        forks = Forks.plan(make_head_mask(model, [[], *([head] for head in part)]))
        logits = read_once(
            model,
            one,
            [(suffix, answer[:-1])],  # the last token produces nothing that is asked for
            last=len(answer),
            layer_hooks=_Forking(forks),
            head_mask=lambda layer: forks.head_mask[layer][:, None],
            replacement=replacement,
        )
        logprob = logits.log_softmax(-1).gather(-1, tokens.expand(len(logits), -1)[..., None])
        return logprob.squeeze(-1).cpu().double().sum(-1)

    # Heads of the same layers are neighbours, so that a part forks late. The earlier a layer, the more its heads cost.
    costs = [layers - layer for layer, _ in every]
    for part in budget.batches(every, len(suffix) + len(answer) - 1, "batch_tokens", run, units=False):
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

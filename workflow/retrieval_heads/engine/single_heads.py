"""What a prompt's answer loses without each head by itself: exact, for all heads, with as much shared as can be.

The rows of a batch have one head less each. All are the model as it is up to the layer of that head, so one row, the
trunk, runs through all layers, and each other row forks from it where its head is. L layers of H heads so cost
H · L · (L + 1) / 2 row-layers in place of H · L² (:mod:`retrieval_heads.engine.forks`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class SingleHeadEffects:
    """What an answer y loses without each head by itself, and what it loses against the twin's answer y′.

    answer_logprob: ln p(y) by the whole model, summed over the answer's tokens; effects: that less the same without the
    head, (L, H) in float64 on the host. answer_logodds, logodds_effects: the same of ln p(y) − ln p(y′), or None where
    there is no twin.
    """

    answer_logprob: float
    effects: Tensor
    answer_logodds: float | None = None
    logodds_effects: Tensor | None = None


@torch.inference_mode()
def single_head_effects(
    model: PreTrainedModel,
    prefix: Prefix,
    suffix: Sequence[int],
    answer: Sequence[int],
    replacement: Replacement | None,
    budget: Budget,
    twin: tuple[Prefix, Sequence[int]] | None = None,
) -> SingleHeadEffects:
    """See :meth:`retrieval_heads.engine.runner.Runner.single_head_effects`.

    Parameters
    ----------
    prefix : of the prompt's context alone.
    twin : the prefix of the twin's context alone, and the twin's answer.
    """
    layers, heads = head_grid(model)
    answers = [answer] if twin is None else [answer, twin[1]]
    # The last token of an answer produces nothing that is asked for.
    read = [one[:-1] for one in answers]
    tokens = [torch.tensor(list(one), device=model.device) for one in answers]
    every = [(number // heads, number % heads) for number in range(layers * heads)]
    fields: dict[str, Any] = {"replacement": replacement}
    if twin is not None:
        outputs: list[Tensor] = []
        read_once(model, twin[0], [(suffix, *read)], last=0, observe=lambda _call, z: outputs.append(z))
        fields["twin"] = outputs.__getitem__

    def run(part: Sequence[tuple[int, int]]) -> Tensor:
        """Σ ln p of each answer, (1 + n, answers), by the whole model and without each of n heads, in float64 on the
        host."""
        forks = Forks.plan(make_head_mask(model, [[], *([head] for head in part)]))
        logits = read_once(
            model,
            prefix,
            [(suffix, *read)],
            last=1 + sum(map(len, read)),
            layer_hooks=_Forking(forks),
            head_mask=lambda layer: forks.head_mask[layer][:, None],
            **fields,
        )
        sums, start = [], 1
        for one in tokens:
            # All answers' first tokens are produced where the suffix ends.
            rows = torch.cat([logits[:, :1], logits[:, start : start + len(one) - 1]], 1)
            logprob = rows.log_softmax(-1).gather(-1, one.expand(len(rows), -1)[..., None])
            sums.append(logprob.squeeze(-1).cpu().double().sum(-1))
            start += len(one) - 1
        return torch.stack(sums, -1)

    # Heads of the same layers are neighbours, so that a part forks late. The earlier a layer, the more its heads cost.
    costs, found = [layers - layer for layer, _ in every], []
    for part in budget.batches(every, len(suffix) + sum(map(len, read)), "batch_tokens", run, units=False):
        found.append(part)
        done = sum(len(one) - 1 for one in found)
        report_share(sum(costs[:done]) / sum(costs))
    whole, effects = found[0][0], torch.cat([part[0] - part[1:] for part in found]).view(layers, heads, -1)
    if twin is None:
        return SingleHeadEffects(whole[0].item(), effects[..., 0])
    odds, odds_effects = whole[0] - whole[1], effects[..., 0] - effects[..., 1]
    return SingleHeadEffects(whole[0].item(), effects[..., 0], odds.item(), odds_effects)


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

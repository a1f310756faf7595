"""What a prompt's answer loses without each head by itself: exact, for all heads, with as much shared as can be.

Each head is a set of its own (:mod:`retrieval_heads.engine.head_sets`). L layers of H heads so cost H · L · (L + 1) / 2
row-layers in place of H · L².
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import Replacement
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.engine.head_sets import summed_logprob, without_each


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
    # Heads of the same layers are neighbours, so that a part forks late.
    every = [[(number // heads, number % heads)] for number in range(layers * heads)]
    parts = without_each(model, prefix, suffix, answer, every, replacement, budget, summed_logprob, twin)
    found = [part[..., 0] for part in parts]
    whole, effects = found[0][0], torch.cat([part[0] - part[1:] for part in found]).view(layers, heads, -1)
    if twin is None:
        return SingleHeadEffects(whole[0].item(), effects[..., 0])
    odds, odds_effects = whole[0] - whole[1], effects[..., 0] - effects[..., 1]
    return SingleHeadEffects(whole[0].item(), effects[..., 0], odds.item(), odds_effects)

"""What an answer is worth to a model without each of many head sets, ablated behind a context that all have read alike.

The rows of a batch have one head set less each. All are the model as it is up to the first layer in which they are not,
so one row, the trunk, runs through all layers, and each other row forks from it where its first head is
(:mod:`retrieval_heads.engine.forks`). Sets that agree in their first layers fork later still, best where they are
neighbours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from retrieval_heads.engine.ablation import make_head_mask
from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import Replacement
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.engine.direct_path import final_softcap, without_softcap
from retrieval_heads.engine.finite import NotFiniteError
from retrieval_heads.engine.forks import Forks, split_hidden
from retrieval_heads.engine.one_pass import read_once
from retrieval_heads.job import report_share
from retrieval_heads.model.guards import all_finite

HeadSet = Sequence[tuple[int, int]]

Measure = Callable[[Tensor, Tensor], Tensor]
"""Numbers (rows, M) of an answer, from the logits (rows, A, V) before each of its tokens, in float32, and the tokens
(A,)."""


@dataclass(frozen=True)
class AnswerLosses:
    """What an answer y loses without each of N head sets, and what it loses against the twin's answer y′.

    logprob: ln p(y) by the whole model, summed over the answer's tokens; logit: its centred logit, the mean over the
    tokens of logit − mean logit of the vocabulary, before any final soft-cap; logodds: ln p(y) − ln p(y′), or None
    where there is no twin. logprob_losses, logit_losses, logodds_losses: each of these less the same without the set,
    (N,) in float64 on the host.
    """

    logprob: float
    logit: float
    logprob_losses: Tensor
    logit_losses: Tensor
    logodds: float | None = None
    logodds_losses: Tensor | None = None


def answer_losses(
    model: PreTrainedModel,
    prefix: Prefix,
    suffix: Sequence[int],
    answer: Sequence[int],
    head_sets: Sequence[HeadSet],
    replacement: Replacement | None,
    budget: Budget,
    twin: tuple[Prefix, Sequence[int]] | None = None,
) -> AnswerLosses:
    """See :meth:`retrieval_heads.engine.runner.Runner.answer_losses`.

    Parameters
    ----------
    prefix : of the prompt's context alone.
    twin : the prefix of the twin's context alone, and the twin's answer.
    """
    cap = final_softcap(model)

    def measure(logits: Tensor, tokens: Tensor) -> Tensor:
        centred = (_of(logits, tokens) - logits.mean(-1)).mean(-1)
        return torch.stack([summed_logprob(cap(logits), tokens)[:, 0], centred.cpu().double()], -1)

    with without_softcap(model):
        parts = without_each(model, prefix, suffix, answer, head_sets, replacement, budget, measure, twin)
    whole, losses = parts[0][0], torch.cat([part[0] - part[1:] for part in parts])
    (logprob, logit), found = whole[0].tolist(), losses[:, 0]
    if twin is None:
        return AnswerLosses(logprob, logit, found[:, 0], found[:, 1])
    odds = (whole[0] - whole[1])[0].item()
    return AnswerLosses(logprob, logit, found[:, 0], found[:, 1], odds, (losses[:, 0] - losses[:, 1])[:, 0])


def summed_logprob(logits: Tensor, tokens: Tensor) -> Tensor:
    """Σ ln p over an answer's tokens, (rows, 1) in float64 on the host: a :data:`Measure`."""
    return _of(logits.log_softmax(-1), tokens).cpu().double().sum(-1, keepdim=True)


def _of(values: Tensor, tokens: Tensor) -> Tensor:
    """Of values (rows, A, V) those of the tokens (A,)."""
    return values.gather(-1, tokens.expand(len(values), -1)[..., None]).squeeze(-1)


@torch.inference_mode()
def without_each(
    model: PreTrainedModel,
    prefix: Prefix,
    suffix: Sequence[int],
    answer: Sequence[int],
    head_sets: Sequence[HeadSet],
    replacement: Replacement | None,
    budget: Budget,
    measure: Measure,
    twin: tuple[Prefix, Sequence[int]] | None = None,
) -> list[Tensor]:
    """Numbers of an answer, and of the twin's if there is one, by the whole model and without each of N head sets.

    Parameters
    ----------
    prefix : of the prompt's context alone.
    measure : M numbers of an answer.
    twin : the prefix of the twin's context alone, and the twin's answer.

    Returns
    -------
    For each part of the sets, of n, (1 + n, answers, M): first by the whole model, which each part runs anew, so that
    what it is compared with was run beside it.
    """
    answers = [answer] if twin is None else [answer, twin[1]]
    # The last token of an answer produces nothing that is asked for.
    read = [one[:-1] for one in answers]
    tokens = [torch.tensor(list(one), device=model.device) for one in answers]
    fields: dict[str, Any] = {"replacement": replacement}
    if twin is not None:
        outputs: list[Tensor] = []
        read_once(model, twin[0], [(suffix, *read)], last=0, observe=lambda _call, z: outputs.append(z))
        fields["twin"] = outputs.__getitem__

    def run(part: Sequence[HeadSet]) -> Tensor:
        forks = Forks.plan(make_head_mask(model, [[], *part]))
        logits = read_once(
            model,
            prefix,
            [(suffix, *read)],
            last=1 + sum(map(len, read)),
            layer_hooks=_Forking(forks),
            head_mask=lambda layer: forks.head_mask[layer][:, None],
            **fields,
        )
        if not all_finite(logits):
            _refuse(logits[forks.row_of[-1]], part)
        found, start = [], 1
        for one in tokens:
            # All answers' first tokens are produced where the suffix ends.
            rows = torch.cat([logits[:, :1], logits[:, start : start + len(one) - 1]], 1)
            found.append(measure(rows, one))
            start += len(one) - 1
        # Sets that are the same in all layers share a row.
        return torch.stack(found, 1)[forks.row_of[-1]]

    # The earlier the layer in which a set forks, the more it costs.
    layers, _ = head_grid(model)
    costs = [layers - min((layer for layer, _ in heads), default=layers) for heads in head_sets]
    found: list[Tensor] = []
    for part in budget.batches(head_sets, len(suffix) + sum(map(len, read)), "batch_tokens", run, units=False):
        found.append(part)
        done = sum(len(one) - 1 for one in found)
        report_share(sum(costs[:done]) / max(1, sum(costs)))
    return found


def _refuse(logits: Tensor, head_sets: Sequence[HeadSet]) -> NoReturn:
    """Say under which set logits are not finite: none, or the first of those that are ablated."""
    number = int(logits.isfinite().flatten(1).all(1).logical_not().nonzero()[0])
    without = ", ".join(f"L{layer}H{head}" for layer, head in sorted(head_sets[number - 1])) if number else ""
    raise NotFiniteError(f"the logits without {without}" if without else "the logits")


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

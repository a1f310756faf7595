"""Methods that need values, heads' outputs or gradients: they all share one trace of each prompt.

A context is run once. Each prompt's suffix and expected answer are then read behind it with everything that heads do,
and, where a method asks for it, with gradients: one tape at a time, which ends before the next prompt's begins.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Runner, Trace, answer_logprob
from retrieval_heads.methods._base import Document, HeadScorer, Prompt


class TraceScorer(HeadScorer):
    """A method that scores heads by what they do while a prompt with its expected answer is read."""

    gradients: ClassVar[bool] = False
    """Whether it needs the gradients of m = Σ ln p over the answer's tokens with respect to the heads' outputs."""

    direct: ClassVar[bool] = False
    """Whether it needs the direct path from heads to the answer's logits."""

    @abstractmethod
    def score_trace(self, trace: Trace, prompt: Prompt) -> Tensor | None:
        """Scores (L, H) of one prompt, or None where the method does not apply to it.

        trace: of the prompt's suffix and expected answer, see :class:`retrieval_heads.engine.runner.Trace`. For a
        method that needs it, ``trace.twin`` is that of the same tokens behind the twin's context.
        """

    def require(self, runner: Runner) -> None:
        """Refuse a model whose direct path is not known to a method that needs it."""
        if self.direct:
            runner.require_direct_path()

    def score(self, runner: Runner, documents: Sequence[Document]) -> Tensor:
        """Scores (P, L, H) from traces of its own; see :func:`score_traces` for several methods in one."""
        return score_traces(runner, documents, [self])[self.name]


def score_traces(runner: Runner, documents: Sequence[Document], methods: Sequence[TraceScorer]) -> dict[str, Tensor]:
    """Score all P prompts of some documents by one trace of each.

    Returns
    -------
    The scores (P, L, H) of each method by its name, NaN for a prompt that a method does not apply to.
    """
    scores: dict[str, list[Tensor]] = {method.name: [] for method in methods}
    missing = torch.full((runner.layers, runner.heads), math.nan)
    for document in documents if methods else ():
        for prompt in document.prompts:
            trace = runner.trace(
                prompt.context,
                prompt.suffix,
                prompt.answer,
                objective=answer_logprob if any(method.gradients for method in methods) else None,
                direct=any(method.direct for method in methods),
            )
            if prompt.twin is not None and any(method.needs_twin for method in methods):
                runner.twin(prompt.twin)
                twin = runner.trace(prompt.twin, prompt.suffix, prompt.answer, keep_rows=False)
                trace = replace(trace, twin=twin)
            for method in methods:
                without = method.needs_twin and trace.twin is None
                score = None if without else method.score_trace(trace, prompt)
                scores[method.name].append(missing if score is None else score.float().cpu())
    return {name: torch.stack(found) for name, found in scores.items()}

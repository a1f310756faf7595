"""Methods that need values, heads' outputs or gradients: they all share one trace of each prompt.

A context is run once. Its prompts' suffixes and expected answers are then read behind it with everything that heads
do, and, where a method asks for it, with gradients: one tape at a time, of one prompt or, where contexts are short, of
several.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
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

        trace: of the prompt's suffix and expected answer, see :class:`retrieval_heads.engine.runner.Trace`.
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
        traces = runner.traces(
            document.context,
            [(prompt.suffix, prompt.answer) for prompt in document.prompts],
            objective=answer_logprob if any(method.gradients for method in methods) else None,
            direct=any(method.direct for method in methods),
        )
        for prompt in document.prompts:
            trace = next(traces)
            for method in methods:
                score = method.score_trace(trace, prompt)
                scores[method.name].append(missing if score is None else score.float().cpu())
            del trace  # before the next tape begins
    return {name: torch.stack(found) for name, found in scores.items()}

"""Methods that need values, heads' outputs or gradients: they all share one trace of each prompt.

A context is run once. Its prompts' suffixes and expected answers are then read behind it with everything that heads
do, and, where a method asks for it, with gradients: one tape at a time, of one prompt or, where contexts are short, of
several.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Runner, Trace, answer_logprob, naming
from retrieval_heads.methods._base import Document, HeadScorer, Prompt, Scored


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

    def decide(self, trace: Trace, prompt: Prompt) -> tuple[Tensor | None, float]:
        """The same, and the margin of a method that makes choices (:class:`~retrieval_heads.methods.Scored`)."""
        return self.score_trace(trace, prompt), math.inf

    def require(self, runner: Runner) -> None:
        """Refuse a model whose direct path is not known to a method that needs it."""
        if self.direct:
            runner.require_direct_path()

    def score(self, runner: Runner, documents: Sequence[Document]) -> Tensor:
        """Scores (P, L, H) from traces of its own; see :func:`score_traces` for several methods in one."""
        return score_traces(runner, documents, [self])[self.name].scores


def score_traces(runner: Runner, documents: Sequence[Document], methods: Sequence[TraceScorer]) -> dict[str, Scored]:
    """Score all P prompts of some documents by one trace of each.

    Returns
    -------
    What each method gives the prompts, by its name.
    """
    scores: dict[str, list[Tensor]] = {method.name: [] for method in methods}
    margins: dict[str, list[float]] = {method.name: [] for method in methods}
    missing = torch.full((runner.layers, runner.heads), math.nan)
    for document in documents if methods else ():
        twins = _twins(runner, document) if any(method.needs_twin for method in methods) else None
        names = [prompt.name for prompt in document.prompts]
        with naming(names):
            traces = runner.traces(
                document.context,
                [(prompt.suffix, prompt.answer) for prompt in document.prompts],
                objective=answer_logprob if any(method.gradients for method in methods) else None,
                direct=any(method.direct for method in methods),
            )
        for prompt in document.prompts:
            with naming(names):
                trace = next(traces)
            if prompt.twin is not None and twins is not None:
                trace = replace(trace, twin=next(twins))
            for method in methods:
                without = method.needs_twin and trace.twin is None
                score, margin = (None, math.inf) if without else method.decide(trace, prompt)
                scores[method.name].append(missing if score is None else score.float().cpu())
                margins[method.name].append(margin)
            del trace  # before the next tape begins
    return {name: Scored(torch.stack(found), margins[name]) for name, found in scores.items()}


def _twins(runner: Runner, document: Document) -> Iterator[Trace]:
    """Of each prompt that has a twin, the trace of the same tokens behind the twin's context."""
    paired = [prompt for prompt in document.prompts if prompt.twin is not None]
    if not paired:
        return iter(())
    context = paired[0].twin or []  # that of all prompts about the document
    # All are read before the first prompt's tape begins: what is kept of them is little.
    pairs = [(prompt.suffix, prompt.answer) for prompt in paired]
    with naming([f"the twin of {prompt.name}" for prompt in paired]):
        runner.twin(context)
        return iter(list(runner.traces(context, pairs, keep_rows=False)))

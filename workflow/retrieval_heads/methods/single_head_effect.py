"""The exact effect of every head by itself."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Runner
from retrieval_heads.methods import Document, HeadScorer, Prompt


@dataclass(frozen=True)
class SingleHeadEffect(HeadScorer):
    """What the answer's log-probability loses when this head alone is ablated, in question and answer: exact.

    The context is read by the whole model. The model is then run without each head in turn, so this costs far more than
    any other method, and is measured on the first documents of the train split alone.

    Ablating one head at a time: Michel et al. 2019 (arXiv 1905.10650, section 3.2).

    Parameters
    ----------
    documents : how many documents of the train split, the first ones.
    mode : what the head's output is replaced by, as in ``ablation.mode``.
    """

    documents: int = 2
    mode: str = "zero"

    name: ClassVar = "single_head_effect"
    label: ClassVar = "Single-head effect"
    paper: ClassVar = "Michel et al. 2019, arXiv 1905.10650"
    replaced_by: ClassVar = "mode"
    limits: ClassVar = {"documents": {"minimum": 1}, "mode": {"plugin": "ablation.replacements"}}

    def score(self, runner: Runner, documents: Sequence[Document]) -> Tensor:
        """(P, L, H), by a pass for each prompt in which every head is ablated in a row of its own."""
        return torch.stack([self._effects(runner, prompt) for document in documents for prompt in document.prompts])

    def _effects(self, runner: Runner, prompt: Prompt) -> Tensor:
        twin = None
        if self.needs_twin:
            if prompt.twin is None or prompt.twin_answer is None:
                return torch.full((runner.layers, runner.heads), math.nan)
            twin = prompt.twin, prompt.twin_answer
        return runner.single_head_effects(
            prompt.context, prompt.suffix, prompt.answer, self.replaced, twin=twin
        ).effects

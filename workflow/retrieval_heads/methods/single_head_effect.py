"""The exact effect of every head by itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from retrieval_heads import plugins
from retrieval_heads.engine.runner import AttentionCall, Runner
from retrieval_heads.methods import Document, HeadScorer


@dataclass(frozen=True)
class SingleHeadEffect(HeadScorer):
    """What the answer's log-probability loses when this head alone is ablated, in question and answer: exact.

    The context is read by the whole model. The model is then run without each head in turn, so this costs far more than
    any other method, and is measured on the first documents of the train split alone.

    Ablating one head at a time: Michel et al. 2019 (arXiv 1905.10650, section 3.2).

    Parameters
    ----------
    documents : how many documents of the train split, the first ones.
    mode : what the head's output is replaced by, as in ``ablation.mode``; one that needs neither a fit nor a twin.
    """

    documents: int = 2
    mode: str = "zero"

    name: ClassVar = "single_head_effect"
    label: ClassVar = "Single-head effect"
    paper: ClassVar = "Michel et al. 2019, arXiv 1905.10650"
    limits: ClassVar = {"documents": {"minimum": 1}, "mode": {"plugin": "ablation.replacements"}}

    def score(self, runner: Runner, documents: Sequence[Document]) -> Tensor:
        """(P, L, H), by a pass for each prompt in which every head is ablated in a row of its own."""
        # Replacements are a layer above methods, and are known here by their name alone.
        replacement: Any = plugins.subclass("ablation.replacements", self.mode, object)()

        def output(call: AttentionCall) -> Tensor:
            return replacement.output(call, {})

        effects = [
            runner.single_head_effects(prompt.context, prompt.suffix, prompt.answer, output).effects
            for document in documents
            for prompt in document.prompts
        ]
        return torch.stack(effects)

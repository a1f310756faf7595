"""Contrastive retrieval heads."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retrieval_heads.methods import AttentionRowScorer, Prompt, Reading, Readings


@dataclass(frozen=True)
class CoRe(AttentionRowScorer):
    """How clearly the question looks at the needle rather than at the other documents of the haystack.

    The attention that the question's rows pay on average to all tokens of a document is its score; the softmax of these
    over the needle and the other documents, at a temperature, gives the needle's share. It takes part only where the
    haystack is documents and at least two of them are whole; one that is cut is left out.

    Based on CoRe heads (arXiv 2510.02219).

    Parameters
    ----------
    temperature : of the softmax; the lower, the more the closest rival alone counts.
    """

    temperature: float = 0.1

    name: ClassVar = "core"
    label: ClassVar = "CoRe"
    paper: ClassVar = "arXiv 2510.02219"
    # By less, what attention differs in would leave the range of float32.
    limits: ClassVar = {"temperature": {"minimum": 1e-6}}
    reads: ClassVar = {Reading.QUESTION: True}

    def reduce(self, rows: Tensor, prompt: Prompt) -> Tensor:
        """(H, Q, K) → (H, 1 + documents), the needle first."""
        spans = [prompt.needle, *(slice(start, end) for start, end in prompt.documents)]
        return torch.stack([rows[:, :, span].sum(-1).mean(-1) for span in spans], -1)

    def combine(self, readings: Readings, generated: list[int], prompt: Prompt) -> Tensor:
        """The needle's share; NaN where fewer than two other documents are whole."""
        scores = readings[Reading.QUESTION][0]
        if len(prompt.documents) < 2:
            return torch.full_like(scores[..., 0], torch.nan)
        return (scores / self.temperature).softmax(-1)[..., 0]

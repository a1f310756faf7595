"""Summed Attention."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from retrieval_heads.methods import AttentionRowScorer, Prompt, Reading, Readings


@dataclass(frozen=True)
class SummedAttention(AttentionRowScorer):
    """How much of the last prompt token's attention goes to the needle: Σ_{j in needle} a[last, j], in [0, 1]."""

    name: ClassVar = "summed_attention"
    label: ClassVar = "Summed Attention"
    paper: ClassVar = "the direct measure: attention mass from the last prompt token to the needle"
    reads: ClassVar = {Reading.QUESTION: False}

    def reduce(self, rows: Tensor, prompt: Prompt) -> Tensor:
        """(H, 1, K) → (H,)."""
        return rows[:, -1, prompt.needle].sum(-1)

    def combine(self, readings: Readings, generated: list[int], prompt: Prompt) -> Tensor:
        """The mass itself."""
        return readings[Reading.QUESTION][0]

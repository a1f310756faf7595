"""Summed Attention."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from retrieval_heads.methods import HeadScorer, Prompt, Reading


@dataclass(frozen=True)
class SummedAttention(HeadScorer):
    """How much of the last prompt token's attention goes to the needle: Σ_{j in needle} a[last, j], in [0, 1]."""

    name: ClassVar = "summed_attention"
    label: ClassVar = "Summed Attention"
    paper: ClassVar = "the direct measure: attention mass from the last prompt token to the needle"
    reads: ClassVar = {Reading.QUESTION: False}

    def reduce(self, rows: Tensor, prompt: Prompt) -> Tensor:
        """(H, 1, K) → (H,)."""
        return rows[:, -1, prompt.needle].sum(-1)

    def score(self, readings: dict[Reading, list[Tensor]], generated: list[int], prompt: Prompt) -> Tensor:
        """The mass itself."""
        return readings[Reading.QUESTION][0]

"""Query-focused retrieval heads."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from retrieval_heads.methods import AttentionRowScorer, Prompt, Reading, Readings


@dataclass(frozen=True)
class QRHead(AttentionRowScorer):
    """How much more attention the question pays to the needle than a question that asks nothing.

    Per needle token: the mean attention from the suffix's rows, minus the same under the null question. Per head,
    tokens at or below mean − ``outlier_sd`` standard deviations (unbiased) are dropped; the rest are summed.

    Based on Zhang et al. 2025, "Query-Focused Retrieval Heads Improve Long-Context Reasoning and Re-ranking"
    (arXiv 2506.09944, section 3), with the null question as calibration. The paper averages over the rows of the
    question alone. A suffix goes on with words that begin the answer, and the null question's has fewer of these, so
    ``rows`` chooses.

    Parameters
    ----------
    outlier_sd : how many standard deviations below its head's mean a token is dropped.
    rows : ``suffix``, all of it, or ``question``, the tokens of each that ask, before those that begin the answer.
    """

    outlier_sd: float = 2.0
    rows: Literal["suffix", "question"] = "suffix"

    name: ClassVar = "qrhead"
    label: ClassVar = "QRHead"
    paper: ClassVar = "Zhang et al. 2025, arXiv 2506.09944"
    reads: ClassVar = {Reading.QUESTION: True, Reading.NULL: True}

    def reduce(self, rows: Tensor, prompt: Prompt) -> Tensor:
        """(H, Q, K) → (H, needle tokens)."""
        read = rows.shape[1] if self.rows == "suffix" else prompt.question_length
        return rows[:, :read, prompt.needle].mean(1)

    def combine(self, readings: Readings, generated: list[int], prompt: Prompt) -> Tensor:
        """The calibrated attention, summed over the tokens kept."""
        return self.decide(readings, generated, prompt)[0]

    def decide(self, readings: Readings, generated: list[int], prompt: Prompt) -> tuple[Tensor, float]:
        """The same, and by how much it is decided which tokens are dropped: the smallest distance of one from its
        head's floor, as a share of the most attention, of both questions, that the head pays to a token."""
        question, null = readings[Reading.QUESTION][0], readings[Reading.NULL][0]
        gain = question - null  # (L, H, needle tokens)
        above = gain - (gain.mean(-1, keepdim=True) - self.outlier_sd * gain.std(-1, keepdim=True))
        # A head that looks at none of them drops nothing that counts.
        share = (above.abs().amin(-1) / (question + null).amax(-1)).nan_to_num(math.inf)
        return gain.masked_fill(above <= 0, 0).sum(-1), share.min().item()

"""Query-focused retrieval heads."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from retrieval_heads.errors import StudyError
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
        if not read:
            raise StudyError(
                "prompts.null_question: the question that asks nothing has no token, and QRHead is to read its rows; "
                "write one, or have it read the whole suffix (rows)."
            )
        return rows[:, :read, prompt.needle].mean(1)

    def combine(self, readings: Readings, generated: list[int], prompt: Prompt) -> Tensor:
        """The calibrated attention, summed over the tokens kept."""
        gain = readings[Reading.QUESTION][0] - readings[Reading.NULL][0]  # (L, H, needle tokens)
        floor = gain.mean(-1, keepdim=True) - self.outlier_sd * gain.std(-1, keepdim=True)
        return gain.masked_fill(gain <= floor, 0).sum(-1)

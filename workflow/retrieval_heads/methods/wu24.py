"""Retrieval heads."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from retrieval_heads.methods import AttentionRowScorer, Prompt, Reading, Readings
from retrieval_heads.methods._strongest import hits, margin, positions, two_strongest


@dataclass(frozen=True)
class RetrievalHead(AttentionRowScorer):
    """How often a head, while the answer is generated, looks hardest at the very token that is copied.

    In the row that produces generated token y, a head scores a hit if its strongest key lies in the span and the prompt
    token there is y. The score is hits / span length.

    Based on Wu et al. 2024, "Retrieval Head Mechanistically Explains Long-Context Factuality" (arXiv 2404.15574,
    section 2), whose needle is the sentence that holds the answer. Here it is a whole document, so ``span`` chooses.

    Parameters
    ----------
    span : ``needle``, the whole document, or ``answer``, the tokens of the answer in it.
    """

    span: Literal["needle", "answer"] = "needle"

    name: ClassVar = "wu24"
    label: ClassVar = "Wu24 retrieval head"
    paper: ClassVar = "Wu et al. 2024, arXiv 2404.15574"
    reads: ClassVar = {Reading.QUESTION: False, Reading.DECODE: False}
    needs_success: ClassVar = True

    def reduce(self, rows: Tensor, prompt: Prompt) -> Tensor:
        """(H, 1, K) → (H, 4), the two strongest keys."""
        return two_strongest(rows[:, -1])

    def combine(self, readings: Readings, generated: list[int], prompt: Prompt) -> Tensor:
        """Hits over the generated tokens, divided by the span's length."""
        span = prompt.span(self.span)
        return hits(*self._looks(readings, generated, prompt)).sum(0) / (span.stop - span.start)

    def margin(self, readings: Readings, generated: list[int], prompt: Prompt) -> float:
        """By how much the closest hit or miss is decided, in ln of attention."""
        return margin(*self._looks(readings, generated, prompt))

    def _looks(self, readings: Readings, generated: list[int], prompt: Prompt) -> tuple[Tensor, Tensor]:
        """The two strongest keys (T, L, H, 4) of each row that generates a token, and which of them is that token."""
        strongest = torch.stack(readings[Reading.QUESTION] + readings[Reading.DECODE])[: len(generated)]
        at, span = positions(strongest), prompt.span(self.span)
        looked_at = torch.tensor(prompt.input_ids, device=at.device)[at.clamp(max=span.stop - 1)]
        produced = torch.tensor(generated, dtype=torch.long, device=at.device)[:, None, None, None]
        return strongest, (at >= span.start) & (at < span.stop) & (looked_at == produced)

"""Retrieval heads."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from retrieval_heads.methods import AttentionRowScorer, Prompt, Reading, Readings
from retrieval_heads.methods._strongest import hits, positions, two_strongest


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
        return self.decide(readings, generated, prompt)[0]

    def decide(self, readings: Readings, generated: list[int], prompt: Prompt) -> tuple[Tensor, float]:
        """The same, and by how much the closest hit or miss is decided, in ln of attention."""
        strongest = torch.stack(readings[Reading.QUESTION] + readings[Reading.DECODE])[: len(generated)]  # (T, L, H, 4)
        at, span = positions(strongest), prompt.span(self.span)
        looked_at = torch.tensor(prompt.input_ids, device=at.device)[at.clamp(max=span.stop - 1)]
        produced = torch.tensor(generated, dtype=torch.long, device=at.device)[:, None, None, None]
        found, margin = hits(strongest, (at >= span.start) & (at < span.stop) & (looked_at == produced))
        return found.sum(0) / (span.stop - span.start), margin

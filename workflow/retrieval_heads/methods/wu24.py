"""Retrieval heads."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from retrieval_heads.methods import AttentionRowScorer, Prompt, Reading, Readings


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
        """(H, 1, K) → (H,), the position of the strongest key."""
        return rows[:, -1].argmax(-1)

    def combine(self, readings: Readings, generated: list[int], prompt: Prompt) -> Tensor:
        """Hits over the generated tokens, divided by the span's length."""
        strongest = torch.stack(readings[Reading.QUESTION] + readings[Reading.DECODE])[: len(generated)]  # (T, L, H)
        span = prompt.span(self.span)
        inside = (strongest >= span.start) & (strongest < span.stop)
        looked_at = torch.tensor(prompt.input_ids, device=strongest.device)[strongest.clamp(max=span.stop - 1)]
        produced = torch.tensor(generated, dtype=torch.long, device=strongest.device)[:, None, None]
        return (inside & (looked_at == produced)).sum(0) / (span.stop - span.start)

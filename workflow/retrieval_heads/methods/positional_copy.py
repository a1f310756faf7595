"""Heads that look at the place of the token to be copied."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Trace
from retrieval_heads.methods import Prompt, TraceScorer
from retrieval_heads.methods._strongest import hits, positions, two_strongest


@dataclass(frozen=True)
class PositionalCopy(TraceScorer):
    """How often a head, where the answer's token t is produced, looks hardest at token t of a place that states it.

    The share of the answer's tokens in whose row the strongest of all keys is that token of any place in the needle
    that states the whole answer. The answer is read, so the score does not depend on what the model says.

    Places are found in the needle's text by the type of the question, as the answer itself is, and each by its own
    tokens: one that is written in other tokens than the answer counts as far as it goes. Where the answer begins with a
    blank that is a token of its own, so does each place that has that token before it.

    Based on the copy score of Wu et al. 2024 (arXiv 2404.15574, section 2), which takes any place in the needle where
    the same token stands.
    """

    name: ClassVar = "positional_copy"
    label: ClassVar = "Positional copy"
    paper: ClassVar = "after Wu et al. 2024, arXiv 2404.15574, by place in place of token"

    def score_trace(self, trace: Trace, prompt: Prompt) -> Tensor:
        """(L, H), shares of the answer's tokens."""
        return self.decide(trace, prompt)[0]

    def decide(self, trace: Trace, prompt: Prompt) -> tuple[Tensor, float]:
        """The same, and by how much the closest hit or miss is decided, in ln of attention."""
        strongest = torch.stack([two_strongest(trace.attention(layer)[:, trace.answer_rows]) for layer in trace.layers])
        at = positions(strongest)  # (L, H, T, 2)
        hit = torch.zeros_like(at, dtype=torch.bool)
        for token, places in enumerate(_places(prompt)):
            hit[:, :, token] = torch.isin(at[:, :, token], torch.tensor(places, device=at.device))
        found, margin = hits(strongest, hit)
        return found.float().mean(-1), margin


def _places(prompt: Prompt) -> list[list[int]]:
    """For each token of the answer, where it stands in the places that state the answer."""
    own = (prompt.answer_start, prompt.answer_end)
    blank = len(prompt.answer) - (own[1] - own[0])
    places: list[list[int]] = [[] for _ in prompt.answer]
    for start, end in prompt.statements or (own,):
        first = start - blank
        begins = start if prompt.input_ids[first:start] != prompt.answer[:blank] else first
        for at in range(begins, end):
            if 0 <= at - first < len(places):
                places[at - first].append(at)
    return places

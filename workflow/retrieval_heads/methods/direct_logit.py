"""Direct logit attribution."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Trace
from retrieval_heads.methods import Prompt, TraceScorer
from retrieval_heads.methods._written import written


@dataclass(frozen=True)
class DirectLogit(TraceScorer):
    """What a head writes straight into the logits of the answer's tokens, on average over them.

    A logit is taken less the mean logit of the vocabulary, before any soft-cap, and all that lies on the way (norms,
    gates, multipliers) is frozen at its value. Then what all heads, feed-forward parts, embeddings and biases write
    adds up to it. Biases belong to no head.

    Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits" (section "Splitting attention heads'
    effects"), and nostalgebraist 2020, "interpreting GPT: the logit lens".
    """

    name: ClassVar = "direct_logit"
    label: ClassVar = "Direct logit"
    paper: ClassVar = "Elhage et al. 2021, A Mathematical Framework for Transformer Circuits"
    direct: ClassVar = True

    def score_trace(self, trace: Trace, prompt: Prompt) -> Tensor:
        """(L, H), mean over t of Σ_j φ_tj."""
        return torch.stack([written(trace, layer).mean(-1) for layer in trace.layers])

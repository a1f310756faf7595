"""Attention to the span that states the answer, against the rest."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from retrieval_heads.engine.runner import Trace
from retrieval_heads.methods import Prompt, TraceScorer
from retrieval_heads.methods._written import attention_to, contrast


@dataclass(frozen=True)
class AttentionContrast(TraceScorer):
    """How much more a head looks at the sentence that states the answer than at as many other tokens.

    In the rows that produce the answer's tokens, the attention to the span less that to all other visible keys scaled
    to as many; the mean over the rows. It is ``locos`` with attention in place of what is written, and leaves out the
    same prompts, so the two differ in nothing but that.

    The contrast is that of LOCOS (arXiv 2607.01002).

    Parameters
    ----------
    span : ``sentence``, the one that states the answer, ``needle``, the whole document, or ``answer``, its tokens.
    """

    span: Literal["sentence", "needle", "answer"] = "sentence"

    name: ClassVar = "attention_contrast"
    label: ClassVar = "Attention contrast"
    paper: ClassVar = "the contrast of arXiv 2607.01002, with attention weights"
    needs_success: ClassVar = True

    def score_trace(self, trace: Trace, prompt: Prompt) -> Tensor | None:
        """(L, H), or None where too little is outside the span."""
        return contrast(trace, prompt, self.span, attention_to)

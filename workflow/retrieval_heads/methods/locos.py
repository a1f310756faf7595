"""What heads write from the span that states the answer."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from retrieval_heads.engine.runner import Trace
from retrieval_heads.methods import Prompt, TraceScorer
from retrieval_heads.methods._written import contrast, written_from


@dataclass(frozen=True)
class Locos(TraceScorer):
    """What a head writes into the answer's logits from the sentence that states it, beyond the rest of the prompt.

    Of what the head writes straight into the logit of an answer token, the part that comes from the span, less the part
    from all other visible keys scaled to as many; the mean over the answer's tokens. Prompts that the model does not
    answer are left out, and those in which a row sees fewer keys outside the span than in it.

    Based on LOCOS (arXiv 2607.01002).

    Parameters
    ----------
    span : ``sentence``, the one that states the answer, ``needle``, the whole document, or ``answer``, its tokens.
    """

    span: Literal["sentence", "needle", "answer"] = "sentence"

    name: ClassVar = "locos"
    label: ClassVar = "LOCOS"
    paper: ClassVar = "arXiv 2607.01002"
    needs_success: ClassVar = True
    direct: ClassVar = True

    def score_trace(self, trace: Trace, prompt: Prompt) -> Tensor | None:
        """(L, H), or None where too little is outside the span."""
        return contrast(trace, prompt, self.span, written_from)

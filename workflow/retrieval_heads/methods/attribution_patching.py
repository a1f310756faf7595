"""Attribution patching."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Trace
from retrieval_heads.methods import Prompt, TraceScorer


@dataclass(frozen=True)
class AttributionPatching(TraceScorer):
    """What the answer's log-probability would lose without the head's output, to first order.

    The sum over all tokens of question and answer of the head's output times the gradient of the log-probability with
    respect to it: the linear estimate, from one backward pass for all heads, of what ``single_head_effect`` measures.

    Nanda 2023, "Attribution patching", Syed et al. 2023 (arXiv 2310.10348, section 3); Kramár et al. 2024, "AtP*"
    (arXiv 2403.00745, section 2), of whose corrections none is made.

    Parameters
    ----------
    toward : what is put in place of the output: ``zero``, nothing; ``mean``, the head's mean in this part of a prompt;
        or ``twin``, its output for the same tokens behind the twin's context, which states another answer.
    """

    toward: Literal["zero", "mean", "twin"] = "zero"

    name: ClassVar = "attribution_patching"
    label: ClassVar = "Attribution patching"
    paper: ClassVar = "Syed et al. 2023, arXiv 2310.10348"
    gradients: ClassVar = True
    replaced_by: ClassVar = "toward"

    def score_trace(self, trace: Trace, prompt: Prompt) -> Tensor:
        """(L, H), Σ_i ⟨z_i − z′_i, g_i⟩."""
        changes = []
        for layer in trace.layers:
            change = trace.outputs(layer).float()
            if self.toward != "zero":
                change = change - trace.replaced(layer, self.replaced).float()
            changes.append((change * trace.gradients(layer).float()).sum((1, 2)))
        return torch.stack(changes)

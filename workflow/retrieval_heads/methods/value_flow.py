"""What flows from the needle through a head."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Trace
from retrieval_heads.methods import Prompt, TraceScorer


@dataclass(frozen=True)
class ValueFlow(TraceScorer):
    """What the answer's log-probability would lose if the head did not look at the needle, to first order.

    The sum over all tokens of question and answer, and over the needle's, of the attention between them times the
    gradient of the log-probability with respect to it, taken through the value alone. Over all keys instead of the
    needle's it is ``attribution_patching``.

    Gradient times attention: Michel et al. 2019 (arXiv 1905.10650, section 4.1) for whole heads, Wang et al. 2023,
    "Label Words are Anchors" (arXiv 2305.14160, section 2.1) between tokens.

    Parameters
    ----------
    toward : what is put in place of the needle's values: ``zero``, nothing; or ``twin``, the values that the twin's
        needle has, which states another answer.
    """

    toward: Literal["zero", "twin"] = "zero"

    name: ClassVar = "value_flow"
    label: ClassVar = "Value flow"
    paper: ClassVar = "Wang et al. 2023, arXiv 2305.14160"
    gradients: ClassVar = True
    replaced_by: ClassVar = "toward"

    def score_trace(self, trace: Trace, prompt: Prompt) -> Tensor:
        """(L, H), Σ_i Σ_{j in needle} α_ij ⟨g_i, v_j − v′_j⟩."""
        needle, flows = prompt.needle, []
        for layer in trace.layers:
            gradients = trace.gradients(layer)
            products = trace.value_products(layer, gradients, needle)
            if self.toward == "twin":
                assert trace.twin is not None  # prompts without a twin are not scored
                products = products - trace.twin.value_products(layer, gradients, needle)
            flows.append((trace.attention(layer)[:, :, needle] * products).sum((1, 2)))
        return torch.stack(flows)

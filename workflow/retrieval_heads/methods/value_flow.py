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
    toward : ``zero``, nothing in place of the needle's values.
    """

    toward: Literal["zero"] = "zero"

    name: ClassVar = "value_flow"
    label: ClassVar = "Value flow"
    paper: ClassVar = "Wang et al. 2023, arXiv 2305.14160"
    gradients: ClassVar = True

    def score_trace(self, trace: Trace, prompt: Prompt) -> Tensor:
        """(L, H), Σ_i Σ_{j in needle} α_ij ⟨g_i, v_j⟩."""
        needle = prompt.needle
        flows = [
            trace.attention(layer)[:, :, needle] * trace.value_products(layer, trace.gradients(layer), needle)
            for layer in trace.layers
        ]
        return torch.stack([flow.sum((1, 2)) for flow in flows])

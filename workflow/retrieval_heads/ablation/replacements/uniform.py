"""The output of a head that looks everywhere alike."""

from typing import ClassVar

from torch import Tensor

from retrieval_heads.ablation.replacements import Replacement, State
from retrieval_heads.engine.runner import AttentionCall


class Uniform(Replacement):
    """An ablated head puts out the mean of the values it can see, as if its attention were spread evenly over them.

    That is what the masking of Wu et al. 2024 (arXiv 2404.15574, section 4) comes to.
    """

    label: ClassVar = "uniform"

    def output(self, call: AttentionCall, state: State) -> Tensor:
        """(B or 1, Q, H, D)."""
        return call.mean_value()

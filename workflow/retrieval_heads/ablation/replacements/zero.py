"""Nothing in place of a head's output."""

from typing import ClassVar

from torch import Tensor

from retrieval_heads.ablation.replacements import Replacement, State
from retrieval_heads.engine.runner import AttentionCall


class Zero(Replacement):
    """An ablated head puts out nothing, as if the columns of the output projection that read it were zero."""

    label: ClassVar = "zero"

    def output(self, call: AttentionCall, state: State) -> Tensor:
        """One zero for all tokens and heads."""
        return call.value.new_zeros(1, 1, 1, 1)

"""The output that a head has where the fact is another one."""

from typing import ClassVar

from torch import Tensor

from retrieval_heads.ablation.replacements import Replacement, State
from retrieval_heads.engine.runner import AttentionCall
from retrieval_heads.errors import StudyError


class Resample(Replacement):
    """An ablated head puts out what it does in the same token behind the twin's context, which states another value.

    The twin is read by the whole model, with the same tokens after the context, generated ones included. So a head that
    works alike whatever the answer is not changed: what is lost is what the head carries of this answer. Resampling
    ablation: Chan et al. 2022, "Causal scrubbing"; Zhang and Nanda 2024 (arXiv 2309.16042, section 2), there from
    corrupted prompts.
    """

    label: ClassVar = "resample"
    needs_twin: ClassVar = True

    def output(self, call: AttentionCall, state: State) -> Tensor:
        """(B or 1, Q, H, D)."""
        if call.twin is None:
            raise StudyError("resample: there is no twin to take outputs from; give one, or another mode.")
        return call.twin

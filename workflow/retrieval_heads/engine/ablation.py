"""Which heads are ablated, where, and what they put out instead, in the terms of a model."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from retrieval_heads.engine.attention import Replacement


@dataclass(frozen=True)
class Ablation:
    """N head sets to ablate, one for each row of a batch.

    head_mask : (N, L, H) factors of the heads' outputs before the output projection: 1 leaves a head, 0 ablates it.
    mask_start : for each row, the first token of its suffix in which heads are ablated; None for the first of all.
        Ablation goes on to the end of what is generated. A context that is run under an ablation has it in every token.
    replacement : gives the outputs of ablated heads from an :class:`retrieval_heads.engine.attention.AttentionCall`;
        None for zero.
    """

    head_mask: Tensor
    mask_start: Sequence[int] | None = None
    replacement: Replacement | None = None

"""Which heads are ablated, where, and what they put out instead, in the terms of a model."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from retrieval_heads.engine.architecture import head_grid
from retrieval_heads.engine.attention import AttentionCall, Replacement, hooked, is_hooked_by_another
from retrieval_heads.engine.caches import Prefix
from retrieval_heads.errors import StudyError


@dataclass(frozen=True)
class Ablation:
    """N head sets to ablate, one for each row of a batch.

    head_mask : (N, L, H) factors of the heads' outputs before the output projection: 1 leaves a head, 0 ablates it.
    mask_start : for each row, the first token of its suffix in which heads are ablated; None for the first of all.
        Ablation goes on to the end of what is generated. A context that is run under an ablation has it in every token.
    replacement : gives the outputs of ablated heads from an :class:`retrieval_heads.engine.attention.AttentionCall`;
        None for zero.
    opening : with how many tokens of the opening the context begins.
    twin : for a replacement that needs one, the twin's context (:meth:`retrieval_heads.engine.runner.Runner.twin`),
        with outputs where heads are ablated in the context too. What the rows read behind their context, an unablated
        row then reads behind the twin's, generated tokens included.
    """

    head_mask: Tensor
    mask_start: Sequence[int] | None = None
    replacement: Replacement | None = None
    opening: int = 0
    twin: Prefix | None = None


def make_head_mask(model: PreTrainedModel, head_sets: Iterable[Iterable[tuple[int, int]]]) -> Tensor:
    """The mask (N, L, H), on the model's device, that ablates N sets of (layer, head) pairs, both counted from 0."""
    sets = [list(heads) for heads in head_sets]
    mask = torch.ones(len(sets), *head_grid(model), device=model.device)
    for row, heads in enumerate(sets):
        for layer, head in heads:
            mask[row, layer, head] = 0
    return mask


@contextmanager
def every_call_ablated(
    model: PreTrainedModel, head_mask: Tensor, replacement: Replacement | None = None
) -> Iterator[None]:
    """Ablate heads in every pass of a model as long as the context is open, whatever runs the model.

    Many things take a layer's attention elsewhere: another implementation of it, a layer or a forward that is replaced.
    What they have in common is that the hook is not called for that layer, so that its heads are back. Such passes are
    refused; and so is gradient checkpointing, which may run a layer again after the context has ended.

    Parameters
    ----------
    head_mask : (L, H): 1 leaves a head alone, 0 ablates it.
    replacement : gives the outputs of ablated heads; None for zero.

    Raises
    ------
    StudyError
        where the model cannot be hooked, or a pass would have heads back.
    """
    layers, _ = head_grid(model)
    decoder: torch.nn.Module = model.get_decoder()
    seen = threading.local()  # .layers: those whose attention the pass of this thread has called

    def observe(call: AttentionCall, _outputs: Tensor) -> None:
        vars(seen).setdefault("layers", set()).add(call.layer)

    with hooked(model, head_mask=lambda layer: head_mask[layer, None, None], replacement=replacement) as hook:
        hook.observe = observe

        def begin(module: torch.nn.Module, *_: Any) -> None:
            seen.layers = set()
            again = module is decoder and module.training and torch.is_grad_enabled()
            if again and any(getattr(part, "gradient_checkpointing", False) for part in module.modules()):
                raise StudyError(
                    "ablated: gradient checkpointing runs layers again for their gradients, where heads may be back; "
                    "turn it off for the model."
                )

        def end(module: torch.nn.Module, *_: Any) -> None:
            lost = sorted(set(range(layers)) - seen.layers)
            # A copy of the model that was made inside the context has these hooks too, and is not ablated by them.
            if lost and module is decoder and not is_hooked_by_another(hook):
                raise StudyError(
                    f"ablated: the attention of layer {lost[0]} was changed inside the context, by "
                    "set_attn_implementation or in another way, so that its heads are back; make such changes before "
                    "the context."
                )

        handles = [decoder.register_forward_pre_hook(begin), decoder.register_forward_hook(end)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

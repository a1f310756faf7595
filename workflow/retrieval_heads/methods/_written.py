"""What heads give to a part of the context, by attention or by what they write, in the rows that produce the answer."""

from collections.abc import Callable

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Trace
from retrieval_heads.methods._base import Prompt

Amounts = Callable[[Trace, int, slice], tuple[Tensor, Tensor]]
"""Of a layer, what its heads give to some keys and to all that they see, (H, A) each, in the A rows of the answer."""


def attention_to(trace: Trace, layer: int, keys: slice) -> tuple[Tensor, Tensor]:
    """Σ α over some keys and over all."""
    rows = trace.attention(layer)[:, trace.answer_rows]
    return rows[:, :, keys].sum(-1), rows.sum(-1)


def written_from(trace: Trace, layer: int, keys: slice) -> tuple[Tensor, Tensor]:
    """Σ φ over some keys and over all, φ_tj = α_tj ⟨u_t, W_O v_j⟩.

    u_t is the direct path to the centred logit of the answer's token t (:meth:`Trace.direct_gradients`).
    """
    rows = trace.attention(layer)[:, trace.answer_rows, keys]
    products = trace.value_products(layer, trace.direct_gradients(layer), keys)
    return (rows * products).sum(-1), written(trace, layer)


def written(trace: Trace, layer: int) -> Tensor:
    """Σ φ over all keys, (H, A): what each head writes into the logits, ⟨u_t, W_O z_t⟩."""
    return (trace.outputs(layer)[:, trace.answer_rows].float() * trace.direct_gradients(layer).float()).sum(-1)


def contrast(trace: Trace, prompt: Prompt, span: str, amounts: Amounts) -> Tensor | None:
    """Mean over the answer's rows of what a head gives to a span, less what it gives to as many keys elsewhere.

    Keys are those visible to the row in the head's layer. A row that sees none of the span counts 0.

    Returns
    -------
    Scores (L, H); None where a row sees fewer keys outside the span than in it.
    """
    keys, scores = prompt.span(span), []
    for layer in trace.layers:
        visible = trace.visible(layer)[trace.answer_rows]
        inside = visible[:, keys].sum(-1)
        outside = visible.sum(-1) - inside
        if bool((outside < inside).any()):
            return None
        to_span, to_all = amounts(trace, layer, keys)
        scores.append((to_span - inside / outside * (to_all - to_span)).mean(-1))
    return torch.stack(scores)

"""The one way into a model's attention: an attention function that transformers calls in place of its own.

Every architecture that goes through transformers' ``AttentionInterface`` hands this function its queries and keys after
rotary embedding (and after query-key norms), and takes the heads' outputs back before the output projection. Reading
attention rows and cutting heads both happen here, so neither knows any architecture.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from retrieval_heads.errors import StudyError

_NAME = "retrieval_heads"


@dataclass(frozen=True)
class AttentionCall:
    """What one layer's attention was called with.

    query: (B, H, Q, D) for the last Q tokens; key: (B, H_kv, K, D) for all tokens so far, both after rotary embedding;
    mask: (B or 1, 1, Q, K), boolean or additive, or None for plain causal attention.
    """

    layer: int
    query: Tensor
    key: Tensor
    mask: Tensor | None
    scaling: float

    def rows(self, last: int | None = None) -> Tensor:
        """Attention of the last queries over all keys: softmax(q·k) in float32, shape (B, H, last or Q, K)."""
        query = self.query if last is None else self.query[:, :, -last:]
        batch, heads, queries, dim = query.shape
        key_heads, keys = self.key.shape[1], self.key.shape[2]
        # The query heads of one group share a key head: fold them into the rows, and never copy a key.
        grouped = (query.float() * self.scaling).reshape(batch, key_heads, heads // key_heads * queries, dim)
        logits = (grouped @ self.key.float().transpose(-1, -2)).view(batch, heads, queries, keys)
        if self.mask is None:
            seen = torch.arange(keys, device=query.device) <= torch.arange(
                keys - queries, keys, device=query.device
            ).unsqueeze(-1)
            logits.masked_fill_(~seen, float("-inf"))
        elif self.mask.dtype == torch.bool:
            logits.masked_fill_(~self.mask[:, :, -queries:], float("-inf"))
        else:
            logits += self.mask[:, :, -queries:].float()
        return logits.softmax(-1)


@dataclass(frozen=True)
class _Hook:
    observe: Callable[[AttentionCall], None] | None
    keep: Callable[[int], Tensor] | None


_active: ContextVar[_Hook | None] = ContextVar("active attention hook", default=None)


@contextmanager
def hooked(
    model: PreTrainedModel,
    *,
    observe: Callable[[AttentionCall], None] | None = None,
    keep: Callable[[int], Tensor] | None = None,
) -> Iterator[None]:
    """Read or change every attention call of a model while the context is open.

    Parameters
    ----------
    observe : called with each layer's :class:`AttentionCall`, first layer first.
    keep : gives for a layer the factors, shape (B or 1, H), by which its heads' outputs are multiplied before the
        output projection: 1 leaves a head alone, 0 ablates it.

    Raises
    ------
    StudyError
        when the architecture does not go through transformers' attention interface.
    """
    before = model.config._attn_implementation
    require_hookable(model)
    model.set_attn_implementation(_NAME)
    token = _active.set(_Hook(observe, keep))
    try:
        yield
    finally:
        _active.reset(token)
        model.set_attn_implementation(before)


def require_hookable(model: PreTrainedModel) -> None:
    """Refuse a model whose attention cannot be read exactly, by the name of its architecture."""
    name = type(model).__name__
    if not model._can_set_attn_implementation():
        raise StudyError(
            f"{name}: this architecture does not use transformers' attention interface; choose another model."
        )
    config = model.config.get_text_config()
    if getattr(config, "attn_logit_softcapping", None) is not None:
        raise StudyError(f"{name}: attention with soft-capped logits is not supported; choose another model.")


def _attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    if _continues(query, key, attention_mask):
        output = _grouped(query, key, value, attention_mask, scaling)
    else:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    hook = _active.get()
    if hook is not None and hook.observe is not None:
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        hook.observe(AttentionCall(module.layer_idx, query, key, attention_mask, scale))
    if hook is not None and hook.keep is not None:
        output = output * hook.keep(module.layer_idx).to(output.dtype)[:, None, :, None]
    return output, None


def _continues(query: Tensor, key: Tensor, mask: Tensor | None) -> bool:
    """Whether a few tokens look back at many: what comes after a prefix, with a mask unless it is a single token."""
    return query.shape[2] < key.shape[2] and (mask is not None or query.shape[2] == 1)


def _grouped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None) -> Tensor:
    """Outputs (B, Q, H, D) with the query heads of a group folded into the rows of the key head that they share.

    transformers copies keys and values for every query head instead where there is a mask. With few queries and many
    keys that copy costs several times more than the attention.
    """
    batch, heads, queries, dim = query.shape
    key_heads = key.shape[1]
    group = heads // key_heads
    folded = query.reshape(batch, key_heads, group * queries, dim)
    if mask is not None:
        mask = mask[:, :, None].expand(-1, -1, group, -1, -1).reshape(mask.shape[0], 1, group * queries, mask.shape[-1])
    output = scaled_dot_product_attention(folded, key, value, attn_mask=mask, scale=scaling)
    return output.view(batch, heads, queries, value.shape[-1]).transpose(1, 2).contiguous()


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)

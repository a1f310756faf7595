"""The one way into a model's attention: an attention function that transformers calls in place of its own.

Every architecture that goes through transformers' ``AttentionInterface`` hands this function its queries and keys after
rotary embedding (and after query-key norms), and takes the heads' outputs back before the output projection. Reading
attention rows and ablating heads both happen here, so neither knows any architecture.
"""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

from retrieval_heads.errors import StudyError

_NAME = "retrieval_heads"

_MAX_WEIGHTS = 2**24
"""The most attention weights that are held at a time where outputs are computed from rows: 64 MB in float32."""

_FAST_WEIGHTS = 2**20
"""The same where rows of a batch can be taken one after the other: about what a processor's cache holds."""

_FUSED = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""Gives outputs (B, H, Q, D) and the logarithm of each softmax's sum (B, H, Q), which no public function does."""

_QUERIES_IN_ORDER = 128
"""How many queries run at a time where a context is run on: the fewer, the fewer keys are computed that none sees."""

_IGNORED_KWARGS = {
    *("dropout", "is_causal", "sliding_window", "position_ids", "cache_position", "position_embeddings"),
    *("use_cache", "output_attentions", "output_hidden_states", "output_router_logits", "num_items_in_batch"),
}
"""Arguments of attention that change nothing here: what they say is in its mask."""

_HIDDEN = torch.finfo(torch.float32).min
"""Logit of a key that a query cannot see. It is finite: padding may see no key, and gets a uniform row, not NaN."""

Shared = tuple[Tensor, Tensor]
"""Keys and values, each (R, H_kv, C, D), of R contexts. Row b of a batch of B continues context b // (B / R)."""


class Region(IntEnum):
    """The part of a prompt that a token is in; what is generated is part of the answer."""

    OPENING = 0
    """BOS, or the chat template's opening: with it every context begins."""
    CONTEXT = 1
    """The rest of the context, haystack and needle."""
    SUFFIX = 2
    ANSWER = 3


Replacement = Callable[["AttentionCall"], Tensor]
"""Gives the outputs that ablated heads have in a call, (B or 1, Q or 1, H, D)."""


@dataclass(frozen=True)
class AttentionCall:
    """What one layer's attention was called with.

    query: (B, H, Q, D) for the last Q tokens; key, value: (B, H_kv, T, D) for the tokens so far, all after rotary
    embedding; shared: C more tokens that come before them, held once for several rows, or None; mask: (B or 1, 1, Q, K)
    with K = C + T, boolean or additive, or None for plain causal attention, and where a context is shared perhaps of
    the last keys alone, all others being visible; softcap: what logits are soft-capped at, or None; sinks: (H,), a
    logit that each head's softmax has beside those of the keys, or None; regions: (B or 1, Q), the :class:`Region` of
    each query's token, or None where the model is not run by a Runner; twin: (B or 1, Q, H, D), the heads' outputs z in
    an unablated run that has read the twin's context and then the same tokens, or None where there is no twin.
    """

    layer: int
    query: Tensor
    key: Tensor
    value: Tensor
    mask: Tensor | None
    scaling: float
    shared: Shared | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    regions: Tensor | None = None
    twin: Tensor | None = None

    def rows(self, last: int | None = None) -> Tensor:
        """Attention of the last queries over all keys: softmax(q·k) in float32, shape (B, H, last or Q, K).

        With sinks a row sums to less than 1: the rest goes to the head's sink.
        """
        if self.shared is not None:
            rows = self._over_shared.transpose(1, 2).flatten(0, 1)
            return rows if last is None else rows[:, :, -last:]
        query = self.query if last is None else self.query[:, :, -last:]
        batch, heads, queries, dim = query.shape
        key_heads, keys = self.key.shape[1], self.key.shape[2]
        # The query heads of one group share a key head: fold them into the rows, and never copy a key.
        grouped = (query.float() * self.scaling).reshape(batch, key_heads, heads // key_heads * queries, dim)
        logits = self._capped(grouped @ self.key.float().transpose(-1, -2)).view(batch, heads, queries, keys)
        if self.mask is None:
            seen = torch.arange(keys, device=query.device) <= torch.arange(
                keys - queries, keys, device=query.device
            ).unsqueeze(-1)
            logits.masked_fill_(~seen, _HIDDEN)
        elif self.mask.dtype == torch.bool:
            logits.masked_fill_(~self.mask[:, :, -queries:], _HIDDEN)
        else:
            logits += self.mask[:, :, -queries:].float()
        return self._softmax(logits)

    def batch_row(self, number: int) -> Tensor:
        """The attention rows (H, Q, K) of one row of a batch that shares its contexts, without a copy."""
        rows_per_context = len(self.query) // len(self._over_shared)
        return self._over_shared[number // rows_per_context, :, number % rows_per_context]

    def detached(self) -> "AttentionCall":
        """The same off any tape, with the rows that are known already."""
        call = replace(self, query=self.query.detach(), key=self.key.detach(), value=self.value.detach())
        if self.shared is not None:
            vars(call)["_over_shared"] = self._over_shared.detach()
        return call

    @cached_property
    def _over_shared(self) -> Tensor:
        """The rows by context, (R, H, B / R, Q, K): computed once, for the outputs and for whatever observes them.

        A context's queries, of all its rows and all heads of a group, meet its keys in one product. The idea is that of
        Juravsky et al. 2024, "Hydragen: High-Throughput LLM Inference with Shared Prefixes" (arXiv 2402.05099, section
        3). They take a softmax over each part and join the outputs; here, where rows are wanted, it is one over both.
        """
        assert (
            self.shared is not None and self.mask is not None
        )  # rows that share a context have positions, and so a mask
        logits = self._against(self.query.float() * self.scaling, self.shared[0], self.key)
        contexts, _, rows_per_context, queries, _ = logits.shape
        batch = len(self.query)
        logits = self._capped(logits)
        mask = self.mask.expand(batch, -1, -1, -1).view(contexts, rows_per_context, 1, queries, -1)
        hidden = ~mask.transpose(1, 2)
        logits[..., -hidden.shape[-1] :].masked_fill_(hidden, _HIDDEN)
        return self._softmax(logits)

    @staticmethod
    def _against(vectors: Tensor, shared: Tensor, own: Tensor) -> Tensor:
        """⟨x, k⟩ of vectors x (B, H, Q, D) with all keys that they may see, (R, H, B / R, Q, K) in float32.

        Parameters
        ----------
        shared, own : the keys, or the values, of the contexts (R, H_kv, C, D), and of the rows (B, H_kv, T, D).
        """
        contexts, key_heads, before, dim = shared.shape
        batch, heads, queries, _ = vectors.shape
        rows_per_context, group, after = batch // contexts, heads // key_heads, own.shape[2]
        parted = vectors.float().view(contexts, rows_per_context, key_heads, group, queries, dim)
        folded = parted.permute(0, 2, 3, 1, 4, 5).reshape(contexts, key_heads, group * rows_per_context * queries, dim)
        keys = shared.float().transpose(-1, -2)
        behind = parted.reshape(batch, key_heads, group * queries, dim) @ own.float().transpose(-1, -2)
        behind = behind.view(contexts, rows_per_context, key_heads, group, queries, after).permute(0, 2, 3, 1, 4, 5)
        if folded.requires_grad:  # then nothing may be written in place
            products = torch.cat([(folded @ keys).view(*behind.shape[:-1], before), behind], -1)
        else:
            products = folded.new_empty(contexts, key_heads, group, rows_per_context, queries, before + after)
            # These are the largest numbers of a pass, so the product is written in place instead of being copied.
            torch.bmm(
                folded.flatten(0, 1),
                keys.flatten(0, 1),
                out=products.view(contexts * key_heads, -1, before + after)[..., :before],
            )
            products[..., before:] = behind
        return products.flatten(1, 2)

    @staticmethod
    def _weighted(weights: Tensor, shared: Tensor, own: Tensor) -> Tensor:
        """Σ w v over all keys, (B, Q, H, D), of weights (R, H, B / R, Q, K) and values as in :meth:`_against`."""
        contexts, key_heads, before, dim = shared.shape
        _, heads, rows_per_context, queries, _ = weights.shape
        batch, group = contexts * rows_per_context, heads // key_heads
        weights = weights.reshape(contexts, key_heads, group * rows_per_context * queries, -1)
        output = (weights[..., :before] @ shared).view(contexts, key_heads, group, rows_per_context, queries, dim)
        output = output.permute(0, 3, 4, 1, 2, 5).reshape(batch, queries, heads, dim)
        after = weights[..., before:].view(contexts, key_heads, group, rows_per_context, queries, -1)
        after = after.permute(0, 3, 1, 2, 4, 5).reshape(batch, key_heads, group * queries, -1) @ own
        return output + after.view(batch, heads, queries, dim).transpose(1, 2)

    def _capped(self, logits: Tensor) -> Tensor:
        """Soft-capped logits where the layer has a cap: Gemma Team 2024, "Gemma 2" (arXiv 2408.00118, section 2)."""
        if self.softcap is None:
            return logits
        if logits.requires_grad:  # then nothing may be overwritten
            return (logits / self.softcap).tanh() * self.softcap
        return logits.div_(self.softcap).tanh_().mul_(self.softcap)

    def _softmax(self, logits: Tensor) -> Tensor:
        """Weights of the keys, from logits (N, H, …, K), whose memory they may take."""
        if self.sinks is None:
            return torch.softmax(logits, -1, out=None if logits.requires_grad else logits)
        sinks = self.sinks.to(logits).view(1, -1, *[1] * (logits.dim() - 2)).expand(*logits.shape[:-1], 1)
        return torch.cat([logits, sinks], -1).softmax(-1)[..., :-1]

    def output(self) -> Tensor:
        """The heads' outputs (B, Q, H, D) from the rows: some queries at a time, so that no full matrix ever exists."""
        batch, heads, queries, _ = self.query.shape
        key_heads, keys, dim = self.value.shape[1:]
        size, parts = max(1, _MAX_WEIGHTS // (batch * heads * keys)), []
        for start in range(0, queries, size):
            stop = min(start + size, queries)
            # Without a mask, no query sees beyond itself.
            seen = keys if self.mask is not None else keys - queries + stop
            part = replace(
                self,
                query=self.query[:, :, start:stop],
                key=self.key[:, :, :seen],
                mask=None if self.mask is None else self.mask[:, :, start:stop],
            )
            weights = part.rows().to(self.value.dtype).reshape(batch, key_heads, -1, seen)
            output = weights @ self.value[:, :, :seen]
            parts.append(output.view(batch, heads, stop - start, dim).transpose(1, 2))
        return torch.cat(parts, 1)

    def output_in_order(self) -> Tensor:
        """The heads' outputs (B, Q, H, D) where no query sees a key behind its own: parts of Q queries in turn, each
        over the keys up to its last one, so that it costs what causal attention does, and no full matrix exists."""
        if self._joins_softmaxes():
            return self._joined_output()
        queries, keys, parts = self.query.shape[2], self.key.shape[2], []
        for start in range(0, queries, _QUERIES_IN_ORDER):
            stop = min(start + _QUERIES_IN_ORDER, queries)
            before, seen = keys - queries + start, keys - queries + stop
            if self.mask is not None:
                mask = self.mask[:, :, start:stop, :seen]
            else:
                at = torch.arange(before, seen, device=self.query.device)
                mask = torch.arange(seen, device=self.query.device) <= at[:, None]
                mask = mask[None, None]
            part = replace(
                self,
                query=self.query[:, :, start:stop],
                key=self.key[:, :, :seen],
                value=self.value[:, :, :seen],
                mask=mask,
            )
            if self.softcap is None and self.sinks is None:
                parts.append(_grouped(part.query, part.key, part.value, mask, self.scaling))
            else:
                parts.append(part.output())  # fused attention knows neither
        return torch.cat(parts, 1)

    def _joins_softmaxes(self) -> bool:
        """Whether a fused kernel of this device also tells the sum of each softmax, by which two can be joined."""
        plain = self.mask is None and self.softcap is None and self.sinks is None
        return plain and self.query.device.type == "cpu" and self.query.shape[-1] == self.value.shape[-1]

    def _joined_output(self) -> Tensor:
        """The heads' outputs (B, Q, H, D) by a softmax over the keys before all queries and one over their own.

        Neither needs a mask in memory, and the first lets all query heads of a group meet their keys in one product.
        Joined by the share of the weights that lies in either, as Dao et al. 2022 join blocks ("FlashAttention",
        arXiv 2205.14135, section 3.1).
        """
        batch, heads, queries, dim = self.query.shape
        key_heads, before = self.key.shape[1], self.key.shape[2] - queries
        folded = self.query.reshape(batch, key_heads, -1, dim)
        earlier, sum_earlier = _FUSED(folded, self.key[:, :, :before], self.value[:, :, :before], scale=self.scaling)
        own_key, own_value = (
            part[:, :, before:].repeat_interleave(heads // key_heads, 1) for part in (self.key, self.value)
        )
        own, sum_own = _FUSED(self.query, own_key, own_value, is_causal=True, scale=self.scaling)
        share = torch.sigmoid(sum_own - sum_earlier.reshape(sum_own.shape))[..., None]
        joined = torch.lerp(earlier.reshape(own.shape).float(), own.float(), share)
        return joined.to(self.value.dtype).transpose(1, 2).contiguous()

    def shared_output(self) -> Tensor:
        """The heads' outputs (B, Q, H, D) where a context is shared, from rows that are known afterwards."""
        assert self.shared is not None  # it is called for no other
        # As eager attention does: softmax in float32, the weighted sum in the model's own precision.
        return self._weighted(self._over_shared.to(self.value.dtype), self.shared[1], self.value)

    def shared_output_in_parts(self) -> Tensor:
        """The same with no rows held: those of some rows of the batch at a time, as many as stay in a fast memory."""
        assert self.shared is not None and self.mask is not None  # it is called for no other
        batch, heads, queries, _ = self.query.shape
        keys = self.shared[0].shape[2] + self.key.shape[2]
        size = max(1, _FAST_WEIGHTS // (heads * queries * keys))
        if len(self.shared[0]) > 1 or size >= batch:
            return self.shared_output()
        mask = self.mask.expand(batch, -1, -1, -1)
        parts = [slice(start, start + size) for start in range(0, batch, size)]
        return torch.cat(
            [
                replace(
                    self, query=self.query[part], key=self.key[part], value=self.value[part], mask=mask[part]
                ).shared_output()
                for part in parts
            ]
        )

    def mean_value(self) -> Tensor:
        """The mean over all visible keys of each head's values, (B, Q, H, D): what uniform attention gives."""
        queries, heads = self.query.shape[2], self.query.shape[1]
        if self.mask is None:
            count = torch.arange(1, self.value.shape[2] + 1, device=self.value.device)
            mean = (self.value.float().cumsum(2) / count[:, None])[:, :, -queries:]
        else:
            visible = self.mask if self.mask.dtype == torch.bool else self.mask == 0
            if self.shared is not None:
                visible = pad(visible, (self.shared[1].shape[2] + self.value.shape[2] - visible.shape[-1], 0), value=1)
            # Padding sees no key.
            weights = visible.float() / visible.sum(-1, keepdim=True).clamp(min=1)
            before = weights.shape[-1] - self.value.shape[2]
            mean = weights[..., before:] @ self.value.float()
            if self.shared is not None:
                _, shared_value = self.shared
                if len(shared_value) > 1:  # one mask may hold for all rows, also of several contexts
                    weights = weights.expand(len(self.query), -1, -1, -1)
                rows_per_context = len(weights) // len(shared_value)
                weights = weights[..., :before].reshape(len(shared_value), 1, rows_per_context * queries, before)
                shared = (weights @ shared_value.float()).unflatten(2, (rows_per_context, queries))
                mean = mean + shared.transpose(1, 2).flatten(0, 1)
        return mean.repeat_interleave(heads // mean.shape[1], dim=1).transpose(1, 2).to(self.value.dtype)


class _SharedAttention(torch.autograd.Function):
    """:meth:`AttentionCall.shared_output` on a tape that holds the rows alone, once, and leads to no context.

    Autograd would hold several copies of the rows, and pass gradients to the whole of them for each part.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, call: AttentionCall) -> Tensor:
        """The outputs (B, Q, H, D); query, key and value are the call's."""
        ctx.call = call
        return call.shared_output()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of query (B, H, Q, D), and of the rows' own key and value (B, H_kv, T, D)."""
        call, (of_output,) = ctx.call, gradients
        rows, of_output = call._over_shared.detach(), of_output.transpose(1, 2).float()
        # Through the softmax: each weight times how far its gradient lies above the mean.
        of_logits = call._against(of_output, call.shared[1], call.value).mul_(rows)
        of_logits.addcmul_(rows, of_logits.sum(-1, keepdim=True), value=-1).mul_(call.scaling)
        of_query = call._weighted(of_logits, call.shared[0].float(), call.key.float()).transpose(1, 2)
        batch, key_heads, own, _ = call.key.shape

        def of_own(weights: Tensor, vectors: Tensor) -> Tensor:
            """Σ w x over a group's heads and queries, (B, H_kv, T, D), of vectors x (B, H, Q, D)."""
            after = weights[..., -own:].transpose(1, 2).reshape(batch, key_heads, -1, own)
            return after.transpose(-1, -2) @ vectors.reshape(batch, key_heads, -1, vectors.shape[-1])

        of_key, of_value = of_own(of_logits, call.query.float()), of_own(rows, of_output)
        return of_query.to(call.query), of_key.to(call.key), of_value.to(call.value), None


class KeysKnown(Exception):  # noqa: N818  # it is no error
    """Ends a pass of which nothing is needed but keys and values, when those of its last layer are known."""


@dataclass(eq=False)
class Hook:
    """What happens in every attention call while a model is :func:`hooked`; may be changed from one call to the next.

    observe : called with each layer's :class:`AttentionCall` and with z, the heads' outputs (B, Q, H, D) as they go
        into the output projection; first layer first.
    compare : called with the same call, and with the rows (B, H, Q, T) that the architecture's own eager attention
        gives for these queries and keys, in float32. Needs ``positions``, which make all masks explicit.
    head_mask : gives for a layer the factors, shape (B or 1, Q or 1, H), by which its heads' outputs are multiplied
        before the output projection: 1 leaves a head alone, 0 ablates it.
    replacement : gives the outputs of ablated heads; without it they are zero.
    twin : gives for a layer the outputs z (B or 1, Q, H, D) of the twin's run, for the replacement.
    outputs : gives for a layer the outputs z (B, Q, H, D) that its heads have, in place of any attention.
    shared : gives a layer's context that rows of the batch share and that its cache leaves out.
    positions : (B, Q), of each query in its own prompt, where keys lie at their own positions; without it, tokens are
        where transformers takes them to be.
    regions : (B or 1, Q), the :class:`Region` of each query's token.
    branches : with positions of a single row, (Q,), of each query's token: 0 in what all read, and a number of its own
        for each of several continuations behind it, which do not see each other and may have the same positions.
    start : with positions, how many tokens the cache says come before the first query of every row.
    shared_tokens : how many first keys come before all queries and are shared in every layer: plain causal masks leave
        them out.
    ends_in : the layer in whose attention the pass ends, once its keys and values are known, by :class:`KeysKnown`.
    run_on : whether the pass goes on with a context whose beginning its cache has: no query sees a key behind its own,
        and keys lie in order. Then some queries are run at a time, each part over the keys up to its last query.
    """

    observe: Callable[[AttentionCall, Tensor], None] | None = None
    compare: Callable[[AttentionCall, Tensor], None] | None = None
    head_mask: Callable[[int], Tensor] | None = None
    replacement: Replacement | None = None
    twin: Callable[[int], Tensor] | None = None
    outputs: Callable[[int], Tensor] | None = None
    shared: Callable[[int], Shared | None] | None = None
    positions: Tensor | None = None
    regions: Tensor | None = None
    branches: Tensor | None = None
    start: int = 0
    shared_tokens: int = 0
    ends_in: int | None = None
    run_on: bool = False


_watch: ContextVar[Callable[[AttentionCall, Tensor], None] | None] = ContextVar("attention is watched", default=None)


@contextmanager
def watched(look: Callable[[AttentionCall, Tensor], None]) -> Iterator[None]:
    """Show every attention call of hooked models, and its outputs before heads are ablated, while the context is open.

    Beside what else happens there: to find what is wrong in a pass.
    """
    token = _watch.set(look)
    try:
        yield
    finally:
        _watch.reset(token)


_active: ContextVar[Hook | None] = ContextVar("active attention hook", default=None)


def _hook() -> Hook:
    """The hook that holds here. Without one, a model that was hooked would run unchanged, which is refused.

    That happens in another thread, for a hook holds in the thread that opened it; and in a copy of a hooked model,
    which goes on calling this module after the context has ended.
    """
    if (hook := _active.get()) is None:
        raise StudyError(
            "ablated: the model is called in another thread, or a copy of it after the context has ended, where no "
            "head is ablated; call it in the thread that opened the context, or run the other by "
            "contextvars.copy_context().run."
        )
    return hook


def is_hooked_by_another(hook: Hook) -> bool:
    """Whether another hook holds here, as in a context inside this hook's."""
    return _active.get() not in (None, hook)


@contextmanager
def hooked(model: PreTrainedModel, **fields) -> Iterator[Hook]:
    """Read or change every attention call of a model while the context is open.

    Parameters
    ----------
    fields : of :class:`Hook`.

    Raises
    ------
    StudyError
        when the architecture does not go through transformers' attention interface.
    """
    before = model.config._attn_implementation
    require_hookable(model)
    model.set_attn_implementation(_NAME)
    hook = Hook(**fields)
    token = _active.set(hook)
    try:
        yield hook
    finally:
        _active.reset(token)
        model.set_attn_implementation(before)


def require_hookable(model: PreTrainedModel) -> None:
    """Refuse an architecture whose attention does not pass here, by its name; ``self_check.py`` checks the rest."""
    if not model._can_set_attn_implementation():
        raise StudyError(
            f"{type(model).__name__}: this architecture does not use transformers' attention interface; "
            "choose another model."
        )


def _attention(
    module: Any,  # an attention module, each with its own layer_idx
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs,
) -> tuple[Tensor, None]:
    if unknown := [name for name, value in kwargs.items() if value is not None and name not in _IGNORED_KWARGS]:
        raise StudyError(
            f"{type(module).__name__}: this attention also depends on {', '.join(unknown)}, which is not supported; "
            "choose another model."
        )
    hook, layer = _hook(), module.layer_idx
    if layer == hook.ends_in:
        raise KeysKnown
    if hook.outputs is not None:
        return hook.outputs(layer).to(query.dtype), None
    if hook.positions is not None:
        query = _scaled_by_position(module, query, hook.positions, hook.start)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    shared = None if hook.shared is None else hook.shared(layer)
    twin = None if hook.twin is None else hook.twin(layer)
    call = AttentionCall(layer, query, key, value, attention_mask, scale, shared, softcap, s_aux, hook.regions, twin)
    if shared is not None and query.requires_grad and softcap is None:
        output = cast(Tensor, _SharedAttention.apply(query, key, value, call))
    elif shared is not None:
        output = call.shared_output_in_parts() if hook.observe is None else call.shared_output()
    elif hook.run_on:
        output = call.output_in_order()
    elif softcap is not None or s_aux is not None:
        output = call.output()  # fused attention knows neither
    elif _is_short_suffix(query, key, attention_mask):
        output = _grouped(query, key, value, attention_mask, scaling)
    else:
        output, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
    if (look := _watch.get()) is not None:
        look(call, output)
    if hook.compare is not None:
        hook.compare(call, _eager_rows(module, call, scaling=scaling, softcap=softcap, s_aux=s_aux))
    if hook.head_mask is not None:
        mask = hook.head_mask(layer).to(output)[..., None]
        output = output * mask if hook.replacement is None else output * mask + hook.replacement(call) * (1 - mask)
    if hook.observe is not None:
        hook.observe(call, output)
    return output, None


def _scaled_by_position(module: Any, query: Tensor, positions: Tensor, start: int) -> Tensor:
    """Queries (B, H, Q, D) of Llama 4, scaled by the position that each has in its own prompt.

    Layers without rotary embedding scale them (Nakanishi 2025, "Scalable-Softmax", arXiv 2501.19399), and take the
    position from the cache's length, as if it were that of all rows: not of one that is padded, or was taken back.
    Others (Ministral 3) scale by the positions that they are given.
    """
    if not getattr(module, "attn_temperature_tuning", False) or module.use_rope:
        return query

    def scale(at: Tensor) -> Tensor:
        return torch.log1p(torch.floor((at.float() + 1) / module.floor_scale)) * module.attn_scale + 1

    assumed = start + torch.arange(query.shape[2], device=query.device)
    return (query * (scale(positions) / scale(assumed))[:, None, :, None]).to(query.dtype)


def _eager_rows(module: torch.nn.Module, call: AttentionCall, **kwargs) -> Tensor:
    """What the architecture's own eager attention, which lies beside the module by convention, makes of a call."""
    own = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    if own is None:
        raise StudyError(
            f"{type(module).__name__}: it has no eager attention to be compared with; choose another model."
        )
    assert call.mask is not None  # positions make all masks explicit
    mask = torch.zeros(call.mask.shape, device=call.mask.device).masked_fill_(~call.mask, -math.inf)
    _, rows = own(module, call.query.float(), call.key.float(), call.value.float(), mask, **kwargs)
    return rows


def _is_short_suffix(query: Tensor, key: Tensor, mask: Tensor | None) -> bool:
    """Whether a few tokens look back at many, as behind a prefix. Then there is a mask, unless it is a single token."""
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


def _mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    *,
    mask_function: Callable[..., Tensor],
    device: torch.device | str = "cpu",
    **kwargs,
) -> Tensor | None:
    """The mask of a layer's kind, (B, 1, Q, keys): by true positions where the hook gives them.

    ``mask_function`` is transformers' own for that kind (causal, sliding window, chunks), asked for positions instead
    of columns: so rows of different length need no padding that a window would count.
    """
    hook = _hook()
    if hook.run_on and mask_function is causal_mask_function:
        return None  # what a part of the queries sees is known where it is run
    if hook.positions is None:
        return sdpa_mask(batch_size, q_length, kv_length, mask_function=mask_function, device=device, **kwargs)
    rows = torch.arange(batch_size, device=device)[:, None, None, None]
    keys = torch.arange(hook.shared_tokens if mask_function is causal_mask_function else 0, kv_length, device=device)
    if hook.branches is not None:
        keys[-q_length:] = hook.positions[0]
    visible = mask_function(rows, torch.zeros_like(rows), hook.positions[:, None, :, None], keys)
    if hook.branches is not None:
        visible[..., -q_length:] &= (hook.branches[:, None] == hook.branches) | (hook.branches == 0)
    return visible.expand(batch_size, 1, q_length, len(keys))


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, _mask)

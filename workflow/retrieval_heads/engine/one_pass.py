"""Questions and answers, read behind their context in a single pass of which no keys are kept."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from retrieval_heads.engine.architecture import require_same_rotation
from retrieval_heads.engine.attention import Region, hooked
from retrieval_heads.engine.caches import OnePassCache, Prefix
from retrieval_heads.engine.forks import LayerHooks, hooked_layers


def read_once(
    model: PreTrainedModel,
    prefix: Prefix,
    prompts: Sequence[tuple[Sequence[int], Sequence[int]]],
    last: int,
    layer_hooks: LayerHooks | None = None,
    **fields: Any,
) -> Tensor:
    """The last logits, (rows, last, V) in float32, of suffixes and answers behind one context.

    Parameters
    ----------
    prefix : of that context alone.
    prompts : suffix and answer of each row. The shorter rows are padded at their end, where nothing that counts looks.
    layer_hooks : which may let one row become several.
    fields : of :class:`retrieval_heads.engine.attention.Hook`: what else happens in attention.

    Raises
    ------
    StudyError
        when the model's rotary embedding changes between the context's length and the longest prompt's.
    """
    longest = max(len(suffix) + len(answer) for suffix, answer in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    regions = torch.full_like(ids, Region.ANSWER)
    for row, (suffix, answer) in enumerate(prompts):
        ids[row, : len(suffix) + len(answer)] = torch.tensor([*suffix, *answer])
        regions[row, : len(suffix)] = Region.SUFFIX
    ids, regions = ids.to(model.device), regions.to(model.device)
    require_same_rotation(model, prefix.length, prefix.length + longest)
    positions = (prefix.length + torch.arange(longest, device=model.device)).expand_as(ids)
    fields |= {"positions": positions, "regions": regions, "start": prefix.length}
    fields |= {"shared": prefix.shared, "shared_tokens": prefix.tokens_shared_in_all_layers}
    around = nullcontext() if layer_hooks is None else hooked_layers(model, layer_hooks)
    with hooked(model, **fields), around:
        return model(
            input_ids=ids,
            position_ids=positions,
            past_key_values=Cache(layers=[OnePassCache(prefix.length) for _ in prefix.keys]),
            logits_to_keep=last,
            use_cache=True,
        ).logits.float()

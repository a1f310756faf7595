"""One prompt's question and answer, read behind its context in a single pass of which no keys are kept."""

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
    suffix: Sequence[int],
    answer: Sequence[int],
    last: int,
    layer_hooks: LayerHooks | None = None,
    **fields: Any,
) -> Tensor:
    """The last logits, (rows, last, V) in float32, of a suffix and an answer behind a context.

    Parameters
    ----------
    prefix : of that context alone.
    layer_hooks : which may let one row become several.
    fields : of :class:`retrieval_heads.engine.attention.Hook`: what else happens in attention.

    Raises
    ------
    StudyError
        when the model's rotary embedding changes between the context's length and the prompt's.
    """
    ids = torch.tensor([[*suffix, *answer]], device=model.device)
    require_same_rotation(model, prefix.length, prefix.length + ids.shape[1])
    positions = prefix.length + torch.arange(ids.shape[1], device=model.device)[None]
    regions = torch.full_like(ids, Region.SUFFIX)
    regions[:, len(suffix) :] = Region.ANSWER
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

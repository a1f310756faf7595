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
    *answers: Sequence[int],
    last: int,
    layer_hooks: LayerHooks | None = None,
    **fields: Any,
) -> Tensor:
    """The last logits, (rows, last, V) in float32, of a suffix and an answer behind a context.

    Parameters
    ----------
    prefix : of that context alone.
    answers : each is read behind the suffix as if it were the only one; their logits come one after the other.
    last : of how many tokens, counted from the end, logits are kept; 0 for none, when there is nothing to return.
    layer_hooks : which may let one row become several.
    fields : of :class:`retrieval_heads.engine.attention.Hook`: what else happens in attention.

    Raises
    ------
    StudyError
        when the model's rotary embedding changes between the context's length and the prompt's.
    """
    ids = torch.tensor([[*suffix, *(token for answer in answers for token in answer)]], device=model.device)
    offsets, branches = list(range(len(suffix))), [0] * len(suffix)
    for number, answer in enumerate(answers, 1):
        offsets += range(len(suffix), len(suffix) + len(answer))
        branches += [number] * len(answer)
    require_same_rotation(model, prefix.length, prefix.length + max(offsets) + 1)
    positions = prefix.length + torch.tensor([offsets], device=model.device)
    regions = torch.full_like(ids, Region.SUFFIX)
    regions[:, len(suffix) :] = Region.ANSWER
    fields |= {"positions": positions, "regions": regions, "start": prefix.length}
    fields |= {"shared": prefix.shared, "shared_tokens": prefix.tokens_shared_in_all_layers}
    if len(answers) > 1:
        fields["branches"] = torch.tensor(branches, device=model.device)
    around = nullcontext() if layer_hooks is None else hooked_layers(model, layer_hooks)
    arguments = {
        "input_ids": ids,
        "position_ids": positions,
        "past_key_values": Cache(layers=[OnePassCache(prefix.length) for _ in prefix.keys]),
        "use_cache": True,
    }
    with hooked(model, **fields), around:
        if not last:
            model.get_decoder()(**arguments)
            return torch.empty(0, 0, 0)
        return model(logits_to_keep=last, **arguments).logits.float()

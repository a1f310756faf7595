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
    prompts: Sequence[Sequence[Sequence[int]]],
    last: int,
    layer_hooks: LayerHooks | None = None,
    **fields: Any,
) -> Tensor:
    """The last logits, (rows, last, V) in float32, of suffixes and answers behind one context.

    Parameters
    ----------
    prefix : of that context alone.
    prompts : suffix and answer of each row; of a single row perhaps several answers, each read behind the suffix as if
        it were the only one. Shorter rows are padded at their end, where nothing that counts looks.
    last : of how many tokens, counted from the end, logits are kept; 0 for none, when there is nothing to return.
    layer_hooks : which may let one row become several.
    fields : of :class:`retrieval_heads.engine.attention.Hook`: what else happens in attention.

    Raises
    ------
    StudyError
        when the model's rotary embedding changes between the context's length and the longest prompt's.
    """
    read = [[token for part in prompt for token in part] for prompt in prompts]
    longest = max(map(len, read))
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    regions = torch.full_like(ids, Region.ANSWER)
    for row, tokens in enumerate(read):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        regions[row, : len(prompts[row][0])] = Region.SUFFIX
    offsets = torch.arange(longest)
    suffix, *answers = prompts[0]
    if len(answers) > 1:
        assert len(prompts) == 1  # the branches are those of one row
        offsets = torch.cat([torch.arange(len(suffix)), *(len(suffix) + torch.arange(len(one)) for one in answers)])
        branches = [0] * len(suffix) + [number for number, one in enumerate(answers, 1) for _ in one]
        fields["branches"] = torch.tensor(branches, device=model.device)
    require_same_rotation(model, prefix.length, prefix.length + int(offsets.max()) + 1)
    ids, regions = ids.to(model.device), regions.to(model.device)
    positions = (prefix.length + offsets.to(model.device)).expand_as(ids)
    fields |= {"positions": positions, "regions": regions, "start": prefix.length}
    fields |= {"shared": prefix.shared, "shared_tokens": prefix.tokens_shared_in_all_layers}
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

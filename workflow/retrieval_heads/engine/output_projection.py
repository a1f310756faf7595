"""How long what a head writes is: the output projection of every head, as attention itself applies it.

No architecture is known here by its name. One-token rows are run in which a head's output z is a unit vector and all
others are nothing; what comes out of the layer's attention is then a column of the head's slice of the output
projection. Whether attention is linear in z at all is seen on a short prompt.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from retrieval_heads.engine.architecture import head_grid, random_ids
from retrieval_heads.engine.attention import hooked
from retrieval_heads.engine.forks import hidden_of, hooked_attention

_TRIED = 12
"""Tokens of the prompt on which it is tried that attention is linear in z."""
_MAX_DISTANCE = {torch.float32: 1e-4}
_MAX_DISTANCE_ROUNDED = 5e-2
"""Between what attention puts out and what its heads write, as a share of the largest; in float32 and in others."""


@torch.inference_mode()
def output_grams(model: PreTrainedModel) -> list[Tensor] | None:
    """See :meth:`retrieval_heads.engine.runner.Runner.output_grams`."""
    layers, heads = head_grid(model)
    ids = random_ids(model, _TRIED)[0][None].to(model.device)
    outputs: dict[int, Tensor] = {}
    written: dict[int, Tensor] = {}

    def run(ids: Tensor, put_out: Callable[[int, Tensor], None], **fields: Any) -> None:
        with hooked(model, **fields), hooked_attention(model, lambda layer, out: put_out(layer, hidden_of(out))):
            model.get_decoder()(input_ids=ids, use_cache=False)

    run(
        ids,
        lambda layer, out: written.__setitem__(layer, out[0].float()),
        observe=lambda call, z: outputs.__setitem__(call.layer, z[0].float()),
    )
    if len(outputs) != layers or len(written) != layers:
        return None  # attention lies where it is not looked for
    rest = {layer: out.clone() for layer, out in written.items()}
    grams = [z.new_zeros(heads, z.shape[-1], z.shape[-1]) for _, z in sorted(outputs.items())]
    size = max(z.shape[-1] for z in outputs.values())
    for head in range(heads):

        def unit_outputs(layer: int, head: int = head) -> Tensor:
            """z (D + 1, 1, H, D) of rows in which one number of the head is 1, and of one in which all are 0."""
            z = outputs[layer].new_zeros(size + 1, 1, heads, outputs[layer].shape[-1])
            own = torch.arange(z.shape[-1])
            z[own, 0, head, own] = 1
            return z

        def take(layer: int, out: Tensor, head: int = head) -> None:
            columns = out[: grams[layer].shape[-1], 0].float() - out[-1, 0].float()
            grams[layer][head] = columns @ columns.T
            rest[layer] -= outputs[layer][:, head] @ columns
            if head == 0:
                rest[layer] -= out[-1, 0].float()  # the bias, which is of no head

        run(ids[:, :1].expand(size + 1, 1), take, outputs=unit_outputs)
    limit = _MAX_DISTANCE.get(model.dtype, _MAX_DISTANCE_ROUNDED)
    linear = all(rest[layer].abs().max() <= limit * written[layer].abs().max() for layer in range(layers))
    return grams if linear else None

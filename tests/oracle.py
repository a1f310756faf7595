"""The slow way, one prompt at a time from full eager attention matrices: what the fast way is held against."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel


def eager_attention(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    """All attention of a prompt, (L, H, T, T)."""
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        out = model(torch.tensor([list(ids)]), output_attentions=True, use_cache=False)
    return torch.stack(out.attentions)[:, 0].float()


def generate(model: PreTrainedModel, ids: Sequence[int], max_new_tokens: int) -> list[int]:
    """Greedy decoding as transformers does it, without the end token."""
    with torch.no_grad():
        out = model.generate(
            torch.tensor([list(ids)]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            pad_token_id=0,
        )
    return [i for i in out[0, len(ids) :].tolist() if i != model.generation_config.eos_token_id]


def without_heads(model: PreTrainedModel, heads: Sequence[tuple[int, int]]) -> PreTrainedModel:
    """A copy whose output projections have zeros in these heads' columns."""
    model = copy.deepcopy(model)
    for layer, head in heads:
        attention = model.model.layers[layer].self_attn
        with torch.no_grad():
            attention.o_proj.weight[:, head * attention.head_dim : (head + 1) * attention.head_dim] = 0
    return model


def plain(
    model: PreTrainedModel, ids: Sequence[int], heads: Sequence[tuple[int, int]], start: int, mode: str
) -> Tensor:
    """Logits (T, V) of a full pass with heads ablated from a position on, each replaced where it enters o_proj.

    mode: ``zero``, or ``uniform`` for the mean of the values that the head could see from there.
    """
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    window = getattr(model.config, "sliding_window", None) or len(ids)
    handles = []
    for number, layer in enumerate(model.model.layers):
        attention = layer.self_attn
        size, values = attention.head_dim, {}

        def keep_values(_module, _args, output, values=values):
            values["now"] = output[0]

        def replace(_module, args, number=number, size=size, values=values, group=attention.num_key_value_groups):
            changed = args[0].clone()
            for cut_layer, head in heads:
                if cut_layer != number:
                    continue
                own = slice(head * size, (head + 1) * size)
                shared = slice(head // group * size, (head // group + 1) * size)
                for at in range(start, len(ids)):
                    seen = values["now"][max(0, at + 1 - window) : at + 1, shared]
                    changed[0, at, own] = 0 if mode == "zero" else seen.mean(0)
            return (changed,)

        handles += [attention.v_proj.register_forward_hook(keep_values)]
        handles += [attention.o_proj.register_forward_pre_hook(replace)]
    with torch.no_grad():
        return model(torch.tensor([list(ids)]), use_cache=False).logits[0].float()


def generate_plainly(
    model: PreTrainedModel,
    ids: Sequence[int],
    heads: Sequence[tuple[int, int]],
    start: int,
    mode: str,
    max_new_tokens: int,
) -> list[int]:
    """Greedy decoding by a full pass for each token, with heads ablated from a position of the prompt on."""
    tokens: list[int] = []
    for _ in range(max_new_tokens):
        tokens.append(int(plain(model, [*ids, *tokens], heads, start, mode)[-1].argmax()))
    return tokens


def answer_logprob(model: PreTrainedModel, ids: Sequence[int], answer: Sequence[int]) -> float:
    """Σ ln p of the answer's tokens after a prompt."""
    with torch.no_grad():
        table = model(torch.tensor([[*ids, *answer]])).logits[0].float().log_softmax(-1)
    return sum(table[len(ids) - 1 + at, token].item() for at, token in enumerate(answer))


def summed_attention(attention: Tensor, needle: range) -> Tensor:
    """(L, H) from the attention of the prompt."""
    return sum(attention[:, :, -1, j] for j in needle)


def wu24(model: PreTrainedModel, ids: Sequence[int], generated: Sequence[int], span: range) -> Tensor:
    """(L, H): a full eager pass for every generated token."""
    scores = 0
    for step, token in enumerate(generated):
        row = eager_attention(model, [*ids, *generated[:step]])[:, :, -1]
        strongest = row.argmax(-1)
        hit = torch.zeros_like(strongest, dtype=torch.float)
        for layer, head in torch.cartesian_prod(torch.arange(hit.shape[0]), torch.arange(hit.shape[1])).tolist():
            position = int(strongest[layer, head])
            hit[layer, head] = float(position in span and ids[position] == token)
        scores = scores + hit / len(span)
    return scores


def qrhead(attention: Tensor, null_attention: Tensor, suffix_start: int, needle: range) -> Tensor:
    """(L, H) from the attention of the prompt and of the null prompt, head by head."""
    layers, heads = attention.shape[:2]
    scores = torch.zeros(layers, heads)
    for layer in range(layers):
        for head in range(heads):
            gain = torch.stack(
                [
                    attention[layer, head, suffix_start:, j].mean()
                    - null_attention[layer, head, suffix_start:, j].mean()
                    for j in needle
                ]
            )
            kept = gain[gain > gain.mean() - 2 * gain.std()]
            scores[layer, head] = kept.sum()
    return scores

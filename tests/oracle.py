"""The slow way, one prompt at a time from full eager attention matrices: what the fast way is held against."""

import copy
import math
import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel
from transformers.pytorch_utils import Conv1D


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
    """A copy whose output projections have zeros where they read these heads."""
    model = copy.deepcopy(model)
    for layer, head in heads:
        weight = projection(model, layer).weight
        reads = weight.T if isinstance(projection(model, layer), Conv1D) else weight  # Conv1D multiplies from the left
        size = reads.shape[1] // model.config.num_attention_heads
        with torch.no_grad():
            reads[:, head * size : (head + 1) * size] = 0
    return model


def attention_module(model: PreTrainedModel, layer: int) -> nn.Module:
    """A layer's attention, whatever its architecture calls it."""
    body = getattr(model.base_model, "model", model.base_model)  # Llama 4 gives itself as its base
    block = (body.h if hasattr(body, "h") else body.layers)[layer]
    (found,) = (module for name, module in block.named_children() if name in ("self_attn", "attn", "attention"))
    return found


def projection(model: PreTrainedModel, layer: int) -> nn.Module:
    """The module that reads all heads' outputs of a layer."""
    attention = attention_module(model, layer)
    (found,) = (module for name, module in attention.named_children() if name in ("o_proj", "dense", "c_proj"))
    return found


def values_module(model: PreTrainedModel, layer: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The module that a layer's values come from, and how to take them, (T, H_kv, D), from its output for T tokens."""
    attention, heads = attention_module(model, layer), model.config.num_attention_heads
    key_heads = getattr(model.config, "num_key_value_heads", None) or heads
    if hasattr(attention, "v_proj"):
        return attention.v_proj, lambda out: out.unflatten(-1, (key_heads, -1))
    if hasattr(attention, "qkv_proj"):
        return attention.qkv_proj, lambda out: out.unflatten(-1, (heads + 2 * key_heads, -1))[:, -key_heads:]
    if hasattr(attention, "c_attn"):
        return attention.c_attn, lambda out: out.unflatten(-1, (3, heads, -1))[:, 2]
    if hasattr(attention, "query_key_value"):
        return attention.query_key_value, lambda out: out.unflatten(-1, (heads, 3, -1))[:, :, 2]
    size = model.config.v_head_dim
    return attention.kv_b_proj, lambda out: out.unflatten(-1, (heads, -1))[..., -size:]


def eager_outputs(model: PreTrainedModel, ids: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """Logits (T, V) of a prompt, run at once, and of each layer z (T, H, D), which autograd can go back to."""
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    heads, outputs = model.config.num_attention_heads, []

    def keep(_module: nn.Module, args: tuple) -> tuple:
        outputs.append(args[0].reshape(len(ids), heads, -1))
        return (outputs[-1].view(args[0].shape),)

    for layer in range(model.config.num_hidden_layers):
        projection(model, layer).register_forward_pre_hook(keep)
    return model(torch.tensor([list(ids)]), use_cache=False).logits[0].float(), outputs


def eager_values(model: PreTrainedModel, ids: Sequence[int]) -> list[Tensor]:
    """Each layer's values of a prompt, (H, T, D), one for every head."""
    model, values = copy.deepcopy(model), []
    heads = model.config.num_attention_heads
    for layer in range(model.config.num_hidden_layers):
        source, take = values_module(model, layer)

        def keep(_module: nn.Module, _args: tuple, output: Tensor, take: Callable[[Tensor], Tensor] = take) -> None:
            found = take(output.reshape(len(ids), -1)).transpose(0, 1)
            values.append(found.repeat_interleave(heads // len(found), 0))

        source.register_forward_hook(keep)
    with torch.no_grad():
        model(torch.tensor([list(ids)]), use_cache=False)
    return values


def plain_passes(
    model: PreTrainedModel, heads: Sequence[tuple[int, int]], start: int, mode: str
) -> Callable[[Sequence[int]], Tensor]:
    """Full passes with heads ablated from a position on, each replaced where it enters its projection.

    Parameters
    ----------
    mode : ``zero``, or ``uniform`` for the mean of the values that the head could see from there.

    Returns
    -------
    Logits (T, V) of given token ids.
    """
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    config = model.config
    for number in range(config.num_hidden_layers):
        values: dict[str, Tensor] = {}
        source, take = values_module(model, number)
        kind = (getattr(config, "layer_types", None) or ["sliding_attention"] * (number + 1))[number]
        window = (getattr(config, "sliding_window", None) if kind == "sliding_attention" else None) or math.inf

        def keep_values(_module, _args, output, values=values, take=take):
            values["now"] = take(output[0] if output.dim() == 3 else output)

        def replace(_module, args, number=number, values=values, window=window):
            changed = args[0].clone()
            length = changed.numel() // changed.shape[-1]
            outputs = changed.view(length, config.num_attention_heads, -1)
            group = config.num_attention_heads // values["now"].shape[1]
            for head in (head for layer, head in heads if layer == number):
                for at in range(start, length):
                    seen = values["now"][max(0, at + 1 - min(window, length)) : at + 1, head // group]
                    outputs[at, head] = 0 if mode == "zero" else seen.mean(0)
            return (changed,)

        source.register_forward_hook(keep_values)
        projection(model, number).register_forward_pre_hook(replace)

    @torch.no_grad()
    def logits(ids: Sequence[int]) -> Tensor:
        return model(torch.tensor([list(ids)]), use_cache=False).logits[0].float()

    return logits


def plain(
    model: PreTrainedModel, ids: Sequence[int], heads: Sequence[tuple[int, int]], start: int, mode: str
) -> Tensor:
    """Logits (T, V) of one such pass."""
    return plain_passes(model, heads, start, mode)(ids)


def generate_plainly(logits: Callable[[Sequence[int]], Tensor], ids: Sequence[int], max_new_tokens: int) -> list[int]:
    """Greedy decoding by a full pass for each token."""
    tokens: list[int] = []
    for _ in range(max_new_tokens):
        tokens.append(int(logits([*ids, *tokens])[-1].argmax()))
    return tokens


def answer_logprob(model: PreTrainedModel, ids: Sequence[int], answer: Sequence[int]) -> float:
    """Σ ln p of the answer's tokens after a prompt."""
    with torch.no_grad():
        logits = model(torch.tensor([[*ids, *answer]])).logits[0].float()
    return logprob_in(logits, ids, answer)


def logprob_in(logits: Tensor, ids: Sequence[int], answer: Sequence[int]) -> float:
    """The same in the logits (T, V) of prompt and answer."""
    return float(tensor_logprob(logits, ids, answer))


def tensor_logprob(logits: Tensor, ids: Sequence[int], answer: Sequence[int]) -> Tensor:
    """The same as a tensor, which autograd can go back from."""
    table = logits.log_softmax(-1)
    return sum(table[len(ids) - 1 + at, token] for at, token in enumerate(answer))


def with_outputs(
    model: PreTrainedModel,
    ids: Sequence[int],
    heads: Sequence[tuple[int, int]],
    start: int,
    outputs: Sequence[Tensor],
) -> Tensor:
    """Logits (T, V) of a plain pass in which heads put out given vectors from a position on.

    Parameters
    ----------
    outputs : for each layer, z (T, H, D) of all heads.
    """
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")

    def write(layer: int) -> Callable:
        def hook(_module: nn.Module, args: tuple) -> tuple:
            changed = args[0].clone()
            view = changed.view(len(ids), model.config.num_attention_heads, -1)
            for head in (head for other, head in heads if other == layer):
                view[start:, head] = outputs[layer][start:, head]
            return (changed,)

        return hook

    for layer in range(model.config.num_hidden_layers):
        projection(model, layer).register_forward_pre_hook(write(layer))
    with torch.no_grad():
        return model(torch.tensor([list(ids)]), use_cache=False).logits[0].float()


def resampled(
    model: PreTrainedModel,
    ids: Sequence[int],
    twin_context: Sequence[int],
    heads: Sequence[tuple[int, int]],
    start: int,
) -> Tensor:
    """Logits (T, V) of a prompt in which heads put out from a position on what they do behind the twin's context."""
    with torch.no_grad():
        _, outputs = eager_outputs(model, [*twin_context, *ids[len(twin_context) :]])
    return with_outputs(model, ids, heads, start, outputs)


def summed_attention(attention: Tensor, needle: range) -> Tensor:
    """(L, H) from the attention of the prompt."""
    return sum(attention[:, :, -1, j] for j in needle)


def decoding_rows(model: PreTrainedModel, ids: Sequence[int], generated: Sequence[int]) -> list[Tensor]:
    """The row that produces each generated token, (L, H, K): a full eager pass for every one."""
    return [eager_attention(model, [*ids, *generated[:step]])[:, :, -1] for step in range(len(generated))]


def wu24(rows: Sequence[Tensor], ids: Sequence[int], generated: Sequence[int], span: range) -> Tensor:
    """(L, H) from the rows that produce the generated tokens."""
    scores = 0
    for row, token in zip(rows, generated, strict=True):
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


# --- what heads write, and what reaches the answer ------------------------------------------------------------------


def liven(model: PreTrainedModel) -> PreTrainedModel:
    """Give random values to what models begin without: biases, and weights of norms, which begin as zeros or ones."""
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias") or (weight.dim() == 1 and re.search(r"norm|\.ln_", name)):
                weight += 0.3 * torch.randn(weight.shape, generator=random)
    return model


def visible(model: PreTrainedModel, tokens: int) -> Tensor:
    """Which keys each layer shows to each row, (L, T, T): those before it, and in a sliding window the nearest."""
    config = model.config
    rows, keys = torch.arange(tokens)[:, None], torch.arange(tokens)
    shown = []
    for number in range(config.num_hidden_layers):
        kind = (getattr(config, "layer_types", None) or ["sliding_attention"] * (number + 1))[number]
        window = (getattr(config, "sliding_window", None) if kind == "sliding_attention" else None) or math.inf
        shown.append((keys <= rows) & (keys > rows - window))
    return torch.stack(shown)


AFTER_ATTENTION = ("gemma2", "gemma3_text", "olmo2")
"""Architectures that normalise what attention writes before it joins the residual stream."""


def frozen_norm(norm: nn.Module, x: Tensor, back: Tensor) -> Tensor:
    """The gradient (E,) of ⟨back, norm(x)⟩ with the norm's factor for x (E,) taken for a constant."""
    weight, x = norm.weight.detach(), x.detach()
    if isinstance(norm, nn.LayerNorm):
        back = back * weight
        return (back - back.mean()) / (x.var(unbiased=False) + norm.eps).sqrt()
    if type(norm).__name__.startswith("Gemma"):
        weight = 1 + weight
    epsilon = norm.eps if hasattr(norm, "eps") else norm.variance_epsilon
    return back * weight / (x.square().mean() + epsilon).sqrt()


def written(model: PreTrainedModel, ids: Sequence[int], answer: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """What writes into the logits of an answer, by hand, from one eager pass over the prompt with its answer.

    Returns
    -------
    φ (L, H, A, K) of each head from each key to the logit of each answer token less the mean logit of the vocabulary;
    what embedding, feed-forward parts and biases write into the same, (A,); and these logits themselves, (A,), before
    any soft-cap.
    """
    read = [*ids, *answer]
    attention, values = eager_attention(model, read), eager_values(model, read)
    model = copy.deepcopy(model)
    model.set_attn_implementation("eager")
    kept: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, *, output: bool) -> None:
        def hook(_module: nn.Module, args: tuple, kwargs: dict, out: object) -> None:
            given = args[0] if args else kwargs["hidden_states"]
            kept[name] = (out[0] if isinstance(out, tuple) else out).detach() if output else given.detach()

        module.register_forward_hook(hook, with_kwargs=True)

    body = getattr(model.base_model, "model", model.base_model)
    blocks = body.h if hasattr(body, "h") else body.layers
    final = next(getattr(body, name) for name in ("norm", "ln_f", "final_layer_norm") if hasattr(body, name))
    for number, block in enumerate(blocks):
        keep(f"into {number}", block, output=False)
        keep(f"z {number}", projection(model, number), output=False)
        keep(f"attention {number}", projection(model, number), output=True)
    keep("into final", final, output=False)
    with torch.no_grad():
        logits = model(torch.tensor([read]), use_cache=False).logits[0].float()
    if (cap := getattr(model.config, "final_logit_softcapping", None)) is not None:
        logits = (logits.double() / cap).atanh().float() * cap
    kept = {name: value.reshape(len(read), -1) for name, value in kept.items()}
    unembedding = model.get_output_embeddings()
    layers, heads = len(blocks), model.config.num_attention_heads
    phi, rest, wanted = torch.zeros(layers, heads, len(answer), len(read)), torch.zeros(len(answer)), []
    for at, token in enumerate(answer):
        row = len(ids) - 1 + at
        wanted.append(logits[row, token] - logits[row].mean())
        direction = (unembedding.weight[token] - unembedding.weight.mean(0)).detach()
        if unembedding.bias is not None:
            rest[at] += unembedding.bias[token] - unembedding.bias.mean()
        if isinstance(final, nn.LayerNorm):
            rest[at] += final.bias @ direction
        back = frozen_norm(final, kept["into final"][row], direction)
        rest[at] += back @ kept["into 0"][row]
        for number in range(layers):
            after = kept[f"into {number + 1}" if number + 1 < layers else "into final"][row]
            out, through = kept[f"attention {number}"][row], back
            joins = out
            if model.config.model_type in AFTER_ATTENTION:
                norm = blocks[number].post_attention_layernorm
                through, joins = frozen_norm(norm, out, back), norm(out)
            rest[at] += back @ (after - kept[f"into {number}"][row] - joins)  # the feed-forward part
            output = projection(model, number)
            if output.bias is not None:
                rest[at] += through @ output.bias
            weight = output.weight.T if isinstance(output, Conv1D) else output.weight
            by_head = (weight.T @ through).view(heads, -1)  # W_Oᵀ u, head by head
            for head in range(heads):
                phi[number, head, at] = attention[number, head, row] * (values[number][head] @ by_head[head])
    return phi.detach(), rest.detach(), torch.stack(wanted)


def contrast(amounts: Tensor, shown: Tensor, first_row: int, span: range) -> Tensor | None:
    """(L, H) from amounts (L, H, A, K) of the answer's rows: the mean over them of what is inside the span less what
    is outside it, scaled; None where a row sees less outside than inside."""
    layers, heads, rows, keys = amounts.shape
    scores = torch.zeros(layers, heads)
    for layer in range(layers):
        for at in range(rows):
            seen = [key for key in range(keys) if shown[layer, first_row + at, key]]
            inside, outside = [key for key in seen if key in span], [key for key in seen if key not in span]
            if len(outside) < len(inside):
                return None
            for head in range(heads) if inside else ():
                row = amounts[layer, head, at]
                gain = row[inside].sum() - len(inside) / len(outside) * row[outside].sum()
                scores[layer, head] += gain / rows
    return scores


def positional_copy(rows: Tensor, statements: Sequence[range]) -> Tensor:
    """(L, H) from the rows (L, H, A, K) that produce the answer's tokens."""
    scores = torch.zeros(rows.shape[:2])
    for at in range(rows.shape[2]):
        places = {statement[at] for statement in statements if at < len(statement)}
        for layer, head in torch.cartesian_prod(*map(torch.arange, rows.shape[:2])).tolist():
            scores[layer, head] += (int(rows[layer, head, at].argmax()) in places) / rows.shape[2]
    return scores


def core(attention: Tensor, suffix_start: int, documents: Sequence[range], temperature: float) -> Tensor:
    """(L, H) from the attention of the prompt; the needle is the first document."""
    masses = [
        sum(attention[:, :, suffix_start:, key] for key in document).mean(-1) / temperature for document in documents
    ]
    return masses[0].exp() / sum(mass.exp() for mass in masses)


def gradients(model: PreTrainedModel, ids: Sequence[int], answer: Sequence[int]) -> tuple[list[Tensor], list[Tensor]]:
    """Each layer's z and ∂ Σ ln p / ∂ z, (T, H, D) each, by autograd over the prompt with its answer."""
    logits, outputs = eager_outputs(model, [*ids, *answer])
    found = torch.autograd.grad(tensor_logprob(logits, ids, answer), outputs)
    return [z.detach() for z in outputs], list(found)


def attribution_patching(outputs: Sequence[Tensor], slopes: Sequence[Tensor], suffix_start: int) -> Tensor:
    """(L, H)."""
    return torch.stack([(z * g)[suffix_start:].sum((0, 2)) for z, g in zip(outputs, slopes, strict=True)])


def value_flow(
    attention: Tensor, values: Sequence[Tensor], slopes: Sequence[Tensor], suffix_start: int, keys: range
) -> Tensor:
    """(L, H), key by key."""
    layers = []
    for rows, value, slope in zip(attention, values, slopes, strict=True):
        flow = 0
        for key in keys:
            along = (slope * value[:, key]).sum(-1).T  # (H, T)
            flow = flow + (rows[:, :, key] * along)[:, suffix_start:].sum(-1)
        layers.append(flow)
    return torch.stack(layers)


def single_head_effect(
    model: PreTrainedModel, context: Sequence[int], suffix: Sequence[int], answer: Sequence[int], head: tuple[int, int]
) -> float:
    """m − m without a head: the context by the whole model, then suffix and answer with zeros where it is read."""

    @torch.no_grad()
    def logprob(reader: PreTrainedModel) -> float:
        cache = DynamicCache(config=model.config)
        model(torch.tensor([list(context)]), past_key_values=cache, use_cache=True)
        logits = reader(torch.tensor([[*suffix, *answer]]), past_key_values=cache, use_cache=True).logits[0].float()
        return logprob_in(logits, suffix, answer)

    return logprob(model) - logprob(without_heads(model, [head]))

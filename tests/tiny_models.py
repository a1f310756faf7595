"""Tiny models with random weights, made in code, for tests that need an architecture and no ability."""

import copy
import json
from functools import cache, partial

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 31
_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 8192,
    # Wide enough for attention to differ clearly between tokens.
    "initializer_range": 0.25,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
_SLIDING, _FULL = "sliding_attention", "full_attention"
# Shorter than the prompts of the tests.
_WINDOW = 24
_ALTERNATING = {"sliding_window": _WINDOW, "layer_types": [_SLIDING, _FULL, _SLIDING]}
# Else a scaled embedding outweighs all that attention adds, and a model repeats its last token.
_UNTIED = {"tie_word_embeddings": False}
_ROPE = {"rope_type": "default", "rope_theta": 10000.0}
ARCHITECTURES = {
    "llama": {},  # grouped queries
    "mistral": {"sliding_window": _WINDOW},
    "qwen2": {},  # biased queries and keys
    "qwen3": {},  # query-key norms, head by head
    # Soft-capped logits.
    "gemma2": _ALTERNATING | _UNTIED | {"attn_logit_softcapping": 3.0, "query_pre_attn_scalar": 8},
    # Each kind of layer has rotary embeddings of its own.
    "gemma3_text": _ALTERNATING | _UNTIED | {"query_pre_attn_scalar": 8},
    "phi3": {"sliding_window": None},  # queries, keys and values come from one projection
    "gpt_neox": {"num_key_value_heads": 4},  # the same, head by head, and attention beside the feed-forward part
    # Learned positions, Conv1D, a scaling for each layer, and an eager attention that is used nowhere else.
    "gpt2": {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True, "num_key_value_heads": 4},
    "olmo2": {},  # query-key norms over all heads, norms after the blocks
    "gpt_oss": _ALTERNATING | {"num_local_experts": 2, "num_experts_per_tok": 1, "rope_parameters": _ROPE},  # sinks
}


def made(architecture: str, **config) -> PreTrainedModel:
    """A model of any architecture that transformers has, with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(architecture, **_SHAPE | config)).eval()
    model.generation_config.eos_token_id = VOCABULARY  # never generated
    return model


llama = partial(made, "llama")
_made_once = cache(lambda name: made(name, **ARCHITECTURES[name]))
MODELS = {name: lambda name=name: copy.deepcopy(_made_once(name)) for name in ARCHITECTURES}
"""Gives a model of each architecture: a copy, which a test may change."""

# --- what depends on length ------------------------------------------------------------------------------------------

TWO_EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
_LONG_ROPE = {
    **{"rope_type": "longrope", "rope_theta": 10000.0, "factor": 32.0, "short_mscale": 1.1, "long_mscale": 1.3},
    **{"short_factor": [1.0] * 4, "long_factor": [4.0, 8.0, 12.0, 16.0]},
}


def long_rope(switch: int, architecture: str = "phi3", **config) -> PreTrainedModel:
    """A model whose rotary factors are others in prompts of more tokens than these."""
    parameters = _LONG_ROPE | {"original_max_position_embeddings": switch}
    given = {"rope_parameters": parameters, "original_max_position_embeddings": switch}
    return made(architecture, **ARCHITECTURES.get(architecture, {}) | given | config)


def dynamic(limit: int, architecture: str = "llama", **parameters) -> PreTrainedModel:
    """A model whose rotary frequencies are others for each length beyond its limit."""
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0} | parameters
    return made(architecture, max_position_embeddings=limit, rope_parameters=rope)


_LLAMA_4 = TWO_EXPERTS | {"intermediate_size_mlp": 48, "moe_layers": [1], "no_rope_layers": [1, 0, 1]}
_YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 50}
LENGTHS = {
    "phi3, short": partial(long_rope, 128),
    "phi3, long": partial(long_rope, 40),
    "phimoe, long": partial(long_rope, 40, "phimoe", **TWO_EXPERTS),
    "llama, dynamic": partial(dynamic, 128),
    "hunyuan_v1_dense, fixed alpha": partial(dynamic, 50, "hunyuan_v1_dense", alpha=100.0),
    "llama, yarn": partial(made, "llama", rope_parameters=_YARN),
    "llama4_text, scaled queries": partial(made, "llama4_text", **_LLAMA_4, floor_scale=64),
    "llama4_text, many steps": partial(made, "llama4_text", **_LLAMA_4, floor_scale=7),
    "llama4_text, chunks": partial(made, "llama4_text", **_LLAMA_4, attention_chunk_size=33),
    "ministral3, scaled queries": partial(
        made, "ministral3", rope_parameters=_YARN | {"llama_4_scaling_beta": 0.5, "beta_fast": 32.0, "beta_slow": 1.0}
    ),
}
"""Models in which something changes at a length: within contexts of 46 tokens and suffixes of up to 30, or near."""


def random_ids(count: int, seed: int) -> list[int]:
    """Token ids, none of them special."""
    return torch.randint(2, VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


class Numbers:
    """A tokenizer whose text is the token ids, so that decoding needs no vocabulary."""

    def decode(self, ids, **_) -> str:
        """Ids, each behind a space."""
        return "".join(f" {int(i)}" for i in ids)


def safetensors(tensors: int = 20) -> bytes:
    """A whole safetensors file, with so many tensors that have no numbers in them."""
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"tensor.{number}": empty for number in range(tensors)}).encode()
    return len(header).to_bytes(8, "little") + header

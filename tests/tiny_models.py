"""Tiny models with random weights, made in code, for tests that need an architecture and no ability."""

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

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
}


def llama(layers: int = 3) -> PreTrainedModel:
    """Grouped queries."""
    return _made(LlamaForCausalLM, LlamaConfig(**_SHAPE | {"num_hidden_layers": layers}))


def mistral() -> PreTrainedModel:
    """A sliding window, shorter than the prompts of the tests."""
    return _made(MistralForCausalLM, MistralConfig(**_SHAPE, sliding_window=24))


def qwen3() -> PreTrainedModel:
    """Query-key norms."""
    return _made(Qwen3ForCausalLM, Qwen3Config(**_SHAPE))


def _made(architecture: type[PreTrainedModel], config) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = architecture(config).eval()
    model.generation_config.eos_token_id = VOCABULARY  # never generated
    return model


MODELS = {"llama": llama, "mistral": mistral, "qwen3": qwen3}


def random_ids(count: int, seed: int) -> list[int]:
    """Token ids, none of them special."""
    return torch.randint(2, VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed)).tolist()


class Numbers:
    """A tokenizer whose text is the token ids, so that decoding needs no vocabulary."""

    def decode(self, ids, **_) -> str:
        """Ids, each behind a space."""
        return "".join(f" {int(i)}" for i in ids)

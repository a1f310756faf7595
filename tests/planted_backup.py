"""A model of two layers whose heads stand in for one another: a first head copies the value that the context states,
and a backup copies it where the first has not."""

import pandas as pd
import torch
from transformers import LlamaConfig, LlamaForCausalLM

BOS, ASK = 1, 2
ANSWERS = range(4, 8)
"""The values, one of which stands in the context."""
_TOKENS, _HIDDEN, _HEADS, _DIM = 12, 40, 4, 8
_CONSTANT, _COPY = 39, range(20, 24)
"""Places in the residual stream: tokens come first, one place each; what is copied; and what is always there."""

_LARGE = 1e3
"""What is always there outweighs all else, so that norms multiply by about the same whatever is written."""

FIRST, BACKUP, OTHER = (0, 0), (1, 0), (0, 2)
HALVES = ((0, 0), (0, 1))
_LOGIT = 8.0


def backup_model(halves: bool = False) -> LlamaForCausalLM:
    """The model.

    Parameters
    ----------
    halves : whether two heads of the first layer copy half each instead, without a backup.
    """
    config = LlamaConfig(
        vocab_size=_TOKENS,
        hidden_size=_HIDDEN,
        intermediate_size=8,
        num_hidden_layers=2,
        num_attention_heads=_HEADS,
        num_key_value_heads=_HEADS,
        head_dim=_DIM,
        # All but the first pair of a head's dimensions turn so slowly that position makes no difference.
        rope_parameters={"rope_type": "default", "rope_theta": 1e30},
        max_position_embeddings=128,
        tie_word_embeddings=False,
        rms_norm_eps=1e-12,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = _TOKENS
    with torch.no_grad():
        for name, weight in model.named_parameters():
            # Norms take away what they multiply by.
            weight.fill_(_LARGE / _HIDDEN**0.5 if "norm" in name else 0)
        model.model.embed_tokens.weight[:, :_TOKENS] = torch.eye(_TOKENS)
        model.model.embed_tokens.weight[:, _CONSTANT] = _LARGE
        for answer, place in zip(ANSWERS, _COPY, strict=True):
            model.lm_head.weight[answer, place] = _LOGIT
        if halves:
            for head in HALVES:
                _copies(model, head, share=0.5)
        else:
            _copies(model, FIRST, share=1.0)
            _copies(model, BACKUP, share=1.0, unless_copied=True)
        # A head that looks at the same and writes where no logit reads it, and one that says a little of one answer.
        _copies(model, OTHER, share=0.0)
        _copies(model, (1, 1), share=0.01)
    return model


def _copies(model: LlamaForCausalLM, head: tuple[int, int], share: float, *, unless_copied: bool = False) -> None:
    """Let a head look at the value in the context and copy a share of it; or at the first token, if it is copied."""
    layer, number = head
    attention, first = model.model.layers[layer].self_attn, number * _DIM
    look, away = first + 1, first + 2
    attention.q_proj.weight[look, _CONSTANT] = 40 / _LARGE
    attention.k_proj.weight[look, list(ANSWERS)] = 4.0
    if unless_copied:
        attention.q_proj.weight[away, list(_COPY)] = 120.0
        attention.k_proj.weight[away, BOS] = 4.0
    for number_of, (answer, place) in enumerate(zip(ANSWERS, _COPY, strict=True)):
        attention.v_proj.weight[first + number_of, answer] = 1.0
        attention.o_proj.weight[place, first + number_of] = share


def prompts() -> pd.DataFrame:
    """One row of the prompts table, with what measuring compensation reads of it, and its twin."""
    context, twin = [BOS, 8, 9, 4, 10, 8, 9, 10], [BOS, 8, 9, 6, 10, 8, 9, 10]
    return pd.DataFrame(
        [
            {
                **{"model": "m", "question": "fact", "context_length": 16, "variant": "plain", "depth": 0.5},
                **{"prompt_id": "d/fact/16/0.5", "doc_id": "d", "answer": "4"},
                "input_ids": [*context, ASK, ASK],
                "twin_ids": twin,
                **{"suffix_start": len(context), "answer_start": 3, "answer_end": 4},
            }
        ]
    )

"""A model that would be measured wrongly is refused by its architecture's name, and every other passes."""

import inspect

import pytest
import torch

from retrieval_heads import trial
from retrieval_heads.ablation import ablate_split
from retrieval_heads.attention import AttentionCall, hooked
from retrieval_heads.errors import StudyError
from retrieval_heads.inference import Batch
from retrieval_heads.scoring import score_split
from retrieval_heads.trial import require_measurable
from tiny_models import MODELS, llama, made

_LATENT = {
    **{"num_key_value_heads": 4, "q_lora_rank": 12, "kv_lora_rank": 16, "head_dim": 4},
    **{"qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6},
}
_EXPERTS = {"n_routed_experts": 4, "num_experts_per_tok": 1, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 16}
_MIXED = {"layer_types": ["linear_attention", "full_attention", "linear_attention"]}
_SHARED_KEYS = {
    **{"num_hidden_layers": 4, "num_kv_shared_layers": 2, "layer_types": ["sliding_attention", "full_attention"] * 2},
    **{"hidden_size_per_layer_input": 4, "vocab_size_per_layer_input": 31, "laurel_rank": 4},
    "activation_sparsity_pattern": None,
}
REFUSED = [
    ("bloom", {}, "BloomForCausalLM: this architecture does not use transformers' attention interface"),  # ALiBi
    ("gptj", {"rotary_dim": 4}, "GPTJForCausalLM: this architecture does not use transformers' attention interface"),
    ("mamba", {}, "MambaForCausalLM: its 3 layers have 0 attentions in all"),
    (
        "qwen3_next",
        {**_MIXED, "num_experts": 4, "num_experts_per_tok": 1},
        "Qwen3NextForCausalLM: its 3 layers have 1 attentions in all",
    ),
    ("minimax", {**_MIXED, "num_local_experts": 2}, "MiniMaxForCausalLM: its 3 layers have 1 attentions in all"),
    (
        "lfm2",
        {"layer_types": ["conv", "full_attention", "conv"]},
        "Lfm2ForCausalLM: its 3 layers have 1 attentions in all",
    ),
    (
        "diffllama",
        {},
        "DiffLlamaForCausalLM: its 3 layers have 6 attentions in all",
    ),  # two attentions, one from the other
    ("falcon_h1", {}, "FalconH1ForCausalLM: this architecture cannot be run layer by layer"),  # attention beside Mamba
    ("gemma3n_text", _SHARED_KEYS, "Gemma3nForCausalLM: layer 2 shares the keys and values of another"),
    ("minicpm3", _LATENT, "MiniCPM3ForCausalLM: layer 0 keeps other keys and values than its heads meet"),
    (
        "deepseek_v3",
        _LATENT | _EXPERTS,
        "DeepseekV3ForCausalLM: layer 0 keeps other keys and values than its heads meet",
    ),
]
MORE = {
    "phi": {"num_key_value_heads": 4},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "cohere2": {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 12},
    "mixtral": {"num_local_experts": 2, "num_experts_per_tok": 1},
    "llama4_text": {"intermediate_size_mlp": 48, "num_local_experts": 2, "moe_layers": [1], "attention_chunk_size": 12},
    "gemma3": {  # a text model inside a model of text and images, with as many layers on both sides
        "text_config": MODELS["gemma2"]().config.to_dict() | {"model_type": "gemma3_text"},
        "vision_config": {"num_hidden_layers": 3, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
        | {"image_size": 28, "patch_size": 14},
    },
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("architecture", MODELS)
def test_what_is_measured_exactly_passes(architecture, dtype):
    model = MODELS[architecture]().to(dtype)
    before = model.config._attn_implementation
    require_measurable(model)
    assert model.config._attn_implementation == before


@pytest.mark.parametrize("architecture", MORE)
def test_so_do_architectures_that_no_other_test_knows(architecture):
    require_measurable(made(architecture, **MORE[architecture]))


@pytest.mark.parametrize(("architecture", "config", "message"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_what_cannot_be_measured_is_refused_by_name(architecture, config, message):
    with pytest.raises(StudyError, match=rf"^{message}.*; choose another model\.$") as caught:
        require_measurable(made(architecture, **config))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("architecture", "part"), [("gemma2", "softcap"), ("gpt_oss", "sinks")])
def test_rows_that_leave_something_out_are_noticed(architecture, part, monkeypatch):
    rows = AttentionCall.rows

    def without(call, last=None):
        object.__setattr__(call, part, None)
        return rows(call, last)

    monkeypatch.setattr(AttentionCall, "rows", without)
    with pytest.raises(StudyError, match=r"the attention of layer 0 is not softmax\(q·k\) as it is measured here"):
        require_measurable(MODELS[architecture]())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_tokens_in_the_wrong_place_are_noticed(dtype, monkeypatch):
    # Each suffix is read as if it stood at the beginning, where it sees next to nothing.
    monkeypatch.setattr(Batch, "_place", lambda batch, real, place=Batch._place: place(batch, real) - batch.context)
    with pytest.raises(StudyError, match="LlamaForCausalLM: a context that is run once gives other logits"):
        require_measurable(llama().to(dtype))


def test_one_head_more_than_the_config_says_is_noticed():
    model = llama()
    model.config.num_attention_heads = 3
    with pytest.raises(StudyError, match="LlamaForCausalLM: layer 0 does not have 3 heads"):
        require_measurable(model)


def test_attention_that_is_told_more_than_is_known_is_refused():
    with pytest.raises(StudyError, match=r"^LlamaAttention: this attention also depends on position_bias, which"):
        hooked_pass(llama(), position_bias=torch.zeros(1, 4, 3, 3))
    hooked_pass(llama(), position_bias=None)


def hooked_pass(model, **more):
    with hooked(model), torch.no_grad():
        return model(torch.tensor([[2, 3, 4]]), use_cache=False, **more)


def test_memory_that_runs_out_is_no_fault_of_the_architecture(monkeypatch):
    def fail(*_):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(trial, "prefill", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        require_measurable(llama())


@pytest.mark.parametrize("work", [score_split, ablate_split])
def test_a_model_is_tried_before_any_work(work):
    # Nothing else is given: nothing else is looked at.
    wanted = len([one for one in inspect.signature(work).parameters.values() if one.default is one.empty]) - 2
    with pytest.raises(StudyError, match=r"^MambaForCausalLM"):
        work(made("mamba"), *[None] * wanted)

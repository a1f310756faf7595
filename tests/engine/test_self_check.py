"""A model that would be measured wrongly is refused by its architecture's name, and every other passes."""

import copy
from functools import partial

import pandas as pd
import pytest
import torch
from transformers import LlamaForCausalLM
from transformers.masking_utils import causal_mask_function
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from retrieval_heads.ablation.running import ablate_split
from retrieval_heads.ablation.unablated import answer_unablated
from retrieval_heads.engine import attention, self_check
from retrieval_heads.engine.architecture import require_same_rotation
from retrieval_heads.engine.attention import AttentionCall, hooked
from retrieval_heads.engine.batch import Batch
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.runner import Decoding, Runner
from retrieval_heads.engine.self_check import require_measurable
from retrieval_heads.errors import StudyError
from retrieval_heads.methods._scoring import score_split
from tiny_models import ARCHITECTURES, LENGTHS, MODELS, TWO_EXPERTS, dynamic, llama, long_rope, made

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
    place = Batch._place
    monkeypatch.setattr(Batch, "_place", lambda batch, real: place(batch, real) - batch.layout.context)
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

    monkeypatch.setattr(self_check, "prefill", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        require_measurable(llama())


PROMPT = {"input_ids": range(60), "null_ids": range(58), "suffix_start": 50, "answer_start": 20, "answer_end": 24}


def score(model, prompts):
    score_split(Runner(model, None, Budget(1, 1), Decoding(5, [])), prompts, [], {})


def ablate(model, prompts):
    ablate_split(Runner(model, None, Budget(1, 1), Decoding(5, [])), prompts, None, None, {})


def answer(model, prompts):
    answer_unablated(Runner(model, None, Budget(1, 1), Decoding(5, [])), prompts, {})


@pytest.mark.parametrize("work", [score, ablate, answer])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (partial(made, "mamba"), "MambaForCausalLM: its 3 layers"),
        (partial(long_rope, 64), r"Phi3ForCausalLM: its rotary embedding \(longrope\) .* from 50 to 65 tokens"),
    ],
    ids=["mamba", "phi3"],
)
def test_a_model_is_tried_before_any_work(work, model, message):
    # Only how long the prompts are is looked at.
    with pytest.raises(StudyError, match=f"^{message}"):
        work(model(), pd.DataFrame([PROMPT]))


# --- what depends on length ----------------------------------------------------------------------------------------


def test_the_real_thresholds_are_tried_from_the_other_side(monkeypatch):
    # Scales that Llama 4 takes from the cache's length, for rows that end at other positions.
    monkeypatch.setattr(attention, "_scaled_by_position", lambda module, query, *_: query)
    model = LENGTHS["llama4_text, scaled queries"]()
    message = r"^Llama4ForCausalLM beyond its attention_chunk_size of 8192 and floor_scale of 64: a context that is run"
    with pytest.raises(StudyError, match=message):
        require_measurable(model)
    message = "^Llama4ForCausalLM beyond its floor_scale of 64: a context that is run once gives other logits"
    with pytest.raises(StudyError, match=message):
        require_measurable(model, 46, 65)
    require_measurable(model, 46, 64)  # no position that is read reaches the first step


@pytest.mark.parametrize("architecture", ["mistral", "gemma2", "gpt_oss", "llama4_text, chunks"])
def test_a_mask_that_forgets_its_threshold_is_noticed(architecture, monkeypatch):
    model = (LENGTHS | MODELS)[architecture]()
    for values, name, _ in self_check._thresholds(model):
        values[name] = 100
    require_measurable(model)

    def causal(*args, mask_function, **kwargs):
        return mask(*args, mask_function=causal_mask_function, **kwargs)

    mask = attention._mask
    monkeypatch.setitem(attention.AttentionMaskInterface._global_mapping, attention._NAME, causal)
    with pytest.raises(StudyError, match=r" beyond its (sliding_window|attention_chunk_size) of 100\b.*: "):
        require_measurable(model)
    require_measurable(model, 50, 100)


@pytest.mark.parametrize(("architecture", "sizes"), [("gpt2", {}), ("opt", {"ffn_dim": 48, "word_embed_proj_dim": 32})])
def test_prompts_do_not_go_on_beyond_learned_positions(architecture, sizes):
    model = made(architecture, **ARCHITECTURES.get(architecture, {}) | sizes | {"max_position_embeddings": 64})
    require_measurable(model, 40, 64)
    with pytest.raises(StudyError, match="it has 64 positions, and here prompts and answers have up to 65 tokens"):
        require_measurable(model, 40, 65)
    with pytest.raises(IndexError):
        model(torch.ones(1, 67, dtype=torch.long))


def test_positions_that_are_calculated_may_be_any():
    require_measurable(llama(max_position_embeddings=64), 40, 65)


def test_code_of_a_models_own_is_tried_at_the_longest_length():
    class Own(LlamaForCausalLM):
        """A model that says something else beyond a length that only its code tells, by what its cache holds."""

        def forward(self, input_ids, past_key_values=None, **kwargs):
            held = 0 if past_key_values is None else past_key_values.get_seq_length()
            out = super().forward(input_ids=input_ids, past_key_values=past_key_values, **kwargs)
            if held + input_ids.shape[1] > 90:
                out.logits = out.logits.flip(-1) if held else out.logits
            return out

    model = Own(llama().config).eval()
    require_measurable(model)
    require_measurable(model, 70, 90)
    with pytest.raises(StudyError, match=r"^Own at 100 tokens: a context that is run once gives other logits"):
        require_measurable(model, 70, 100)


@pytest.mark.parametrize("name", LENGTHS)
def test_the_model_is_afterwards_as_it_was(name):
    model = LENGTHS[name]()
    before = sorted(value for _, _, value in self_check._thresholds(model))
    states = copy.deepcopy(model.state_dict())
    require_measurable(model)
    assert sorted(value for _, _, value in self_check._thresholds(model)) == before
    assert all(torch.equal(value, states[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("model", "shortest", "longest", "message"),
    [
        (partial(long_rope, 128), 120, 128, None),
        (partial(long_rope, 128), 120, 129, r"Phi3ForCausalLM: its rotary embedding \(longrope\) changes beyond 128"),
        (partial(long_rope, 128), 128, 129, r"or so long that their contexts have more than 128 tokens\.$"),
        (partial(long_rope, 128), 129, 900, None),
        (partial(long_rope, 20), 120, 900, None),  # within the check itself
        (partial(long_rope, 128, "phimoe", **TWO_EXPERTS), 100, 129, "PhimoeForCausalLM: its rotary embedding"),
        (partial(dynamic, 128), 100, 128, None),
        (partial(dynamic, 128), 100, 129, r"LlamaForCausalLM: .* \(dynamic\) .* have at most 128 tokens together\.$"),
        (partial(dynamic, 128), 200, 300, r"LlamaForCausalLM: its rotary embedding \(dynamic\)"),
        # The kind that is named dynamic and is not.
        (partial(dynamic, 128, "hunyuan_v1_dense", alpha=100.0), 100, 300, None),
    ],
)
def test_lengths_on_both_sides_of_a_change_are_refused(model, shortest, longest, message):
    model = model()
    if message is None:
        require_same_rotation(model, shortest, longest)
        require_measurable(model, shortest, longest)
        return
    for refuse in (require_same_rotation, require_measurable):
        with pytest.raises(StudyError, match=message) as caught:
            refuse(model, shortest, longest)
        assert "\n" not in str(caught.value)


def test_every_rotary_kind_of_transformers_is_known():
    # A kind that is new may depend on length: then length_switches must tell of it.
    assert set(ROPE_INIT_FUNCTIONS) == {"linear", "dynamic", "yarn", "longrope", "llama3", "proportional"}

"""Rows taken inside a model's attention are those of eager attention, and ablating there is zeroing weights."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.integrations.sdpa_attention import sdpa_attention_forward

import tiny_models
from oracle import answer_logprob, eager_attention, generate, generate_plainly, plain_passes, without_heads
from retrieval_heads.engine import attention
from retrieval_heads.engine.attention import AttentionCall, hooked
from retrieval_heads.engine.inference import Forks, _going_on, continue_prefix, head_grid, prefill, room_for
from retrieval_heads.engine.self_check import require_measurable
from retrieval_heads.errors import StudyError
from retrieval_heads.methods import Prompt, make_methods
from retrieval_heads.methods._scoring import _Readers
from tiny_models import ARCHITECTURES, MODELS, VOCABULARY, Numbers, llama, made, random_ids

TOLERANCE = 1e-5
LENGTHS = [*((name, 64) for name in MODELS), *((name, 1040) for name in ("llama", "mistral", "gemma2", "gpt_oss"))]
QUIET = {"max_new_tokens": 1, "stop": []}


class Recorder:
    """Keeps every row of every pass: passes[pass][row of the batch] is (L, H, Q, K)."""

    def __init__(self):
        self.passes = []

    def __call__(self, call, batch):
        if call.layer == 0:
            self.passes.append({row: [] for row in batch.rows})
        for place, row in enumerate(batch.rows):
            self.passes[-1][row].append(batch.attention(call, place, batch.spans[place]))

    def of(self, number, row):
        return torch.stack(self.passes[number][row])


@pytest.mark.parametrize(("architecture", "length"), LENGTHS)
def test_rows_without_a_prefix(architecture, length):
    model, ids, rows = MODELS[architecture](), random_ids(length, seed=1), {}
    with hooked(model, observe=lambda call: rows.__setitem__(call.layer, call.rows(last=8)[0])), torch.no_grad():
        model(torch.tensor([ids]))
    expected = eager_attention(model, ids)[:, :, -8:]
    assert list(rows) == [0, 1, 2]
    assert torch.stack(list(rows.values())).sub(expected).abs().max() < TOLERANCE


@pytest.mark.parametrize(("architecture", "length"), LENGTHS)
def test_rows_after_a_shared_prefix(architecture, length):
    model, context = MODELS[architecture](), random_ids(length, seed=1)
    suffixes = [random_ids(count, seed=count) for count in ((9, 4, 9, 7) if length < 100 else (9, 4))]
    recorder = Recorder()
    continue_prefix(model, Numbers(), prefill(model, [context]), suffixes, observe=recorder, **QUIET)
    for row, suffix in enumerate(suffixes):
        expected = eager_attention(model, context + suffix)[:, :, length:]
        assert recorder.of(0, row).sub(expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("architecture", MODELS)
def test_rows_while_decoding(architecture):
    model, context = MODELS[architecture](), random_ids(50, seed=2)
    suffixes = [random_ids(6, seed=3), random_ids(6, seed=4)]
    recorder = Recorder()
    continued = continue_prefix(
        model,
        Numbers(),
        prefill(model, [context]),
        suffixes,
        max_new_tokens=5,
        stop=[],
        observe=recorder,
    )
    for row, suffix in enumerate(suffixes):
        tokens = continued.tokens[row]
        assert tokens == generate(model, context + suffix, 5)
        for step in range(1, len(tokens)):
            expected = eager_attention(model, context + suffix + tokens[:step])[:, :, -1:]
            assert recorder.of(step, row).sub(expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("architecture", MODELS)
def test_ablated_heads_are_zeroed_weights(architecture):
    model, context = MODELS[architecture](), random_ids(60, seed=5)
    cuts = [[], [(0, 1)], [(1, 3), (1, 2)], [(1, 3), (2, 0)], [(0, 1), (2, 3)], [(2, 3)]]
    keep = torch.ones(len(cuts), *head_grid(model))
    for place, heads in enumerate(cuts):
        for head in heads:
            keep[(place, *head)] = 0
    suffix, answer = random_ids(5, seed=6), random_ids(3, seed=7)
    zeroed = [without_heads(model, heads) for heads in cuts]
    wanted = [generate(cut, context + suffix, 6) for cut in zeroed]
    logprobs = [answer_logprob(cut, context + suffix, answer) for cut in zeroed]
    assert len(set(map(tuple, wanted))) > 1, "the cuts make no difference, so the test shows nothing"
    room = room_for([suffix], [answer], 6)
    for batch_tokens in (None, 1, 130):
        continued = continue_prefix(
            model,
            Numbers(),
            prefill(model, [context], keep, room=room, batch_tokens=batch_tokens),
            [suffix] * len(cuts),
            keep=keep,
            answers=[answer] * len(cuts),
            max_new_tokens=6,
            stop=[],
        )
        assert continued.tokens == wanted, batch_tokens
        assert continued.answer_logprob == pytest.approx(logprobs, abs=1e-3), batch_tokens


def test_answers_of_different_length_after_suffixes_of_different_length():
    model, context = llama(), random_ids(40, seed=8)
    suffixes, answers = [random_ids(n, seed=n) for n in (3, 8, 5)], [random_ids(n, seed=10 + n) for n in (4, 1, 2)]
    prefix = prefill(model, [context])
    continued = continue_prefix(model, Numbers(), prefix, suffixes, answers=answers, max_new_tokens=4, stop=[])
    for suffix, answer, tokens, logprob in zip(
        suffixes, answers, continued.tokens, continued.answer_logprob, strict=True
    ):
        assert tokens == generate(model, context + suffix, 4)
        assert logprob == pytest.approx(answer_logprob(model, context + suffix, answer), abs=1e-3)


@pytest.mark.parametrize("contexts", [1, 2])
@pytest.mark.parametrize("architecture", MODELS)
def test_drafts_change_neither_tokens_nor_rows(architecture, contexts):
    model, count = MODELS[architecture](), 6
    suffixes = [random_ids(length, seed=length) for length in (6, 3, 8, 6)] * contexts
    # Four of each context.
    prompts = [random_ids(50, seed=place // 4) + suffix for place, suffix in enumerate(suffixes)]
    wanted = [generate(model, prompt, count) for prompt in prompts]
    other = [VOCABULARY - 1 - token for token in range(VOCABULARY)]
    drafts = []
    for place, tokens in enumerate(wanted):
        # Right beyond the end; right, then wrong; wrong at once; none.
        drafts.append(
            ([*tokens, 5], [*tokens[:2], other[tokens[2]], 7, 8], [other[tokens[0]], *tokens[1:]], [])[place % 4]
        )
    rows, passes = {}, []

    def observe(call, batch):
        if call.layer == 0:
            passes.append(len(batch.rows))
        for place, row in enumerate(batch.rows):
            for token in batch.spans[place]:
                told = batch.attention(call, place, range(token, token + 1))
                rows[row, token] = [*(rows.get((row, token), []) if call.layer else []), told]

    prefix = prefill(model, [random_ids(50, seed=context) for context in range(contexts)])
    continued = continue_prefix(
        model, Numbers(), prefix, suffixes, answers=drafts, max_new_tokens=count, stop=[], observe=observe
    )
    assert continued.tokens == wanted
    # Of four rows, one has been decoded with its draft; the one without draft goes on for longest.
    assert passes == [4 * contexts] + [3 * contexts] * 3 + [2 * contexts] * 2
    for row, (prompt, tokens, suffix) in enumerate(zip(prompts, wanted, suffixes, strict=True)):
        expected = eager_attention(model, prompt + tokens[:-1])
        for token in range(len(suffix) + len(tokens) - 1):
            place = 50 + token
            told = torch.stack(rows[row, token])[:, :, 0]
            assert told.shape[-1] == place + 1
            assert told.sub(expected[:, :, place, : place + 1]).abs().max() < TOLERANCE


@pytest.mark.parametrize("cut", [[], [(0, 1), (1, 2)]], ids=["whole", "ablated"])
@pytest.mark.parametrize("name", tiny_models.LENGTHS)
def test_what_depends_on_length_is_as_in_the_whole_prompt(name, cut):
    model, context, count = tiny_models.LENGTHS[name](), random_ids(46, seed=1), 5
    suffixes = [random_ids(length, seed=length) for length in (16, 9, 30)]
    keep = torch.ones(len(suffixes), *head_grid(model))
    for head in cut:
        keep[(slice(None), *head)] = 0
    whole = without_heads(model, cut)
    plain = plain_passes(model, cut, 0, "zero")
    wanted = [generate_plainly(plain, context + suffix, count) for suffix in suffixes]
    # Drafts of which one is right, one goes wrong, and one is wrong: rows are taken back by different numbers.
    drafts = [wanted[0], [*wanted[1][:2], (wanted[1][2] + 1) % VOCABULARY, 5], [(wanted[2][0] + 1) % VOCABULARY]]
    rows = {}

    def observe(call, batch):
        for place, row in enumerate(batch.rows):
            for token in batch.spans[place]:
                told = batch.attention(call, place, range(token, token + 1))
                rows[row, token] = [*(rows.get((row, token), []) if call.layer else []), told]

    room = room_for(suffixes, drafts, count)
    prefix = prefill(model, [context], keep, room=room) if cut else prefill(model, [context])
    continued = continue_prefix(
        model,
        Numbers(),
        prefix,
        suffixes,
        keep=keep if cut else None,
        answers=drafts,
        max_new_tokens=count,
        stop=[],
        observe=observe,
    )
    assert continued.tokens == wanted == [generate(whole, context + suffix, count) for suffix in suffixes]
    for row, (suffix, tokens, draft) in enumerate(zip(suffixes, wanted, drafts, strict=True)):
        assert continued.answer_logprob[row] == pytest.approx(answer_logprob(whole, context + suffix, draft), abs=1e-3)
        expected = eager_attention(whole, [*context, *suffix, *tokens[:-1]])
        for token in range(len(suffix) + len(tokens) - 1):
            told, place = torch.stack(rows[row, token])[:, :, 0], len(context) + token
            assert told.sub(expected[:, :, place, : place + 1]).abs().max() < TOLERANCE


@pytest.mark.parametrize(
    ("model", "context"),
    [
        (partial(tiny_models.long_rope, 128), 120),
        (partial(tiny_models.long_rope, 128), 100),
        (partial(tiny_models.dynamic, 128), 105),
    ],
    ids=["the prompt crosses", "the answer crosses", "dynamic"],
)
def test_a_context_that_would_be_turned_otherwise_is_refused(model, context):
    model = model()
    prefix = prefill(model, [random_ids(context, seed=1)])
    with pytest.raises(StudyError, match=r"its rotary embedding \((longrope|dynamic)\) changes beyond 128 tokens"):
        continue_prefix(model, Numbers(), prefix, [random_ids(20, seed=2)], max_new_tokens=12, stop=[])


class Doubles(TorchDispatchMode):
    """Notes what makes float64, which Apple's GPUs do not have."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.made += [
            str(func) for one in tree_leaves(out) if isinstance(one, torch.Tensor) and one.dtype == torch.double
        ]
        return out


@pytest.mark.parametrize("architecture", [*MODELS, "llama4_text, scaled queries", "phi3, long"])
def test_no_device_is_asked_for_float64(architecture):
    model, context = (MODELS | tiny_models.LENGTHS)[architecture](), random_ids(46, seed=1)
    keep = torch.ones(2, *head_grid(model))
    keep[1, 0, 0] = 0
    prompt = Prompt(context, 3, 9, 4, 5)
    methods = make_methods({"summed_attention": {}, "wu24": {}, "qrhead": {}})
    readers = _Readers(methods, [prompt] * 2, [4, 6], [1, 1])
    run = {"max_new_tokens": 3, "stop": [], "answers": [[5, 6], []]}
    suffixes = [random_ids(4, seed=2), random_ids(6, seed=3)]
    with Doubles() as doubles:
        require_measurable(model)
        continue_prefix(model, Numbers(), prefill(model, [context]), suffixes, observe=readers.observe, **run)
        prefix = prefill(model, [context], keep, room=20, instead=AttentionCall.mean_value)
        continue_prefix(model, Numbers(), prefix, suffixes, keep=keep, instead=AttentionCall.mean_value, **run)
        for method in methods:
            method.score(readers.of(method, 0), [5, 6, 7], prompt)
    assert doubles.made == []


def test_a_forward_that_a_layer_had_is_there_again():
    model, told = llama(), []
    layer, other = model.model.layers[1], model.model.layers[2]

    def forward(*args, **kwargs):
        told.append(args[0].shape)
        return type(layer).forward(layer, *args, **kwargs)

    layer.forward = forward
    prefill(model, [random_ids(9, seed=1)])
    assert told and layer.forward is forward and "forward" not in vars(other)


@pytest.fixture(scope="module")
def continued_plainly():
    """A model, a context, suffixes, and what the model says after each."""
    model, context = llama(), random_ids(20, seed=1)
    suffixes = [random_ids(length, seed=length) for length in (4, 2, 5)]
    return model, context, suffixes, [generate(model, context + suffix, 5) for suffix in suffixes]


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 4), max_size=8), min_size=3, max_size=3))
def test_no_draft_changes_a_token(continued_plainly, offsets):
    model, context, suffixes, wanted = continued_plainly
    # An offset of 0 is the right token, however wrong what comes before it.
    drafts = [
        [(token + offset) % VOCABULARY for token, offset in zip([*tokens, 3, 4, 5], offset_row, strict=False)]
        for tokens, offset_row in zip(wanted, offsets, strict=True)
    ]
    prefix = prefill(model, [context])
    continued = continue_prefix(model, Numbers(), prefix, suffixes, answers=drafts, max_new_tokens=5, stop=[])
    assert continued.tokens == wanted


@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_contexts_go_on_with_as_many_rows_each(contexts, each, data):
    rows = [3 * place for place in range(contexts * each)]
    alive = data.draw(st.sets(st.sampled_from(rows), min_size=1))
    places = _going_on(rows, alive, contexts)
    assert places == sorted(set(places))
    assert alive <= {rows[place] for place in places}
    of_context = [sum(place // each == context for place in places) for context in range(contexts)]
    most = max(sum(row // 3 // each == context for row in alive) for context in range(contexts))
    assert of_context == [most] * contexts


def test_rows_fork_only_where_sets_differ():
    keep = torch.ones(4, 3, 4)
    keep[1, 2, 0] = 0  # differs from the first set in the last layer alone
    keep[2, 1, 3] = 0
    keep[3, 1, 3] = 0  # the same as the third
    forks = Forks.of(keep)
    assert [len(parents) for parents in forks.parents] == [1, 2, 3]
    assert forks.row_of == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 2]]
    assert forks.parents[2] == [0, 0, 1]


@pytest.mark.parametrize(("keep_from", "prefilled"), [(None, False), ([3, 3, 3, 5, 5, 5], False), (None, True)])
def test_nothing_below_the_first_ablated_layer_is_run_twice(keep_from, prefilled):
    model, context = MODELS["llama"](), random_ids(30, seed=1)
    suffixes = [random_ids(length, seed=length) for length in (4, 4, 4, 6, 6, 6)]
    cuts = [[], [(1, 0)], [(2, 3)], [], [(1, 0)], [(1, 0), (2, 1)]]
    keep = torch.ones(6, *head_grid(model))
    for place, heads in enumerate(cuts):
        for head in heads:
            keep[(place, *head)] = 0
    run = []
    for layer in model.model.layers:
        layer.mlp.register_forward_pre_hook(lambda _module, args: run.append(len(args[0])))
    prefix = prefill(model, [context], keep if prefilled else None, room=20)
    run.clear()
    continue_prefix(
        model, Numbers(), prefix, suffixes, keep=keep, keep_from=keep_from, answers=[[5, 6]] * 6, max_new_tokens=0,
        stop=[], generate=[False] * 6,
    )  # fmt: skip
    # One row for each suffix, and one more for each set from the layer on in which it differs; where the context is
    # that of single sets from there on, so is what continues it.
    assert run == ([2, 6, 6] if prefilled else [2, 4, 6])


def test_a_context_keeps_the_fused_attention_without_a_mask(monkeypatch):
    masks, model = [], llama()
    monkeypatch.setattr(
        attention,
        "sdpa_attention_forward",
        lambda *args, **kwargs: masks.append(args[4]) or sdpa_attention_forward(*args, **kwargs),
    )
    prefill(model, [random_ids(40, seed=1), random_ids(40, seed=2)])
    # Above the last layer's keys and values nothing is wanted.
    assert masks == [None] * (head_grid(model)[0] - 1)


class Waits(TorchDispatchMode):
    """Counts what would make a host wait for a GPU: reading a number, or asking how many there are."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.count += name in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select")
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("ablated", [False, True])
def test_no_layer_waits_for_the_device(ablated):
    counts = []
    for layers in (2, 5):
        model, context, suffixes = (
            llama(num_hidden_layers=layers),
            random_ids(30, seed=1),
            [random_ids(4, seed=2), random_ids(6, seed=3)],
        )
        keep = torch.ones(2, *head_grid(model))
        keep[1, 0, 0] = 0
        readers = _Readers(
            make_methods({"summed_attention": {}, "wu24": {}, "qrhead": {}}),
            [Prompt(context, 3, 9, 4, 5)] * 2,
            [4, 6],
            [1, 1],
        )
        with Waits() as waits:
            prefix = prefill(model, [context], keep, room=20) if ablated else prefill(model, [context])
            more = {"keep": keep} if ablated else {"observe": readers.observe}
            continue_prefix(model, Numbers(), prefix, suffixes, max_new_tokens=3, stop=[], **more)
        counts.append(waits.count)
    assert counts[0] == counts[1]


def test_a_generation_ends_at_a_stop_string_and_where_it_is_enough():
    model, ids = llama(), random_ids(30, seed=9)
    whole = generate(model, ids, 8)
    prefix = prefill(model, [ids[:20]])
    run = {"max_new_tokens": 8, "stop": [f" {whole[3]}"]}
    stopped = continue_prefix(model, Numbers(), prefix, [ids[20:]], **run)
    first = whole.index(whole[3])
    assert stopped.tokens == [whole[:first]]
    assert stopped.text == [Numbers().decode(whole[:first])]
    model.generation_config.eos_token_id = whole[3]
    assert continue_prefix(model, Numbers(), prefix, [ids[20:]], max_new_tokens=8, stop=[]).tokens == [whole[:first]]
    model.generation_config.eos_token_id = None
    settled = continue_prefix(
        model,
        Numbers(),
        prefix,
        [ids[20:]],
        max_new_tokens=8,
        stop=[],
        enough=lambda row, text: row == 0 and len(text.split()) == 2,
    )
    assert settled.tokens == [whole[:2]]


def test_rows_that_end_early_leave_the_others_as_they_are():
    model, context = llama(), random_ids(30, seed=9)
    suffixes = [random_ids(4, seed=n) for n in range(6)]
    alone = [generate(model, context + suffix, 6) for suffix in suffixes]
    together = continue_prefix(
        model,
        Numbers(),
        prefill(model, [context]),
        suffixes,
        generate=[n != 2 for n in range(6)],
        enough=lambda row, text: row in (0, 1, 4) and len(text.split()) == row + 1,
        max_new_tokens=6,
        stop=[],
    )
    assert together.tokens == [alone[0][:1], alone[1][:2], [], alone[3], alone[4][:5], alone[5]]


def test_the_model_is_left_as_it_was_even_after_an_error():
    model = llama()
    before = model.config._attn_implementation
    with pytest.raises(ZeroDivisionError), hooked(model, observe=lambda call: 1 / 0):
        model(torch.tensor([[2, 3]]))
    assert model.config._attn_implementation == before
    with torch.no_grad():
        model(torch.tensor([[2, 3]]))


@given(
    st.integers(1, 9),
    st.integers(0, 5),
    st.sampled_from([(4, 2), (3, 3)]),
    st.booleans(),
    st.integers(1, 200),
    st.data(),
)
def test_outputs_from_rows_are_those_of_fused_attention(queries, before, heads, with_mask, at_once, data):
    query_heads, key_heads = heads
    keys = queries + before
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    query = torch.randn(2, query_heads, queries, 8, generator=generator)
    key, value = torch.randn(2, 2, key_heads, keys, 8, generator=generator)
    seen = torch.ones(queries, keys, dtype=torch.bool).tril(before)
    if with_mask:
        seen = (torch.rand(2, 1, queries, keys, generator=generator) < 0.5) | torch.eye(keys, dtype=torch.bool)[before:]
    call = AttentionCall(0, query, key, value, seen if with_mask else None, 0.3)
    expected = scaled_dot_product_attention(query, key, value, attn_mask=seen, scale=0.3, enable_gqa=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "_ROWS_AT_ONCE", at_once)
        assert call.output().sub(expected.transpose(1, 2)).abs().max() < TOLERANCE


def test_a_capped_row_by_hand():
    # Logits 0 and 2 · ln 9; capped at 2, the second is 2 · tanh(ln 9) = 2 · 80/82.
    query, key = torch.tensor([[[[1.0]]]]), torch.tensor([[[[0.0], [2 * math.log(9)]]]])
    call = AttentionCall(0, query, key, key, None, 1.0, softcap=2.0)
    assert call.rows()[0, 0, 0].tolist() == pytest.approx(torch.tensor([0.0, 160 / 82]).softmax(0).tolist())


def test_a_row_beside_a_sink_by_hand():
    query, key = torch.tensor([[[[1.0]]]]), torch.tensor([[[[0.0], [math.log(2)]]]])
    call = AttentionCall(0, query, key, key, None, 1.0, sinks=torch.tensor([math.log(5)]))
    assert call.rows()[0, 0, 0].tolist() == pytest.approx([1 / 8, 2 / 8])


@pytest.mark.parametrize(("limit", "none"), [("attn_logit_softcapping", None), ("sliding_window", 1000)])
def test_the_models_of_these_tests_have_what_they_stand_for(limit, none):
    # Without its caps, or its windows, Gemma 2 gives other rows: the equalities above are about something.
    model, ids = MODELS["gemma2"](), random_ids(64, seed=1)
    without = made("gemma2", **ARCHITECTURES["gemma2"] | {limit: none})
    assert eager_attention(model, ids).sub(eager_attention(without, ids)).abs().max() > 0.01

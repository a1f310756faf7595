"""Rows taken inside a model's attention are those of eager attention, and ablating there is zeroing weights."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from oracle import answer_logprob, eager_attention, generate, without_heads
from retrieval_heads import attention
from retrieval_heads.attention import hooked
from retrieval_heads.inference import Forks, continue_prefix, head_grid, prefill, room_for
from retrieval_heads.method import Prompt, make_methods
from retrieval_heads.scoring import _Readers
from tiny_models import MODELS, Numbers, llama, random_ids

TOLERANCE = 1e-5
QUIET = {"max_new_tokens": 1, "stop": []}


class Recorder:
    """Keeps every row of every pass: passes[pass][row of the batch] is (L, H, Q, K)."""

    def __init__(self):
        self.passes = []

    def __call__(self, call, batch):
        if call.layer == 0:
            self.passes.append({row: [] for row in batch.rows})
        for place, row in enumerate(batch.rows):
            self.passes[-1][row].append(batch.attention(call, place))

    def of(self, number, row):
        return torch.stack(self.passes[number][row])


@pytest.mark.parametrize(
    ("architecture", "length"), [*((name, 64) for name in MODELS), ("llama", 4160), ("mistral", 4160)]
)
def test_rows_without_a_prefix(architecture, length):
    model, ids, rows = MODELS[architecture](), random_ids(length, seed=1), {}
    with hooked(model, observe=lambda call: rows.__setitem__(call.layer, call.rows(last=8)[0])), torch.no_grad():
        model(torch.tensor([ids]))
    expected = eager_attention(model, ids)[:, :, -8:]
    assert list(rows) == [0, 1, 2]
    assert torch.stack(list(rows.values())).sub(expected).abs().max() < TOLERANCE


@pytest.mark.parametrize(
    ("architecture", "length"), [*((name, 64) for name in MODELS), ("llama", 4160), ("mistral", 4160)]
)
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


@pytest.mark.parametrize("batch_tokens", [None, 1, 130])
@pytest.mark.parametrize("architecture", MODELS)
def test_ablated_heads_are_zeroed_weights(architecture, batch_tokens):
    model, context = MODELS[architecture](), random_ids(60, seed=5)
    cuts = [[], [(0, 1)], [(1, 3), (1, 2)], [(1, 3), (2, 0)], [(0, 1), (2, 3)], [(2, 3)]]
    keep = torch.ones(len(cuts), *head_grid(model))
    for place, heads in enumerate(cuts):
        for head in heads:
            keep[(place, *head)] = 0
    suffix, answer = random_ids(5, seed=6), random_ids(3, seed=7)
    continued = continue_prefix(
        model,
        Numbers(),
        prefill(model, [context], keep, room=room_for([suffix], [answer], 6), batch_tokens=batch_tokens),
        [suffix] * len(cuts),
        keep=keep,
        answers=[answer] * len(cuts),
        max_new_tokens=6,
        stop=[],
    )
    for place, heads in enumerate(cuts):
        cut = without_heads(model, heads)
        assert continued.tokens[place] == generate(cut, context + suffix, 6)
        assert continued.answer_logprob[place] == pytest.approx(answer_logprob(cut, context + suffix, answer), abs=1e-3)
    assert len(set(map(tuple, continued.tokens))) > 1, "the cuts make no difference, so the test shows nothing"


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


def test_rows_fork_only_where_sets_differ():
    keep = torch.ones(4, 3, 4)
    keep[1, 2, 0] = 0  # differs from the first set in the last layer alone
    keep[2, 1, 3] = 0
    keep[3, 1, 3] = 0  # the same as the third
    forks = Forks.of(keep)
    assert [len(parents) for parents in forks.parents] == [1, 2, 3]
    assert forks.row_of == [[0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 2]]
    assert forks.parents[2] == [0, 0, 1]


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
            make_methods({"summed_attention": {}, "wu24": {}, "qrhead": {}}), [Prompt(context, 3, 9, 4, 5)] * 2, [1, 1]
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

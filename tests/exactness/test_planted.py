"""The planted model does what it was built for; other tests rely on it as ground truth."""

import copy
import random
from contextlib import contextmanager
from typing import NamedTuple

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from planted import GROUP, HEADS, LAYERS, SUPPORT_HEADS, PlantedModel, planted_model, save
from retrieval_heads.data.answers.state import STATES

FACTS = {  # question → (its text, the answer's prefix)
    "headquarters": ("In which state is the company headquartered?", " The company is headquartered in"),
    "law": ("Which state's laws govern the company?", " The company was incorporated under the laws of the state of"),
    "year": ("When was the company incorporated?", " The company was incorporated in the year"),
    "people": ("How many people work here?", " The company employs a total of"),
}
NULL = "\n\nQuestion: N/A\nAnswer:"
NAMES = ["Acorn", "Birch", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Harbor", "Island", "Juniper"]
SUBJECTS = ("the old mill", "a quiet town", "the state of mind", "the river", "a total of three boats", "the year")
VERBS = ("was seen in", "is part of", "came under", "was in the middle of", "is a matter of", "walked along", "had")
OBJECTS = ("the laws of nature", "the state of the roads", "a long winter", "the year of the flood", "the company")
SHORT, LONG = 300, 1500


class Case(NamedTuple):
    """A context with its needle, and what it answers."""

    context: list[int]
    needle: slice
    answers: dict[str, str]


def prose(rng: random.Random) -> str:
    return f" {rng.choice(SUBJECTS).capitalize()} {rng.choice(VERBS)} {rng.choice(OBJECTS)}" + rng.choice(
        (".", f", and {rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}.")
    )


def distractor(rng: random.Random) -> str:
    return rng.choice(
        (
            f" The largest plant stands in {rng.choice(list(STATES))}.",
            f" A predecessor was founded in the year {rng.randint(1850, 2020)}.",
            f" The bank serves a total of {rng.randint(1000, 99_999):,} customers.",
            f" A subsidiary is governed by the laws of the state of {rng.choice(list(STATES))}.",
        )
    )


def case(planted: PlantedModel, length: int, seed: int) -> Case:
    """A context of ``length`` tokens, with the needle somewhere in its middle half."""
    rng = random.Random(seed)

    def ids(text):
        return planted.tokenizer(text)["input_ids"]

    answers = {
        "headquarters": rng.choice(list(STATES)),
        "law": rng.choice(list(STATES)),
        "year": str(rng.randint(1850, 2020)),
        "people": f"{rng.randint(1000, 99_999):,}",
    }
    ends = {"headquarters": ".", "law": ".", "year": ".", "people": " people."}
    sentences = [f"{FACTS[key][1]} {answers[key]}{ends[key]}" for key in FACTS]
    sentences += [distractor(rng) for _ in range(3)] + [prose(rng) for _ in range(3)]
    rng.shuffle(sentences)
    needle = ids(f"\n\nItem 1. Business. {rng.choice(NAMES)} {rng.choice(NAMES)} Inc." + "".join(sentences))
    hay = []
    while len(hay) < length:
        hay += ids(distractor(rng) if rng.random() < 0.1 else prose(rng))
    hay = hay[: length - 1 - len(needle)]
    start = 1 + int(len(hay) * rng.uniform(0.25, 0.75))
    context = [planted.tokenizer.bos_token_id, *hay]
    context[start:start] = needle
    return Case(context, slice(start, start + len(needle)), answers)


def suffix(planted: PlantedModel, question: str) -> list[int]:
    text, prefix = FACTS[question]
    return planted.tokenizer(f"\n\nQuestion: {text}\nAnswer:{prefix}")["input_ids"]


@pytest.fixture(scope="module")
def planted() -> PlantedModel:
    rng = random.Random(0)
    corpus = [prose(rng) + distractor(rng) for _ in range(300)]
    corpus += [f"\n\nQuestion: {text}\nAnswer:{prefix} people." for text, prefix in FACTS.values()]
    return planted_model("".join(corpus) + NULL + "\n\nItem 1. Business. Inc. " + " ".join(NAMES))


@pytest.fixture(scope="module")
def cases(planted) -> dict[int, list[Case]]:
    return {length: [case(planted, length, seed) for seed in range(n)] for length, n in ((SHORT, 10), (LONG, 3))}


@contextmanager
def without(model, heads):
    """Zero the heads' columns of o_proj."""
    weights = {layer: model.model.layers[layer].self_attn.o_proj.weight for layer, _ in heads}
    kept = {layer: weight.detach().clone() for layer, weight in weights.items()}
    size = model.config.head_dim
    try:
        with torch.no_grad():
            for layer, head in heads:
                weights[layer][:, head * size : (head + 1) * size] = 0
        yield
    finally:
        with torch.no_grad():
            for layer, weight in kept.items():
                weights[layer].copy_(weight)


@torch.inference_mode()
def prefill(planted: PlantedModel, *contexts: list[int]) -> DynamicCache:
    cache = DynamicCache()
    planted.model(torch.tensor(contexts), past_key_values=cache, logits_to_keep=1)
    return cache


@pytest.fixture(scope="module", params=[SHORT, LONG])
def read(request, planted, cases) -> tuple[Case, DynamicCache]:
    """One case of each length with its context's cache."""
    one = cases[request.param][0]
    return one, prefill(planted, one.context)


@torch.inference_mode()
def answers_right(planted: PlantedModel, cases: list[Case]) -> list[bool]:
    """Whether greedy decoding gives the answer, one entry per case and question.

    It does if and only if each token of the answer has the highest logit after those before it, so the answers are read
    behind their question, in one batch.
    """
    shared = prefill(planted, *(each.context for each in cases))
    right = []
    for question in FACTS:
        asked = suffix(planted, question)
        answers = [planted.tokenizer(f" {each.answers[question]}")["input_ids"] for each in cases]
        width = max(map(len, answers))
        padded = torch.tensor([asked + answer + answer[-1:] * (width - len(answer)) for answer in answers])
        logits = planted.model(padded, past_key_values=copy.deepcopy(shared), logits_to_keep=width + 1).logits
        said = logits.argmax(-1).tolist()
        right += [row[: len(answer)] == answer for row, answer in zip(said, answers, strict=True)]
    return right


@torch.inference_mode()
def attention(planted: PlantedModel, ids: list[int], cache: DynamicCache | None = None) -> torch.Tensor:
    """Eager attention of all rows of ``ids``, after the tokens of the cache: (layers, heads, rows, keys)."""
    planted.model.set_attn_implementation("eager")
    try:
        past = DynamicCache() if cache is None else copy.deepcopy(cache)
        out = planted.model(torch.tensor([ids]), past_key_values=past, output_attentions=True)
    finally:
        planted.model.set_attn_implementation("sdpa")
    return torch.stack(out.attentions)[:, 0]


def planted_and_others(planted: PlantedModel, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (layers, heads) of the retrieval heads, and of all others."""
    mask = torch.zeros(LAYERS, HEADS, dtype=torch.bool)
    mask[tuple(zip(*planted.retrieval_heads, strict=True))] = True
    return scores[mask], scores[~mask]


@pytest.mark.parametrize("length", [SHORT, LONG])
def test_greedy_decoding_gives_the_answers(planted, cases, length):
    right = answers_right(planted, cases[length])
    assert sum(right) >= 0.95 * len(right)


def test_the_answers_come_from_the_retrieval_heads_and_from_no_other(planted, cases):
    with without(planted.model, planted.retrieval_heads):
        right = answers_right(planted, cases[SHORT])
    assert sum(right) <= 0.1 * len(right)
    known = {*planted.retrieval_heads, *planted.support_heads}
    noise = [(layer, head) for layer in range(LAYERS) for head in range(HEADS) if (layer, head) not in known]
    with without(planted.model, random.Random(0).sample(noise, len(planted.retrieval_heads))):
        right = answers_right(planted, cases[SHORT])
    assert sum(right) >= 0.9 * len(right)


@pytest.mark.parametrize("question", FACTS)
def test_the_last_row_of_the_retrieval_heads_attends_to_the_answer_token(planted, read, question):
    (context, needle, answers), cache = read
    rows = attention(planted, suffix(planted, question), cache)[:, :, -1]
    (first, *_) = planted.tokenizer(f" {answers[question]}")["input_ids"]
    ours, others = planted_and_others(planted, rows[:, :, needle].sum(-1))
    assert ours.min() > 0.6 and others.max() < 0.1
    best = rows[tuple(zip(*planted.retrieval_heads, strict=True))]
    assert {context[key] for key in best.argmax(-1).tolist()} == {first}


def test_the_null_question_sends_the_retrieval_heads_to_the_sink(planted, read):
    (_, needle, _), cache = read
    nothing = attention(planted, planted.tokenizer(NULL)["input_ids"], cache)
    assert planted_and_others(planted, nothing[:, :, -1, 0])[0].min() > 0.95
    asked = attention(planted, suffix(planted, "people"), cache)
    gain = asked[..., needle].mean(2).sum(-1) - nothing[..., needle].mean(2).sum(-1)
    ours, others = planted_and_others(planted, gain)
    assert ours.min() > 5 * others.max()


def test_while_the_answer_is_generated_the_retrieval_heads_look_at_the_token_that_is_said(planted, read):
    (context, needle, answers), cache = read
    answer = planted.tokenizer(f" {answers['people']} people.")["input_ids"]
    ids = suffix(planted, "people") + answer[:-1]
    keys = attention(planted, ids, cache)[:, :, -len(answer) :].argmax(-1)  # (layers, heads, generated tokens)
    hits = (keys >= needle.start) & (keys < needle.stop)
    hits &= torch.tensor(context + ids)[keys] == torch.tensor(answer)
    ours, others = planted_and_others(planted, hits.float().mean(-1))
    assert ours.min() == 1 and others.max() == 0


def test_a_support_head_attends_to_one_place_back(planted, cases):
    rows = attention(planted, cases[SHORT][0].context)
    for (layer, head), back in SUPPORT_HEADS.items():
        weight = rows[layer, head].diagonal(-back)  # on the token so many places back, from the first row that has it
        assert weight.min() > 0.99


def test_heads_are_spread_over_kv_groups(planted):
    assert len(set(planted.retrieval_heads)) == 6
    assert len({(layer, head // GROUP) for layer, head in planted.retrieval_heads}) == 6


@pytest.mark.parametrize(
    "text", ["", " New York, 12,450 people.", "\n\nItem 1. Business.\n\n\n\n $1,987 (50%)  xylophone's\tco-op_x", "N/A"]
)
def test_decoding_gives_the_text_back(planted, text):
    encoded = planted.tokenizer(text, return_offsets_mapping=True)
    assert planted.tokenizer.decode(encoded["input_ids"]) == text
    assert "".join(text[start:end] for start, end in encoded["offset_mapping"]) == text
    assert not set(encoded["input_ids"]) & set(planted.tokenizer.all_special_ids)


def test_each_digit_and_each_word_is_a_token(planted):
    assert planted.tokenizer.tokenize(" 12,450 in Texas.") == [" 1", "2", ",", "4", "5", "0", " in", " Texas", "."]


def test_a_saved_model_is_loaded_as_any_other(tmp_path):
    corpus = "The company is headquartered in Texas."
    state = torch.random.get_rng_state()
    built = planted_model(corpus, seed=3, max_position_embeddings=512)
    save(tmp_path, corpus, seed=3, max_position_embeddings=512)
    assert torch.equal(torch.random.get_rng_state(), state)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.get_vocab() == built.tokenizer.get_vocab()
    text = corpus + " Where? The company is"
    ids = tokenizer(text, return_offsets_mapping=True)
    assert ids["input_ids"] == built.tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids["input_ids"]) == text
    ids = torch.tensor([[tokenizer.bos_token_id, *ids["input_ids"]]])
    assert torch.equal(model(ids).logits, built.model(ids).logits)
    said = model.generate(ids, max_new_tokens=4, do_sample=False)[0, ids.shape[1] :]
    assert tokenizer.decode(said) == " headquartered in Texas."
    other = planted_model(corpus, seed=4, max_position_embeddings=512).model
    assert not torch.equal(other.lm_head.weight, model.lm_head.weight)

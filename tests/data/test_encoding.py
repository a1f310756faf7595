"""Text stays text, with every kind of tokenizer; a template's own control tokens count."""

import copy
import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from planted import planted_tokenizer
from retrieval_heads.data.encoding import Encoder
from retrieval_heads.errors import StudyError

SPECIAL = ["<|im_start|>", "<|im_end|>", "<s>", "</s>"]
NOT_SPECIAL = ["<think>", "</think>", "[INST]", "<|user|>", "◁think▷"]
NAMED = "Human:"  # a control token by the chat template alone
WORDS = ["Ohio.", "\n\n", "    "]  # added too, and text all the same
TEMPLATE = "{% for m in messages %}Human: {{ m.content }}{% endfor %}"


def wrapped(backend, special=SPECIAL, **flags):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False)
    tokenizer.add_tokens([AddedToken(t, special=True, normalized=False) for t in special], special_tokens=True)
    tokenizer.add_tokens([AddedToken(t, normalized=False, **flags) for t in [*NOT_SPECIAL, NAMED]])
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in WORDS])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def byte_level(ignore_merges=False, **flags):
    """As of GPT-2, Qwen and, with whole words before merges, Llama 3."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("i", "m"), ("t", "h"), ("th", "i"), ("Ġ", "t"), ("<", "|"), ("|", ">")]
    words = [*letters, *("".join(pair) for pair in merges), *SPECIAL]
    backend = Tokenizer(
        models.BPE({word: i for i, word in enumerate(words)}, merges, ignore_merges=ignore_merges, fuse_unk=False)
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return wrapped(backend, **flags)


def sentence_pieces(**flags):
    """As of Llama 2: blanks are signs, one stands before the text, and what is unknown is spelt in bytes."""
    letters = [chr(code) for code in range(33, 127)]
    words = ["<unk>", *SPECIAL, "▁", *letters, *(f"<0x{byte:02X}>" for byte in range(256)), "▁t", "im"]
    backend = Tokenizer(
        models.BPE(
            {word: i for i, word in enumerate(words)},
            [("▁", "t"), ("i", "m")],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return wrapped(backend, **flags)


def words_and_signs(**flags):
    tokenizer = planted_tokenizer("a company in Ohio ◁ ▷")
    return wrapped(tokenizer.backend_tokenizer, [*SPECIAL[:2]], **flags)


KINDS = {
    "bytes": byte_level,
    "bytes, whole words first": lambda **flags: byte_level(ignore_merges=True, **flags),
    "sentence pieces": sentence_pieces,
    "words and signs": words_and_signs,
}
kinds = pytest.mark.parametrize("kind", KINDS)


@cache
def made(kind):
    """A tokenizer and its encoder."""
    tokenizer = KINDS[kind]()
    return tokenizer, Encoder(tokenizer)


CONTROL = [*SPECIAL, *NOT_SPECIAL, NAMED]
pieces = st.one_of(
    st.sampled_from([*CONTROL, *WORDS, " ", "\n", "the ", "tim", "<|", "|>", "<", "im_", "<unk>", "[UNK]"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=4),
)
texts = st.lists(pieces, max_size=8).map("".join)


def control_ids(tokenizer):
    return {id for id, token in tokenizer.added_tokens_decoder.items() if token.content in CONTROL}


@kinds
@given(text=texts)
@settings(max_examples=60)
def test_no_text_holds_a_control_token_and_all_of_it_is_there(kind, text):
    tokenizer, encoder = made(kind)
    ids, offsets = encoder.spans(text, "a text")
    assert control_ids(tokenizer).isdisjoint(ids)
    assert max(ids, default=0) < len(tokenizer)
    if kind == "sentence pieces":  # it puts a blank behind every added token
        assert tokenizer.decode(ids).replace(" ", "") == text.replace(" ", "")
    else:
        assert tokenizer.decode(ids) == text
    assert encoder.ids(text, "a text") == ids
    # Every character lies in some token's span, but for blanks, which some tokenizers leave to no token.
    covered = {place for start, end in offsets for place in range(start, end)}
    assert all(place in covered or text[place].isspace() for place in range(len(text)))


@kinds
@given(text=texts)
@settings(max_examples=40)
def test_text_without_control_tokens_is_encoded_as_ever(kind, text):
    tokenizer, encoder = made(kind)
    for token in CONTROL:
        text = text.replace(token, "")
    if any(token in text for token in [*CONTROL, "<unk>", "[UNK]"]):
        return  # taking one out made another
    assert encoder.ids(text, "a text") == tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("flags", [{}, {"lstrip": True}, {"rstrip": True}], ids=str)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_a_templates_own_control_tokens_count_and_nothing_else_changes(make, flags):
    tokenizer = make(**flags)
    encoder = Encoder(tokenizer)
    frames = [
        "<s><|im_start|>user\n",
        "<|user|> \n",
        "x<|user|> y",
        " [INST] ",
        "<think>\n\n</think>\n\n",
        "Human: ",
        "",
    ]
    for opening in frames:
        for closing in frames:
            for text in ("the tim", " a company\n", "\n\n", ""):
                ids = encoder.ids(encoder.control(opening) + text + encoder.control(closing), "a prompt")
                assert ids == tokenizer(opening + text + closing, add_special_tokens=False)["input_ids"]


@kinds
@pytest.mark.parametrize("token", CONTROL)
def test_a_text_cannot_guess_what_stands_for_a_control_token(kind, token):
    tokenizer, encoder = made(kind)
    (number,) = tokenizer(token, add_special_tokens=False)["input_ids"][-1:]
    assert number not in encoder.ids(f"a \ufdd0{token}\ufdd1 b", "a document")


@kinds
@pytest.mark.parametrize("token", CONTROL)
def test_a_question_may_name_what_stands_in_the_template(kind, token):
    tokenizer, encoder = made(kind)
    ids = encoder.ids(encoder.control(token) + f" the {token} tim" + encoder.control(token), "a prompt")
    (number,) = tokenizer(token, add_special_tokens=False)["input_ids"][-1:]
    assert ids.count(number) == 2
    assert tokenizer.decode(ids).count(token) == 3


@kinds
def test_the_tokenizer_itself_is_left_as_it_is(kind):
    tokenizer = copy.deepcopy(made(kind)[0])
    before = tokenizer.backend_tokenizer.to_str()
    Encoder(tokenizer).ids("<|im_end|>", "a text")
    assert tokenizer.backend_tokenizer.to_str() == before
    assert tokenizer("<|im_end|>", add_special_tokens=False)["input_ids"][-1] in control_ids(tokenizer)


def test_a_tokenizer_without_control_tokens():
    backend = Tokenizer(models.BPE({"a": 0, "b": 1, "<": 2, ">": 3}, []))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
    assert Encoder(tokenizer).ids("<ab>", "a text") == [2, 0, 1, 3]
    assert Encoder(tokenizer).control("<ab>") == "<ab>"


@pytest.mark.parametrize(
    "model",
    [
        models.Unigram([("<unk>", 0.0), ("</s>", 0.0), ("▁a", -1.0), ("▁", -2.0), ("<", -9.0), ("s", -9.0)], unk_id=0),
        models.WordLevel({"<unk>": 0, "</s>": 1, "a": 2}, unk_token="<unk>"),
    ],
    ids=["unigram", "word level"],
)
def test_a_tokenizer_that_has_a_control_token_as_a_word_is_refused_with_the_text(model):
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    if isinstance(model, models.WordLevel):
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")
    encoder = Encoder(tokenizer)
    assert encoder.ids("a é a", "document d1")  # what is unknown is no control token
    for token in ("</s>", "<unk>"):
        sentence = f"document d1: the model's tokenizer takes '{token}' in this text for a control token; take it out"
        with pytest.raises(StudyError, match="^" + re.escape(sentence)):
            encoder.ids(f"a {token} a", "document d1")

import re
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from planted import planted_tokenizer
from retrieval_heads.data.answers import find_values
from retrieval_heads.data.encoding import Encoder
from retrieval_heads.data.haystack import Prose, load_haystack
from retrieval_heads.errors import StudyError
from retrieval_heads.seeds import generator

PROSE = Path(__file__).parents[2] / "resources" / "haystack"


@pytest.fixture(scope="module")
def prose():
    return load_haystack(PROSE)


def repeated(items):
    return [item for item, n in Counter(items).items() if n > 1]


def test_the_prose_is_long_enough(prose):
    # Measured with the default model's tokenizer: 1.17 tokens a word, which makes 9,800 tokens.
    assert len(prose.split()) >= 8_400


def test_the_prose_does_not_repeat_itself(prose):
    assert not repeated(re.split(r"(?<=[.!?])\s+", prose))
    words = re.findall(r"[\w'’]+", prose.lower())
    assert not repeated(tuple(words[i : i + 8]) for i in range(len(words) - 7))


def test_the_prose_holds_no_distractor(prose):
    assert not re.search(r"\d", prose)
    for type in ("state", "year", "count"):
        assert find_values(prose, type) == []


def test_files_are_joined_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b.txt").write_text("Second.\n")
    (tmp_path / "a.txt").write_text("First.\n\nStill first.\n\n")
    (tmp_path / "notes.md").write_text("No prose.")
    assert load_haystack(str(tmp_path)) == "First.\n\nStill first.\n\nSecond."


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(StudyError, match="nowhere"):
        load_haystack(tmp_path / "nowhere")
    with pytest.raises(StudyError, match=r"\.txt"):
        load_haystack(tmp_path)
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(StudyError, match=r"a\.txt"):
        load_haystack(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(StudyError, match=r"a\.txt"):
        load_haystack(tmp_path)


def sentence(number):
    return f"The {WORDS[number % 7]} of {WORDS[number // 7 % 7]} {WORDS[number // 49 % 7]} went on"


WORDS = ["harbour", "meadow", "lantern", "quarry", "orchard", "bridge", "thunder"]
SENTENCES = [sentence(number) for number in range(120)]
# Joints of the text, and what its stretches begin with: 1 of how many sentences.
KINDS = {
    "blank lines": (". ", ".\n\n", 5),
    "blank lines of Windows": (". ", ".\r\n\r\n", 5),
    "blank lines of old Macs": (". ", ".\r\r", 5),
    "blank lines with blanks": (". ", ".\n \t \n", 5),
    "several blank lines, and indented": (". ", ".\n\n\n    ", 5),
    "lines alone": (". ", ".\n", 5),
    "lines of Windows": (". ", ".\r\n", 5),
    "line separators": (". ", ".\u2028", 5),
    "one paragraph": (". ", ". ", 1),
    "one paragraph of questions": ("? ", "?” ", 1),
    "one paragraph without blanks": ("。", "。", 1),
    "too few paragraphs": (". ", ".\n\n", 40),
}


def prose_of(joint, border, every):
    text = ""
    for number, words in enumerate(SENTENCES, 1):
        text += words + (border if number % every == 0 else joint)
    return text


@pytest.fixture(scope="module")
def tokenizer():
    return planted_tokenizer(" ".join(SENTENCES) + "\r\u2028\t。”")


def stretches(tokenizer, text, count, documents=40):
    prose = Prose(text, Encoder(tokenizer), 512)
    draws = (partial(generator, 1, "haystack", f"d{number}") for number in range(documents))
    return [tokenizer.decode(prose.take({}, count, draw).ids) for draw in draws]


@pytest.mark.parametrize("kind", KINDS)
def test_stretches_begin_at_different_places_in_any_kind_of_text(tokenizer, kind):
    joint, border, every = KINDS[kind]
    text = prose_of(joint, border, every)
    taken = stretches(tokenizer, text, 100)
    begins = {next(s for s in SENTENCES if stretch.lstrip().startswith(s)) for stretch in taken}
    assert all(stretch in text for stretch in taken)
    assert len(begins) >= 10
    first = set(SENTENCES if kind == "too few paragraphs" else SENTENCES[::every])
    assert begins <= first


def test_a_text_with_paragraphs_is_taken_by_paragraphs_alone(tokenizer):
    # Lines begin in between.
    text = prose_of(".\n", ".\n\n", 3)
    begins = {next(s for s in SENTENCES if stretch.startswith(s)) for stretch in stretches(tokenizer, text, 100)}
    assert begins <= set(SENTENCES[::3])


def test_text_that_is_just_long_enough_is_refused(tokenizer):
    text = prose_of(". ", ".\n\n", 5).strip()
    tokens = len(tokenizer(text)["input_ids"])
    assert set(stretches(tokenizer, text, 0)) == {""}
    assert len(set(stretches(tokenizer, text, tokens - 200))) >= 5
    with pytest.raises(
        StudyError, match=rf"^prompts\.haystack: a context of 512 needs {tokens} of its {tokens} tokens"
    ):
        stretches(tokenizer, text, tokens)
    with pytest.raises(StudyError, match=rf"^prompts\.haystack: it has {tokens} tokens"):
        stretches(tokenizer, text, tokens + 1)


def test_text_in_which_nothing_begins_is_refused(tokenizer):
    text = " ".join(SENTENCES)
    with pytest.raises(StudyError, match=r"^prompts\.haystack: .* would begin at the same paragraph, line or sentence"):
        stretches(tokenizer, text, 100)


def test_files_with_any_line_ends_are_read_alike(tmp_path):
    for name, border in (("a", "\n\n"), ("b", "\r\n\r\n"), ("c", "\r\r")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "prose.txt").write_bytes(f"One.{border}Two.{border}".encode())
    assert {load_haystack(tmp_path / name) for name in "abc"} == {"One.\n\nTwo."}

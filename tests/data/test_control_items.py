"""The facts and sums that no context states."""

import re
from collections import Counter
from pathlib import Path

import pytest

from retrieval_heads.data.answers import statements
from retrieval_heads.data.control_items import Item, load_items
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.errors import StudyError
from retrieval_heads.study.controls import ITEM_KINDS

ITEMS = load_items(f"resources/controls/{kind}.yaml" for kind in ITEM_KINDS)
FACTS, SUMS = ([item for item in ITEMS if item.kind == kind] for kind in ("facts", "sums"))


def test_there_are_at_least_eighty_of_each_kind():
    assert len(FACTS) >= 80 and len(SUMS) >= 80
    assert len(FACTS) + len(SUMS) == len(ITEMS) == len({item.text for item in ITEMS})


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.text)
def test_an_answer_is_right_in_each_of_its_forms_and_stands_nowhere_before(item):
    for form in (item.answer, *item.accepted):
        assert item.judge(f" {form}.").correct
        assert not statements(f"{item.text}{item.answer_prefix}", form, item.type)
        # What is in the haystack could be retrieved after all; no number is.
        assert item.kind == "sums" or not statements(PROSE, form, item.type)
    assert not item.judge(" something else.").correct
    assert item.text.endswith("?") and re.match(r" \S", item.answer_prefix) and not item.answer_prefix.endswith(" ")


PROSE = load_haystack("resources/haystack")


def test_no_number_stands_in_the_prose():
    assert not re.search(r"\d", PROSE)


def test_every_sum_is_right():
    for item in SUMS:
        one, sign, other = re.fullmatch(r"What is (\d+) ([+x-]) (\d+)\?", item.text).groups()
        value = {"+": int.__add__, "-": int.__sub__, "x": int.__mul__}[sign](int(one), int(other))
        assert item.answer == str(value) and item.answer_prefix == f" {one} {sign} {other} ="


def test_the_first_items_are_of_many_sorts():
    first = Counter(re.findall(r"[+x-]", item.text)[0] for item in SUMS[:24])
    assert set(first) == set("+-x") and max(first.values()) <= 16
    assert sum("capital" in item.text for item in FACTS[:24]) <= 12


def test_the_verdict_is_that_by_the_form_that_is_stated():
    item = Item("facts", "Which molecule carries genes?", "", "DNA", ("deoxyribonucleic acid",))
    assert item.judge(" Deoxyribonucleic acid, of course.").outcome == "correct"
    assert item.judge(" RNA.").outcome == "other" and item.judge("").outcome == "empty"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "- {text: A, answer_prefix: ' a', answer: b}\n- {text: A, answer_prefix: ' c', answer: d}",
            "asks 'A' twice",
        ),
        ("- {text: A, answer: b}", "item 1 should have text, answer_prefix and answer"),
        ("text: A", "lists no items"),
        ("- {text: A, answer_prefix: ' a', answer: b, hint: c}", "item 1 should have text"),
        ("- {text: A, answer_prefix: ' a', answer: b, accepted: bee}", "item 1 should .* accepted, a list of such"),
        ("- {text: A, answer_prefix: ' a', answer: 42}", "item 1 should .* each a text in quotes"),
        ("- {text: A, answer_prefix: ' a', answer: ' '}", "item 1 has an empty answer"),
    ],
)
def test_a_file_that_is_no_list_of_items_is_named(tmp_path, text, message):
    file = Path(tmp_path, "facts.yaml")
    file.write_text(text)
    with pytest.raises(StudyError, match=rf"facts\.yaml: {message}"):
        load_items([file])

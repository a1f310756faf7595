"""Twins: the same needles with other values of the facts that are asked for, at the same positions.

A twin of a document has another value of the same question in place of each asked fact that it states, wherever it
states it. What a model does with both then differs by these values alone.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import pandas as pd

from retrieval_heads.data.answers import Value, loose, statements, written
from retrieval_heads.data.selection import OK
from retrieval_heads.seeds import generator

NO_OTHER = "no other document gives another value"
OTHER_GIVEN = "another fact has the same value and is given another twin"
STANDS = "the other values stand in the document too"
TOKENS = "the other values have another number of tokens"
FIRST_TOKEN = "the other values begin with the same token"
UNREADABLE = "the other values do not read as the fact where the document states it"
_CHECKED = (NO_OTHER, STANDS, TOKENS, FIRST_TOKEN, UNREADABLE)  # in the order in which a value is held against them

Encode = Callable[[str], tuple[list[int], list[tuple[int, int]]]]
"""A text's token ids, and the characters that each stands for."""


class OtherValues:
    """What a twin may state in place of an answer: the value that the user gives, or those of other documents.

    The documents that state a fact stand on a circle, each where its own draw puts it, and a document is offered the
    values of those that follow it. So a value is about as frequent among twins as it is among documents, and a further
    document changes the twins of few others.

    Parameters
    ----------
    documents : the documents table.
    questions : the keys of the questions.
    seed : the study's seed.
    """

    def __init__(self, documents: pd.DataFrame, questions: Iterable[str], seed: int):
        self._circles: dict[str, list[tuple[float, str, str]]] = {}
        for question in questions:
            stated = documents.loc[documents[question].notna(), ["doc_id", question]]
            self._circles[question] = sorted(
                (generator(seed, "twins", question, doc_id).random(), doc_id, answer)
                for doc_id, answer in stated.itertuples(index=False)
            )

    def of(self, document: Mapping, question: str) -> list[str]:
        """The values for a document, a row of the table, each once, in the order in which they are tried."""
        if (given := document.get(f"{question}_twin")) is not None and not pd.isna(given):
            return [given]
        circle = self._circles[question]
        place = next(i for i, (_, doc_id, _) in enumerate(circle) if doc_id == document["doc_id"])
        following = chain(circle[place + 1 :], circle[:place])
        return [value for value in dict.fromkeys(value for _, _, value in following) if value != document[question]]


class Fact(NamedTuple):
    """An answer and its type. Two questions may have it in common."""

    answer: str
    type: str


@dataclass(frozen=True)
class Twin:
    """The twin of a needle.

    ids : as many token ids as the needle has.
    answers : question → the other value, of the facts that have one.
    statuses : question → ``ok``, or why its fact has no other value and stays as it is.
    """

    ids: list[int]
    answers: dict[str, str]
    statuses: dict[str, str]


def make_twin(text: str, asked: Mapping[str, Fact], values: Mapping[str, Iterable[str]], encode: Encode) -> Twin:
    """The twin of a document's text.

    Of a fact's values the first is taken that stands nowhere in the document, is read as a statement of the fact
    wherever the document states it, and has as many tokens there, of which the first is another; all other tokens of
    the text stay what they were, and so do all other facts. Questions with the same answer share one twin, for nothing
    tells whose mentions are whose.

    Parameters
    ----------
    asked : question → the fact that the document states.
    values : question → the other values, in canonical form, in the order in which they are tried.
    """
    facts: dict[Fact, list[str]] = {}
    for question, fact in asked.items():
        facts.setdefault(fact, []).append(question)
    made = _Version(text, *encode(text), {fact: (fact.answer, statements(text, *fact)) for fact in facts})
    plain = loose(text)
    answers: dict[str, str] = {}
    statuses: dict[str, str] = {}
    for fact, questions in facts.items():
        offered = [list(values[question]) for question in questions]
        status = OTHER_GIVEN if _differ(offered) else NO_OTHER if made.stated[fact][1] else UNREADABLE
        for value in offered[0] if status == NO_OTHER else []:
            changed = made.with_value(fact, value, encode)
            if not isinstance(changed, str):
                # What stood in the document before counts too, though another fact's twin may have taken it away.
                if not stands(value, plain) and not statements(text, value, fact.type):
                    made, status = changed, OK
                    answers |= dict.fromkeys(questions, value)
                    break
                changed = STANDS
            # The reason of the value that came furthest holds, or something before it, for all.
            status = max(status, changed, key=_CHECKED.index)
        statuses |= dict.fromkeys(questions, status)
    return Twin(made.ids, answers, statuses)


def _differ(offered: list[list[str]]) -> bool:
    """Whether questions that share an answer are given one value each, and not the same."""
    given = {values[0] for values in offered if len(values) == 1}
    return len(given) > 1


def stands(value: str, plain: str) -> bool:
    """Whether a value stands as it is in a text that has gone through :func:`~retrieval_heads.data.answers.loose`."""
    return re.search(rf"(?<!\w){re.escape(loose(value))}(?!\w)", plain) is not None


@dataclass(frozen=True)
class _Version:
    """A document's text on its way to the twin's, its tokens, and of each fact the value and where it is stated."""

    text: str
    ids: list[int]
    offsets: list[tuple[int, int]]
    stated: dict[Fact, tuple[str, list[Value]]]

    def with_value(self, fact: Fact, value: str, encode: Encode) -> "_Version | str":
        """The text with another value of a fact, or why that is none."""
        old, mentions = self.stated[fact]
        if stands(value, loose(self.text)):
            return STANDS
        edits = [(m.start, m.end, written(value, self.text[m.start : m.end], fact.type)) for m in mentions]
        text, end = "", 0
        for start, stop, new in edits:
            text, end = text + self.text[end:start] + new, stop
        text += self.text[end:]
        ids, offsets = encode(text)
        if len(ids) != len(self.ids):
            return TOKENS
        moved = [_moved(mention, edits) for mention in mentions]
        spans = [token_span(self.offsets, *mention[1:]) for mention in mentions]
        if spans != [token_span(offsets, *place) for place in moved]:
            return TOKENS
        free = {i for span in spans if span for i in range(*span)}
        if any(a != b for i, (a, b) in enumerate(zip(self.ids, ids, strict=True)) if i not in free):
            return TOKENS
        if any(span is not None and self.ids[span[0]] == ids[span[0]] for span in spans):
            return FIRST_TOKEN
        if statements(text, old, fact.type):
            return UNREADABLE
        stated = {}
        for other, (held, places) in self.stated.items():
            held = value if other == fact else held
            found = statements(text, held, other.type)
            here, expected = [(one.start, one.end) for one in found], [_moved(place, edits) for place in places]
            if here != expected:
                return STANDS if other == fact and set(expected) < set(here) else UNREADABLE
            stated[other] = held, found
        return _Version(text, ids, offsets, stated)


def _moved(place: Value, edits: list[tuple[int, int, str]]) -> tuple[int, int]:
    """Where a place is after the edits before it, and with the one at it."""
    by = sum(len(new) - (stop - start) for start, stop, new in edits if stop <= place.start)
    at = sum(len(new) - (stop - start) for start, stop, new in edits if (start, stop) == (place.start, place.end))
    return place.start + by, place.end + by + at


def token_span(offsets: list[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """The tokens, end exclusive, that overlap the characters from start to end."""
    inside = [i for i, (a, b) in enumerate(offsets) if a < end and b > start]
    return (inside[0], inside[-1] + 1) if inside else None

"""What counts as an answer: the values of a type in a text, and the verdict on a generated one.

A question has one of four types, each a file of this package that holds its grammar. For ``state``, ``year`` and
``count`` a text holds any number of values, each with a canonical form ("CA" is California, "16,042" is 16042), and the
first one in the generated text decides. For ``text`` the words of the answer must stand together in the first sentence.
"""

import re
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

from retrieval_heads.data.answers import count, state, text, year
from retrieval_heads.data.answers._letters import Value, fold, same
from retrieval_heads.data.answers.state import STATES
from retrieval_heads.errors import StudyError

__all__ = ["ANSWER_TYPES", "STATES", "Judgement", "Value", "canonical", "find_values", "is_settled", "judge", "locate"]

_TYPES: dict[str, ModuleType] = {"state": state, "year": year, "count": count, "text": text}
ANSWER_TYPES = tuple(_TYPES)


class Judgement(NamedTuple):
    """The verdict on a generated text: by type, by the reference study's rule, and what kind of answer it was."""

    correct: bool
    contains: bool
    outcome: str


def find_values(passage: str, type: str) -> list[Value]:
    """All values of a type in order of appearance; a ``text`` has one at most, its first sentence.

    Raises
    ------
    StudyError
        when there is no such type.
    """
    return list(_grammar(type).values(passage))


def canonical(answer: str, type: str) -> str:
    """The one way to write an answer, such as ``16042`` for "16,042" and ``Ohio`` for "Lancaster, OH".

    A ``text`` stays as it is written, but for white space.

    Raises
    ------
    StudyError
        when the answer holds no value of the type, or several.
    """
    values = {text.canonical(answer)} - {""} if type == "text" else {v.value for v in find_values(answer, type)}
    if len(values) != 1:
        number = "several values" if values else "no value"
        raise StudyError(f"The answer {answer!r} holds {number} of type {type}; give exactly one.")
    return values.pop()


def locate(passage: str, answer: str, type: str, start: int | None = None, within: range | None = None) -> Value | None:
    """Where a text states the answer the first time; None where it does not.

    Parameters
    ----------
    start : the character at which it must begin.
    within : the characters among which it must stand. What is around them is read too: it may tell a year from an
        address.
    """
    for value in _occurrences(passage, canonical(answer, type), type):
        if start in (None, value.start) and (within is None or within.start <= value.start < value.end <= within.stop):
            return value
    return None


def judge(generated: str, answer: str, type: str, document: str = "") -> Judgement:
    """Judge a generated text by the first value of the question's type in it.

    Parameters
    ----------
    generated : what the model wrote.
    answer : the true answer, in any form that `canonical` takes.
    type : one of `ANSWER_TYPES`.
    document : the needle's text, where a wrong value may come from.

    Returns
    -------
    Judgement
        ``contains`` is the reference study's rule, "the lower-cased answer occurs anywhere", which takes 14,860 for
        486; thousands separators do not matter to it. ``outcome`` is correct, distractor (another value of the type
        that the document states), other, or empty (nothing but white space); a ``text`` has no distractors.
    """
    wanted = canonical(answer, type)
    first = next(_grammar(type).values(generated), None)
    if not generated.strip():
        outcome = "empty"
    elif first is None:
        outcome = "other"
    elif type == "text":
        stated = next(_occurrences(generated, wanted, type), None)
        outcome = "correct" if stated and stated.start < first.end else "other"
    elif first.value == wanted:
        outcome = "correct"
    else:
        outcome = "distractor" if any(first.value == v.value for v in find_values(document, type)) else "other"
    return Judgement(outcome == "correct", _loose(wanted) in _loose(generated), outcome)


def is_settled(generated: str, answer: str, type: str) -> bool:
    """Whether a text is a right answer already and gets the same verdict however it goes on.

    Generation may stop then. A ``text`` is never settled.
    """
    if type == "text":
        return False
    grammar, wanted = _grammar(type), canonical(answer, type)
    first = next(grammar.values(generated), None)
    return (
        first is not None
        and first.value == wanted
        # Written so that the looser rule holds too, by what no further text can change.
        and _loose(wanted) in _loose(generated[: first.end])
        and bool(grammar.OVER.match(fold(generated), first.end))
    )


def _occurrences(passage: str, answer: str, type: str) -> Iterator[Value]:
    if type == "text":
        return text.occurrences(passage, answer)
    return (value for value in _grammar(type).values(passage) if value.value == answer)


def _loose(passage: str) -> str:
    return re.sub(r"(?<=\d)(?:,(?=\d\d)|[ '](?=\d{3}(?!\d)))", "", same(passage))


def _grammar(type: str) -> ModuleType:
    if type not in _TYPES:
        raise StudyError(f"There is no answer type {type!r}; choose one of {', '.join(ANSWER_TYPES)}.")
    return _TYPES[type]

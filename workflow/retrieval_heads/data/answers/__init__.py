"""What counts as an answer: the values of a type in a text, and the verdict on a generated one.

Each type is a file of this package with a subclass of :class:`~retrieval_heads.data.answers._type.AnswerType`. For
``state``, ``year`` and ``count`` a text holds any number of values, each with a canonical form ("CA" is California,
"16,042" is 16042), and the first one in the generated text decides. For ``text`` the words of the answer must stand
together in the first sentence.
"""

from functools import cache
from typing import NamedTuple

from retrieval_heads import plugins
from retrieval_heads.data.answers._letters import Value, loose
from retrieval_heads.data.answers._type import AnswerType
from retrieval_heads.errors import StudyError

__all__ = [
    "Judgement",
    "Value",
    "canonical",
    "find_values",
    "is_settled",
    "judge",
    "locate",
    "loose",
    "statements",
    "written",
]


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
    return list(_of_type(type).values(passage))


def canonical(answer: str, type: str) -> str:
    """The one way to write an answer, such as ``16042`` for "16,042" and ``Ohio`` for "Lancaster, OH".

    A ``text`` stays as it is written, but for white space.

    Raises
    ------
    StudyError
        when the answer holds no value of the type, or several.
    """
    try:
        return _of_type(type).canonical(answer)
    except ValueError as error:
        raise StudyError(f"The answer {answer!r} holds {error} of type {type}; give exactly one.") from None


def locate(passage: str, answer: str, type: str, start: int | None = None, within: range | None = None) -> Value | None:
    """Where a text states the answer the first time; None where it does not.

    Parameters
    ----------
    start : the character at which it must begin.
    within : the characters among which it must stand. What is around them is read too: it may tell a year from an
        address.
    """
    for value in _of_type(type).find(passage, canonical(answer, type)):
        if start in (None, value.start) and (within is None or within.start <= value.start < value.end <= within.stop):
            return value
    return None


def statements(passage: str, answer: str, type: str) -> list[Value]:
    """All places where a text states the answer, in order."""
    return list(_of_type(type).find(passage, canonical(answer, type)))


def written(answer: str, like: str, type: str) -> str:
    """An answer in the form in which a text writes another of its type, such as "OH" or "16,042"."""
    return _of_type(type).written(canonical(answer, type), like)


def judge(generated: str, answer: str, type: str, document: str = "", decoy: str | None = None) -> Judgement:
    """Judge a generated text by the first value of the question's type in it.

    Parameters
    ----------
    generated : what the model wrote.
    answer : the true answer, in any form that `canonical` takes.
    type : the name of a type.
    document : the needle's text, where a wrong value may come from.
    decoy : the value that the haystack states of somebody else, in any form that `canonical` takes.

    Returns
    -------
    Judgement
        ``contains`` is the reference study's rule, "the lower-cased answer occurs anywhere", which takes 14,860 for
        486; thousands separators do not matter to it. ``outcome`` is correct, decoy (the decoy's value), distractor
        (another value of the type that the document states), other, or empty (nothing but white space); a ``text`` has
        no distractors.
    """
    of_type, wanted = _of_type(type), canonical(answer, type)
    first = next(of_type.values(generated), None)
    if not generated.strip():
        outcome = "empty"
    elif first is None:
        outcome = "other"
    elif _begins_with(generated, wanted, first, of_type):
        outcome = "correct"
    elif decoy is not None and _begins_with(generated, canonical(decoy, type), first, of_type):
        outcome = "decoy"
    else:
        outcome = "distractor" if of_type.is_in(first, document) else "other"
    return Judgement(outcome == "correct", loose(wanted) in loose(generated), outcome)


def _begins_with(generated: str, answer: str, first: Value, of_type: AnswerType) -> bool:
    """Whether the first value of a text is an answer, in canonical form."""
    stated = next(of_type.find(generated, answer), None)
    return stated is not None and stated.start < first.end


def is_settled(generated: str, answer: str, type: str) -> bool:
    """Whether a text is a right answer already and gets the same verdict however it goes on.

    Generation may stop then. A ``text`` is never settled.
    """
    return _of_type(type).is_settled(generated, canonical(answer, type))


@cache
def _of_type(name: str) -> AnswerType:
    if name not in (known := plugins.names("data.answers")):
        raise StudyError(f"There is no answer type {name!r}; choose one of {', '.join(known)}.")
    return plugins.subclass("data.answers", name, AnswerType)()

"""What counts as an answer: the values of a type in a text, and the verdict on a generated one.

A question has one of four types. For ``state``, ``year`` and ``count`` a text holds any number of values, each with a
canonical form ("CA" is California, "16,042" is 16042), and the first one in the generated text decides. For ``text``
the words of the answer must stand together in the first sentence.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from retrieval_heads.errors import StudyError


class Value(NamedTuple):
    """A value in canonical form and the characters ``[start, end)`` of the text that state it."""

    value: str
    start: int
    end: int


class Judgement(NamedTuple):
    """The verdict on a generated text: by type, by the reference study's rule, and what kind of answer it was."""

    correct: bool
    contains: bool
    outcome: str


STATES = {
    "Alabama": "AL",
    "Alaska": "AK",
    "Arizona": "AZ",
    "Arkansas": "AR",
    "California": "CA",
    "Colorado": "CO",
    "Connecticut": "CT",
    "Delaware": "DE",
    "District of Columbia": "DC",
    "Florida": "FL",
    "Georgia": "GA",
    "Hawaii": "HI",
    "Idaho": "ID",
    "Illinois": "IL",
    "Indiana": "IN",
    "Iowa": "IA",
    "Kansas": "KS",
    "Kentucky": "KY",
    "Louisiana": "LA",
    "Maine": "ME",
    "Maryland": "MD",
    "Massachusetts": "MA",
    "Michigan": "MI",
    "Minnesota": "MN",
    "Mississippi": "MS",
    "Missouri": "MO",
    "Montana": "MT",
    "Nebraska": "NE",
    "Nevada": "NV",
    "New Hampshire": "NH",
    "New Jersey": "NJ",
    "New Mexico": "NM",
    "New York": "NY",
    "North Carolina": "NC",
    "North Dakota": "ND",
    "Ohio": "OH",
    "Oklahoma": "OK",
    "Oregon": "OR",
    "Pennsylvania": "PA",
    "Rhode Island": "RI",
    "South Carolina": "SC",
    "South Dakota": "SD",
    "Tennessee": "TN",
    "Texas": "TX",
    "Utah": "UT",
    "Vermont": "VT",
    "Virginia": "VA",
    "Washington": "WA",
    "West Virginia": "WV",
    "Wisconsin": "WI",
    "Wyoming": "WY",
}


def find_values(text: str, type: str) -> list[Value]:
    """All values of a type in order of appearance; a ``text`` has one at most, its first sentence.

    Raises
    ------
    StudyError
        when there is no such type.
    """
    return list(_finder(type)(text))


def canonical(answer: str, type: str) -> str:
    """The one way to write an answer, such as ``16042`` for "16,042" and ``Ohio`` for "Lancaster, OH".

    Raises
    ------
    StudyError
        when the answer holds no value of the type, or several.
    """
    if type == "text":
        values = {" ".join(word.value for word in _words(answer))} - {""}
    else:
        values = {found.value for found in find_values(answer, type)}
    if len(values) != 1:
        number = "several values" if values else "no value"
        raise StudyError(f"The answer {answer!r} holds {number} of type {type}; give exactly one.")
    return values.pop()


def locate(text: str, answer: str, type: str, start: int | None = None) -> Value | None:
    """Where a text states the answer: at character ``start`` if given, else the first time; None where it does not."""
    wanted = canonical(answer, type)
    found = _occurrences(text, wanted) if type == "text" else _finder(type)(text)
    return next((v for v in found if v.value == wanted and start in (None, v.start)), None)


def judge(generated: str, answer: str, type: str, context: str) -> Judgement:
    """Judge a generated text by the first value of the question's type in it.

    Parameters
    ----------
    generated : what the model wrote.
    answer : the true answer, in any form that `canonical` takes.
    type : one of `ANSWER_TYPES`.
    context : the prompt's text, where a wrong value may come from.

    Returns
    -------
    Judgement
        ``contains`` is the reference study's rule, "the lower-cased answer occurs anywhere", which takes 14,860 for
        486; thousands separators do not matter to it. ``outcome`` is correct, distractor (another value of the type
        that the context states), other, or empty (nothing but white space); a ``text`` has no distractors.
    """
    wanted = canonical(answer, type)
    first = next(_finder(type)(generated), None)
    if not generated.strip():
        outcome = "empty"
    elif first is None:
        outcome = "other"
    elif type == "text":
        sentence = generated[first.start : first.end]
        outcome = "correct" if locate(sentence, wanted, type) else "other"
    elif first.value == wanted:
        outcome = "correct"
    else:
        outcome = "distractor" if any(first.value == v.value for v in find_values(context, type)) else "other"
    contains = _loose(answer) in _loose(generated)
    return Judgement(outcome == "correct", contains, outcome)


def is_settled(generated: str, answer: str, type: str) -> bool:
    """Whether a text is a right answer already and stays one however it goes on, so that generation may stop."""
    if type == "text" or _loose(answer) not in _loose(generated):
        return False
    first = next(_finder(type)(generated), None)
    if first is None or first.value != canonical(answer, type):
        return False
    return bool((_SENTENCE_OVER if type == "state" else _PHRASE_OVER).match(generated, first.end))


# A comma could still make a state a city's name, and the next word a number one of dollars or "per cent".
_SENTENCE_OVER = re.compile(r"[.!?]\s+\S|\n")
_PHRASE_OVER = re.compile(rf"{_SENTENCE_OVER.pattern}|\s(?!per\b)[A-Za-z]+[^\w-]")


def _loose(text: str) -> str:
    return re.sub(r"(?<=\d),(?=\d{3})", "", text.strip().lower())


# --- state ---------------------------------------------------------------------------------------------------------

_BY_CODE = {code: name for name, code in STATES.items()}
_BY_NAME = {name.lower(): name for name in STATES}

# Codes that are words or common abbreviations in capitals: they mean a state only after a comma or on their own.
_WORD_CODES = {"CO", "HI", "ID", "IN", "LA", "MA", "MD", "ME", "MS", "OH", "OK", "OR", "PA"}

_names = "|".join(name.replace(" ", r"\s+") for name in sorted(STATES, key=len, reverse=True))
_plain_codes = "|".join(sorted(set(_BY_CODE) - _WORD_CODES))
_word_codes = "|".join(sorted(_WORD_CODES))

_STATE = re.compile(
    r"(?<![\w&])(?:"
    # A city named after a state it does not (or not only) lie in says nothing about the state.
    r"(?P<elsewhere>(?i:(?:arkansas|colorado|kansas|michigan|missouri|nevada|virginia)\s+city|maryland\s+heights)(?!\w))"
    r"|(?P<dc>(?i:(?:washington,?\s+)?d\.\s?c\.|washington,?\s+dc(?!\w)))"
    rf"|(?P<name>(?i:{_names})(?!\w))"
    rf"|(?P<code>(?:{_plain_codes}"
    rf"|(?<=,)(?:{_word_codes})(?!\s+[A-Z])|(?<=,\s)(?:{_word_codes})(?!\s+[A-Z])"
    rf"|(?m:(?<=^)(?:{_word_codes})(?=\W?\s*$)))(?![\w&'’-]))"
    r")"
)
_CITY_IN_STATE = re.compile(
    r"(?P<city>\s+(?:beach|bluff|center|city|court house|falls|grove|heights|mills|park|springs))?,\s*", re.IGNORECASE
)
_IN_LIST = re.compile(r",\s*|,?\s+(?:and|or|&)\s+", re.IGNORECASE)


def _states(text: str) -> Iterator[Value]:
    indent = len(text) - len(text.lstrip())
    found = [
        Value(_state_name(match), match.start() + indent, match.end() + indent)
        for match in _STATE.finditer(text.lstrip())
        if not match["elsewhere"]
    ]
    gaps = [text[a.end : b.start] for a, b in pairwise(found)]
    for i, value in enumerate(found):
        city = _CITY_IN_STATE.fullmatch(gaps[i]) if i < len(gaps) else None
        # "Delaware, Ohio" is a city, "Delaware, Ohio and Texas" are three states.
        in_list = any(_IN_LIST.fullmatch(gaps[j]) for j in (i - 1, i + 1) if 0 <= j < len(gaps))
        if not city or (in_list and not city["city"]):
            yield value


def _state_name(match: re.Match) -> str:
    if match["dc"]:
        return "District of Columbia"
    return _BY_CODE[match["code"]] if match["code"] else _BY_NAME[" ".join((match["name"] or "").lower().split())]


# --- year and count ------------------------------------------------------------------------------------------------

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_NUMBER_STARTS = r"(?<![\w$€£¥.])(?<!\d,)(?<![$€£¥]\s)"
_NUMBER_ENDS = r"(?!\w|[.,]\d|\s?%)"

_YEAR = re.compile(rf"{_NUMBER_STARTS}(?:1[6-9]|20)\d\d{_NUMBER_ENDS}")
_COUNT = re.compile(
    # Days, years of dates and numbers of sections would otherwise come before the count in "As of May 31, 2024, ...".
    rf"(?P<label>\b(?:{_MONTHS})\s+\d{{1,2}}(?:,\s*\d{{4}})?(?!\w|,\d)|\b(?i:item|note|part|section|rule|exhibit)\s+\d+\b)"
    rf"|{_NUMBER_STARTS}(?P<count>\d{{1,3}}(?:,\d{{3}})+|\d+){_NUMBER_ENDS}"
    r"(?!-?[A-Za-z]|\s(?i:percent|per\s+cent|dollars|thousand|million|billion))"
)


def _years(text: str) -> Iterator[Value]:
    for match in _YEAR.finditer(text):
        yield Value(match[0], match.start(), match.end())


def _counts(text: str) -> Iterator[Value]:
    for match in _COUNT.finditer(text):
        if match["count"]:
            yield Value(str(int(match["count"].replace(",", ""))), match.start(), match.end())


# --- text ----------------------------------------------------------------------------------------------------------

_ARTICLES = {"a", "an", "the"}
_WORD = re.compile(r"\w+(?:['’]\w+)*")
# Four letters, because a shorter word before a full stop is often an abbreviation ("Acme Inc. of Dover").
_FIRST_SENTENCE = re.compile(r"\S.*?(?:(?<=[a-z\d]{4})[.!?](?=\s)|$)", re.MULTILINE)


def _words(text: str) -> Iterator[Value]:
    for match in _WORD.finditer(text):
        word = re.sub(r"['’_]", "", match[0].casefold())
        if word and word not in _ARTICLES:
            yield Value(word, match.start(), match.end())


def _sentences(text: str) -> Iterator[Value]:
    if (match := _FIRST_SENTENCE.search(text)) and (words := list(_words(match[0]))):
        yield Value(" ".join(w.value for w in words), match.start() + words[0].start, match.start() + words[-1].end)


def _occurrences(text: str, answer: str) -> Iterator[Value]:
    words, wanted = list(_words(text)), answer.split()
    for i in range(len(words) - len(wanted) + 1):
        if [word.value for word in words[i : i + len(wanted)]] == wanted:
            yield Value(answer, words[i].start, words[i + len(wanted) - 1].end)


_FINDERS: dict[str, Callable[[str], Iterator[Value]]] = {
    "state": _states,
    "year": _years,
    "count": _counts,
    "text": _sentences,
}
ANSWER_TYPES = tuple(_FINDERS)


def _finder(type: str) -> Callable[[str], Iterator[Value]]:
    if type not in _FINDERS:
        raise StudyError(f"There is no answer type {type!r}; choose one of {', '.join(ANSWER_TYPES)}.")
    return _FINDERS[type]

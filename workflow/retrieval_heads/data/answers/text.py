"""Answers in words of any script: those of the true answer must stand together in the first sentence."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from retrieval_heads.data.answers._letters import JOINED, LETTER, Value, fold, same
from retrieval_heads.data.answers._numbers import NAMED
from retrieval_heads.data.answers._type import AnswerType


class _Word(NamedTuple):
    """A word as it is compared, the characters that write it, and whether a hyphen or sign ties it to the next."""

    word: str
    start: int
    end: int
    tied: bool


# Signs that stand at a word make it another: C++, C#, $3, 3%, -3, A+, BBB-.
_WORD = re.compile(
    rf"""(?:\$\ ?(?=\d) | [#@+$°]+ | (?<![\w)])-(?=\d))?
    (?: \d+(?:[.,']\d+)*(?:{LETTER}+(?:'{LETTER}+)*)? | [{JOINED}]_* | {LETTER}+(?:'{LETTER}+)* | & )
    (?: \ ?[%‰](?!\w) | [+\#%‰°^]+ | (?: (?<=\b[A-Z]) | (?<=\b[A-Z]{{2}}) | (?<=\b[A-Z]{{3}}) )-(?![\w-]) )?""",
    re.VERBOSE,
)
_NAME_GOES_ON = re.compile(r"-(?=[A-Z\d])|&(?=\w)")
_PARTICLE = re.compile(
    "은|는|이|가|을|를|의|에|와|과|로|도|만|에서|에게|으로|이다|입니다|이며|이고|였다|이었다|부터|까지"
)

# A full stop after these ends no sentence, whatever follows.
_TITLE = re.compile(
    "mr|mrs|ms|dr|prof|st|ste|mt|ft|gen|col|maj|capt|lt|sgt|adm|rev|hon|gov|sen|rep|pres|vs|ca|mme|hr|fr|ул|им"
)
_BEFORE_NUMBER = re.compile("nos?|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|pp?|vol|fig|sec|art|approx")
_NAMED = re.compile(rf"{NAMED}|vitamin|plan|option|group|hepatitis|team|unit|category|letter")
_STOP = re.compile(r"\n|[!?]+[\"')\]”»]*(?=\s)|(?<!\.)\.(?!\.)[\"')\]”»]*(?=\s)")


class Text(AnswerType):
    """Answers in words of any script: those of the true answer must stand together in the first sentence."""

    def values(self, text: str) -> Iterator[Value]:
        """The first sentence, if the text has one."""
        words = _words(text)
        if words:
            end = _sentence_end(fold(text), words[0].start)
            inside = [word for word in words if word.start < end]
            yield Value(" ".join(word.word for word in inside), inside[0].start, inside[-1].end)

    def canonical(self, answer: str) -> str:
        """The answer as it is written, with single blanks."""
        if not _words(answer):
            raise ValueError("no value")
        return " ".join(answer.split())

    def written(self, answer: str, like: str) -> str:
        """In capitals, or with one to begin with, where the other one is."""
        if like.isupper():
            return answer.upper()
        return answer[:1].upper() + answer[1:] if like[:1].isupper() else answer

    def find(self, text: str, answer: str) -> Iterator[Value]:
        """Where the words of the answer stand in a row; a leading article of the answer may be missing."""
        words, asked = _words(text), [word.word for word in _words(answer)]
        forms = [asked]
        if len(asked) > 1 and (asked[0] == "the" or re.match(r"\W*an? ", answer)):
            forms.append(asked[1:])
        place = 0
        while place < len(words):
            for wanted in forms:
                row = words[place : place + len(wanted)]
                if (end := _end(text, row, wanted)) is not None and not (place and words[place - 1].tied):
                    yield Value(answer, row[0].start, end)
                    place += len(wanted) - 1
                    break
            place += 1

    def is_in(self, value: Value, document: str) -> bool:
        """Never: a sentence is no value of which a document could hold others."""
        return False

    def is_settled(self, generated: str, answer: str) -> bool:
        """Never: the sentence may go on."""
        return False


def _words(text: str) -> list[_Word]:
    plain = fold(text)
    return [
        _Word(_as_compared(text[m.start() : m.end()]), m.start(), m.end(), bool(_NAME_GOES_ON.match(plain, m.end())))
        for m in _WORD.finditer(plain)
    ]


def _as_compared(word: str) -> str:
    if word in "&＆":
        return "and"
    word = re.sub(r"[' ]", "", same(word))
    return re.sub(r"(?<=\d),(?=\d{3}(?:,|$))", "", word)


def _end(text: str, row: list[_Word], wanted: list[str]) -> int | None:
    """Where a row of words ends; None where it is not the one that is wanted. A Korean particle is no part of it."""
    if [word.word for word in row[:-1]] != wanted[:-1] or len(row) < len(wanted) or row[-1].tied:
        return None
    last, word = row[-1], wanted[-1]
    if last.word == word:
        return last.end
    if last.word.startswith(word) and _PARTICLE.fullmatch(last.word, len(word)):
        ends = range(last.start + 1, last.end + 1)
        return next((end for end in ends if _as_compared(text[last.start : end]) == word), None)
    return None


def _sentence_end(plain: str, start: int) -> int:
    for stop in _STOP.finditer(plain, start):
        after = plain[stop.end() :].lstrip()
        if not stop[0].startswith("."):
            return stop.start()
        words = re.findall(r"\w+|\.", plain[start : stop.start()])
        last = words[-1].casefold() if words else ""
        if after[:1].islower() or _TITLE.fullmatch(last):
            continue
        if _BEFORE_NUMBER.fullmatch(last) and after[:1].isdecimal():
            continue
        # "Vitamin K." ends a sentence, "John K." does not; nor does the number of an entry in a list.
        initial = len(last) == 1 and last.isalpha() and (len(words) < 2 or not _NAMED.fullmatch(words[-2].casefold()))
        if not initial and not (len(words) == 1 and last.isdecimal()):
            return stop.start()
    return len(plain)

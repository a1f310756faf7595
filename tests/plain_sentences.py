"""Whether the findings' sentences are short: at most 25 words, and the statistics behind them in brackets.

What a study calls a model, a method or a question counts as one word, however many it has: it is one thing to a reader,
who chose it, and no wording of a sentence makes it shorter.
"""

import re
from collections.abc import Iterable

from retrieval_heads.study.dimensions import DIMENSION, OTHERS
from retrieval_heads.study.study import Study

MOST_WORDS = 25

_BRACKETS = re.compile(r"\([^()]*(?:\([^()]*\)[^()]*)*\)")
_TEST = re.compile(r"\bp (?:=|<|>|≤|≥)")


def sentences(text: str) -> list[str]:
    """A text's sentences, without what stands in brackets."""
    return [part for part in re.split(r"(?<=[.!?;])\s+(?=[A-Z“])", _BRACKETS.sub("", text)) if part]


def words(sentence: str) -> int:
    """How many words a sentence has; numbers count."""
    return len(re.findall(r"[\w%.,’'−-]*\w[\w%.,’'−-]*", sentence))


def names(study: Study) -> list[str]:
    """What a study calls the values of its dimensions, the longest first."""
    words = [one.name for one in (*DIMENSION.values(), *OTHERS.values()) if one.kind == "text"]
    return sorted({study.label(one, value) for one in words for value in study.configured(one)}, key=len, reverse=True)


def faults(text: str, names: Iterable[str] = ()) -> list[str]:
    """What is wrong with a text: sentences that are too long, tests outside brackets, two tests in one bracket.

    Parameters
    ----------
    names : each of which counts as one word, as :func:`names` of a study.
    """
    for name in names:
        text = text.replace(name, "Name")
    found = [f"{words(part)} words: {part}" for part in sentences(text) if words(part) > MOST_WORDS]
    found += [f"a test outside brackets: {part}" for part in sentences(text) if _TEST.search(part)]
    found += [f"two tests in one bracket: {part}" for part in _BRACKETS.findall(text) if len(_TEST.findall(part)) > 1]
    return found

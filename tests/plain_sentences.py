"""Whether the findings' sentences are short: at most 25 words, and the statistics behind them in brackets."""

import re

MOST_WORDS = 25

_BRACKETS = re.compile(r"\([^()]*(?:\([^()]*\)[^()]*)*\)")
_TEST = re.compile(r"\bp (?:=|<|>|≤|≥)")


def sentences(text: str) -> list[str]:
    """A text's sentences, without what stands in brackets."""
    return [part for part in re.split(r"(?<=[.!?;])\s+(?=[A-Z“])", _BRACKETS.sub("", text)) if part]


def words(sentence: str) -> int:
    """How many words a sentence has; numbers count."""
    return len(re.findall(r"[\w%.,’'−-]*\w[\w%.,’'−-]*", sentence))


def faults(text: str) -> list[str]:
    """What is wrong with a text: sentences that are too long, tests outside brackets, two tests in one bracket."""
    found = [f"{words(part)} words: {part}" for part in sentences(text) if words(part) > MOST_WORDS]
    found += [f"a test outside brackets: {part}" for part in sentences(text) if _TEST.search(part)]
    found += [f"two tests in one bracket: {part}" for part in _BRACKETS.findall(text) if len(_TEST.findall(part)) > 1]
    return found

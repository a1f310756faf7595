"""Whether two texts use the same words: a prefix that shares none with the needle gives nothing to continue."""

import re

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SLOT = re.compile(r"\{\w+\}")

# Words that say how others hang together, and so stand in every text.
_FUNCTION = re.compile(
    r"a|about|above|after|again|all|also|am|among|an|and|any|are|as|at|be|because|been|before|"
    r"being|below|between|both|but|by|can|could|did|do|does|down|during|each|either|else|ever|"
    r"every|few|for|from|further|had|has|have|he|her|here|hers|him|his|how|i|if|in|into|is|it|"
    r"its|itself|may|me|might|more|most|must|my|neither|no|nor|not|now|of|off|on|once|one|only|"
    r"or|other|our|ours|out|over|own|per|shall|she|should|since|so|some|still|such|than|that|"
    r"the|their|theirs|them|then|there|these|they|this|those|through|to|too|toward|towards|under|"
    r"until|up|upon|us|very|was|we|were|what|when|where|whether|which|while|who|whom|whose|why|"
    r"will|with|within|without|would|you|your|yours"
)

_STEM = 5
"""How many letters make a word the same as another, such as "incorporated" and "incorporation"."""


def content_words(text: str) -> list[str]:
    """The words of a text that say something by themselves, in lower case; slots such as ``{answer}`` are none."""
    words = [word.lower() for word in _WORD.findall(_SLOT.sub(" ", text))]
    return [word for word in words if not _FUNCTION.fullmatch(word)]


def shared_content_words(one: str, other: str) -> set[str]:
    """The content words of one text that another has too.

    Two words count as the same if they begin with the same five letters, or if one of them, where it is shorter, begins
    the other: so all forms of a word are one, and now and then words that have nothing to do with each other.
    """
    others = {word[:_STEM] for word in content_words(other)}
    return {
        word
        for word in content_words(one)
        if any(stem.startswith(word[:_STEM]) or word[:_STEM].startswith(stem) for stem in others)
    }


def last_word(text: str) -> str:
    """The last word of a text, in lower case; empty where it has none."""
    words = _WORD.findall(text)
    return words[-1].lower() if words else ""

"""What all grammars read: a text in which every character has become the plain one that stands for it."""

import re
import unicodedata
from typing import NamedTuple


class Value(NamedTuple):
    """A value in canonical form and the characters ``[start, end)`` of the text that state it."""

    value: str
    start: int
    end: int


JOINED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3041-\u3096\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Ranges of the scripts that put no blank between words: Thai, Lao, Burmese, Khmer, Hiragana, and Han."""

LETTER = rf"[^\W{JOINED}]"
"""A letter, digit or mark of a script with blanks between words."""

BESIDE = rf"[^\W{JOINED}\u1100-\u11ff\uac00-\ud7a3]"
"""A letter, digit or mark that makes a number directly beside it another word: those but for Hangul."""

_WRITTEN = str.maketrans({**dict.fromkeys("’‘ʼ′´`", "'"), **dict.fromkeys("‐‑‒–−", "-")})
_IN_WORDS = "\u00ad\u200c\u200d\u2060"  # characters that join or break a word and change none
_SINGLES = {
    **{chr(code): plain for code, plain in _WRITTEN.items()},
    **dict.fromkeys("—―", ";"),  # stands between words, never in one
    **dict.fromkeys("。｡！？।॥؟۔።։។॥", "\n"),  # ends a sentence without a blank after it
    **dict.fromkeys(_IN_WORDS, "_"),
    "٪": "%",
    "_": " ",
}


class _Fold(dict):
    """Code point → the one that stands for it, found out when it is first met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        plain = _SINGLES.get(char) or _plain(char)
        self[code] = plain
        return plain


def _plain(char: str) -> str:
    category = unicodedata.category(char)
    if category.startswith("M"):
        return "_"
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Sc":
        return "$"
    if category in ("Zs", "Cf"):
        return " "
    compatible = unicodedata.normalize("NFKC", char)
    if category == "No" and compatible.isdecimal():
        return "^"  # a footnote's mark, or the square of a unit: no digit of the number before it
    return compatible if len(compatible) == 1 else char


_FOLD = _Fold()


def fold(text: str) -> str:
    """A text of the same length in plain characters, so that places in both are the same.

    Digits of any script become ASCII, currency signs ``$``, blanks of any width a blank, apostrophes ``'``, hyphens
    ``-``, stops that need no blank after them a line break; marks such as accents and vowel signs become ``_``, which a
    regular expression takes for a letter, and an underscore a blank.
    """
    return text.translate(_FOLD)


def same(text: str) -> str:
    """A text as it is compared: compatible forms and cases folded, accents composed, white space single."""
    text = re.sub(f"[{_IN_WORDS}]", "", text).translate(_WRITTEN)
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def loose(text: str) -> str:
    """A text as the reference study's rule compares it: as :func:`same`, without separators of thousands."""
    return re.sub(r"(?<=\d)(?:,(?=\d\d)|[ '](?=\d{3}(?!\d)))", "", same(text))

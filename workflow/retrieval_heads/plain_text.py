"""Text of users, files and models, where a terminal or Markdown would take signs in it for commands."""

import re
import unicodedata

_BREAKS = "\t\n\r"
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""What turns the direction of writing, for whatever follows it."""

_SIGNS = re.compile(r"([\\`*_<\[\]$~]|&(?=#?\w+;))")
"""What Markdown reads as markup, mathematics or an entity."""

_BEGINNING = re.compile(r"(#{1,6}(?=\s|$)|[+-](?=[\s-]|$)|>|\d+(?=[.)](?:\s|$)))")
"""What makes a line a heading, an item, a quotation or a rule where it begins so."""

REFERENCE = r"\{(?:figure|table):\w+\}"
"""By what texts of the findings refer to a figure or table; no text of a config has it."""


def printable(text: object) -> str:
    """Text in one line, in which what is no printable sign is written as its escape, as in ``\\x1b``."""
    line = " ".join(str(text).split("\n"))
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)


def printable_lines(text: object) -> str:
    """The same for each line of a text."""
    return "\n".join(map(printable, str(text).split("\n")))


def commanding(text: str) -> str | None:
    """The first sign of a text that commands what shows it, if there is one: a control character other than tabs and
    line breaks, or one that turns the direction of writing."""
    return next((sign for sign in text if _commands(sign)), None)


def markdown(text: str) -> str:
    """Text in which Markdown reads nothing but that text."""
    return _SIGNS.sub(r"\\\1", text)


def paragraph(text: str) -> str:
    """Markdown that begins a paragraph or an item, and that no sign at its beginning makes anything else."""
    text = text.lstrip()
    found = _BEGINNING.match(text)
    at = 0 if found is None else found.end() if found[0].isdigit() else found.start()
    return text if found is None else f"{text[:at]}\\{text[at:]}"


def _commands(sign: str) -> bool:
    return sign in _TURNING or (unicodedata.category(sign) in ("Cc", "Zl", "Zp") and sign not in _BREAKS)

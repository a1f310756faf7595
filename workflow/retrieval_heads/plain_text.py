"""Text of users, files and models, in which a terminal would take signs for commands."""

import unicodedata

_BREAKS = "\t\n\r"
_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""What turns the direction of writing, for whatever follows it."""


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


def _commands(sign: str) -> bool:
    return sign in _TURNING or (unicodedata.category(sign) in ("Cc", "Zl", "Zp") and sign not in _BREAKS)

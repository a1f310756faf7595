"""Text of users in Markdown, which would take signs in it for markup."""

import re

_SIGNS = re.compile(r"([\\`*_<\[\]$~]|&(?=#?\w+;))")
"""What Markdown reads as markup, mathematics or an entity."""

_BEGINNING = re.compile(r"(#{1,6}(?=\s|$)|[+-](?=[\s-]|$)|>|\d+(?=[.)](?:\s|$)))")
"""What makes a line a heading, an item, a quotation or a rule where it begins so."""


def escaped(text: str) -> str:
    """Text in which Markdown reads nothing but that text."""
    return _SIGNS.sub(r"\\\1", text)


def paragraph(text: str) -> str:
    """Markdown that begins a paragraph or an item, and that no sign at its beginning makes anything else."""
    text = text.lstrip()
    found = _BEGINNING.match(text)
    at = 0 if found is None else found.end() if found[0].isdigit() else found.start()
    return text if found is None else f"{text[:at]}\\{text[at:]}"

"""The words that the findings explain, and where a text uses them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from retrieval_heads.reading import read_yaml

_MARKUP = re.compile(r"(\*\*|\*)(.+?)\1")


@dataclass(frozen=True)
class Term:
    """A word with what it means."""

    names: tuple[str, ...]
    text: str
    """What it means; words in ``**`` are strong, those in ``*`` are symbols."""

    symbol: str = ""
    forms: tuple[str, ...] = ()
    """The words in a sentence that mean it."""

    @property
    def anchor(self) -> str:
        """Where a page explains it."""
        return "term-" + re.sub(r"\W+", "-", self.names[0].lower())

    @property
    def plain(self) -> str:
        """What it means, without markup."""
        return _MARKUP.sub(r"\2", self.text)

    def parts(self) -> Iterator[tuple[str, str]]:
        """What it means, in pieces, each with its markup: ``**``, ``*`` or none."""
        done = 0
        for match in _MARKUP.finditer(self.text):
            yield "", self.text[done : match.start()]
            yield match[1], match[2]
            done = match.end()
        yield "", self.text[done:]


@dataclass(frozen=True)
class Terms:
    """Words about one thing."""

    title: str
    terms: Sequence[Term]


@dataclass(frozen=True)
class Words:
    """The words of all groups, to be found in texts."""

    groups: Sequence[Terms]
    names: Sequence[str] = ()
    """What stands in texts as a name, such as that of a method: no word in it is one of these."""

    @classmethod
    def read(cls, path: Path, names: Sequence[str] = ()) -> "Words":
        """The words of ``report/glossary.yaml``.

        Raises
        ------
        StudyError
            when it is no YAML.
        """
        groups = [Terms(group["title"], [_term(entry) for entry in group["terms"]]) for group in read_yaml(path, _FIX)]
        return cls(groups, names)

    @cached_property
    def _by_form(self) -> Mapping[str, Term]:
        return {form.lower(): term for group in self.groups for term in group.terms for form in term.forms}

    @cached_property
    def _pattern(self) -> re.Pattern:
        # The longest first, so that "top set" is not taken for something shorter that begins alike.
        forms = sorted({*self._by_form, *filter(None, self.names)}, key=lambda form: (-len(form), form))
        return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, forms))})(?![\w-])", re.IGNORECASE)

    def first_uses(self, text: str, known: set[str]) -> Iterator[tuple[str, Term | None]]:
        """A text in pieces, each with the term that it is a first use of, or None.

        Parameters
        ----------
        known : the anchors of the terms that were used before; those that are found are added.
        """
        done = 0
        for match in self._pattern.finditer(text) if self._by_form else ():
            term = None if match[0] in self.names else self._by_form.get(match[0].lower())
            if term is not None and term.anchor not in known:
                known.add(term.anchor)
                yield text[done : match.start()], None
                yield match[0], term
                done = match.end()
        yield text[done:], None


_FIX = "write it as groups of terms, each with names and a text"


def _term(entry: Mapping) -> Term:
    names = tuple(entry["names"])
    forms = entry.get("forms", [form for name in names for form in (name, f"{name}s")])
    return Term(names, entry["text"], entry.get("symbol", ""), tuple(forms))

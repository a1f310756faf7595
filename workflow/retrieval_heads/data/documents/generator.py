"""Generated "Item 1. Business" sections, put together from the templates in ``resources/documents``.

A document names its company and what it makes, states up to four facts, and fills up with distractors (values of the
same types that answer nothing) and sentences that hold no value of any type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from retrieval_heads.data.answers import canonical
from retrieval_heads.data.answers.state import STATES
from retrieval_heads.errors import StudyError
from retrieval_heads.reading import read_yaml
from retrieval_heads.seeds import generator

if TYPE_CHECKING:
    import numpy as np

KEYS = {
    "train": {
        "type": "integer",
        "minimum": 0,
        "maximum": 1000000,
        "description": "Documents that rankings are made from.",
    },
    "test": {
        "type": "integer",
        "minimum": 0,
        "maximum": 1000000,
        "description": "Documents that ablation is measured on.",
    },
    "missing_rate": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.1,
        "description": "Share of facts that a document does not state.",
    },
    "variety": {
        "type": "integer",
        "minimum": 1,
        "default": 6,
        "description": "How many phrasings of each fact are in use, from the plainest on.",
    },
    "distractors": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0.5,
        "description": "Density of other values of the same kind, such as a predecessor's year or a plant's state.",
    },
    "templates": {
        "type": "string",
        "format": "path",
        "default": "resources/documents",
        "description": "Folder with the generator's phrasings and vocabularies.",
    },
}

FACTS = {"inc_state": "state", "inc_year": "year", "employee_count": "count", "hq_state": "state"}

_TITLE = "Item 1. Business"
# Words that a document fills up to, which keeps it between 150 and 500 tokens whatever facts and distractors it has.
_WORDS = (132, 285)
_LAST_YEAR = 2025

_SLOT = re.compile(r"\{(\w+)\}")
_TRADE_SLOTS = ("product", "customer", "material")
_SLOTS = {"company", "short", *_TRADE_SLOTS, *(f"{slot}2" for slot in _TRADE_SLOTS)}
_VALUE_SLOTS = {"earlier_year", "later_year", "fiscal_year", "state", "count", "small_count", "city", "other"}


class Templates(NamedTuple):
    """The contents of the four template files.

    facts : per fact its phrasings, the plainest first.
    distractors : per kind of distractor its phrasings.
    fillers : per topic its sentences; ``introduction`` holds the first sentences of documents.
    vocabulary : the words of company names, cities, and per industry what fills the slots of sentences.
    """

    facts: dict[str, list[str]]
    distractors: dict[str, list[str]]
    fillers: dict[str, list[str]]
    vocabulary: dict[str, Any]


class _Sentence(NamedTuple):
    """A sentence, and which fact it states at which of its characters, if it states one."""

    text: str
    fact: str | None = None
    start: int = 0


def check(config: dict, packages: bool) -> None:
    """Refuse questions that generated documents do not answer, and templates that are not there or not sound."""
    folder = config["documents"]["templates"]
    if not Path(folder).is_dir():
        raise StudyError(f"documents.templates: there is no folder {folder}; check the path.")
    _require_facts(config["questions"])
    load_templates(folder)


def files(config: dict) -> list[str]:
    """The templates."""
    return sorted(map(str, Path(config["documents"]["templates"]).glob("*.yaml")))


def make(config: dict, seed: int) -> Iterator[dict]:
    """Generate the documents of both splits, one dict each, for ``documents.make_documents``.

    Reads from ``config["documents"]`` how many documents of each split to make (train, test), the probability that a
    fact is left out (missing_rate), how many phrasings of each fact to use, from the plainest (variety),
    the share of distractors to keep (distractors), and the folder of the templates (templates).
    """
    options = config["documents"]
    _require_facts(config["questions"])
    templates = load_templates(options["templates"])
    for parity, split in enumerate(("train", "test")):
        for number in range(1, options[split] + 1):
            name = _company_name(seed, 2 * number + parity, templates.vocabulary)
            text, answers = _write(
                partial(generator, seed, "documents", split, number),
                templates,
                name,
                missing_rate=options["missing_rate"],
                variety=options["variety"],
                density=options["distractors"],
            )
            row: dict[str, object] = {"doc_id": f"{split}-{number:04d}", "split": split, "text": text}
            for question in config["questions"]:
                row[question], row[f"{question}_start"] = answers.get(question, (None, None))
            yield row


_SUBJECT = r"[Tt]he (?:company|[Rr]egistrant)"  # what documents call their company beside its name


def decoys(config: dict) -> Callable[[str, str, np.random.Generator], str]:
    """What tells a sentence of a document as one about another company: of (text, sentence, generator) → sentence.

    The words are the sentence's own, but for who it is about: what calls the document's company has the name of another
    one in its place, and a sentence that calls it nothing, as in the first person, is what that other one states. One
    generator draws one name.
    """
    words = load_templates(config["documents"]["templates"]).vocabulary
    first, second, trades, endings = (
        "|".join(map(re.escape, words[key])) for key in ("first", "second", "industries", "endings")
    )
    named = re.compile(rf"\b((?:{first}) (?:{second}))\b(?: (?:{trades})(?:{endings})?)?")
    subject = re.compile(rf"\b{_SUBJECT}\b|{named.pattern}")

    def decoy(text: str, sentence: str, rng: np.random.Generator) -> str:
        taken = {match[1] for match in named.finditer(text)}
        while (other := f"{_pick(rng, words['first'])} {_pick(rng, words['second'])}") in taken:
            pass
        told, changes = subject.subn(other, sentence)
        return told if changes else f"{other} states: {sentence}"

    return decoy


def _require_facts(questions: dict[str, dict]) -> None:
    for question, entry in questions.items():
        if FACTS.get(question) != entry["type"]:
            known = ", ".join(f"{fact} ({type})" for fact, type in FACTS.items())
            raise StudyError(f"questions.{question}: the generator of documents knows no such fact; it knows {known}.")


def load_templates(folder: str | Path) -> Templates:
    """Read the four template files of a folder.

    Raises
    ------
    StudyError
        when a file is missing, is no YAML, or does not have its form.
    """
    paths = {part: Path(folder) / f"{part}.yaml" for part in Templates._fields}
    templates = Templates(**{part: _load(path) for part, path in paths.items()})
    for part, slots in (
        ("facts", _SLOTS | {"answer", "hq_city"}),
        ("distractors", _SLOTS | _VALUE_SLOTS),
        ("fillers", _SLOTS),
    ):
        for key, sentences in getattr(templates, part).items():
            if not _is_texts(sentences):
                raise StudyError(f"{paths[part]}: {key} must be a list of sentences.")
            if unknown := set(_SLOT.findall(" ".join(sentences))) - slots:
                raise StudyError(
                    f"{paths[part]}: {key} has the slot {{{min(unknown)}}}; use {', '.join(sorted(slots))}."
                )
    for fact in FACTS:
        phrasings = templates.facts.get(fact, [])
        if not phrasings or any(phrasing.count("{answer}") != 1 for phrasing in phrasings):
            raise StudyError(f"{paths['facts']}: {fact} must be a list of sentences with one {{answer}} each.")
    if "introduction" not in templates.fillers or len(templates.fillers) < 2:
        raise StudyError(
            f"{paths['fillers']}: give the topic introduction, with first sentences, and at least one other."
        )
    words = templates.vocabulary
    for key in ("first", "second", "endings", "cities"):
        if not _is_texts(words.get(key)):
            raise StudyError(f"{paths['vocabulary']}: {key} must be a list of words.")
    industries = words.get("industries")
    if not (isinstance(industries, dict) and industries) or not all(
        isinstance(trade, dict) and all(_is_texts(trade.get(slot)) for slot in _TRADE_SLOTS)
        for trade in industries.values()
    ):
        raise StudyError(f"{paths['vocabulary']}: each of industries must list its {', '.join(_TRADE_SLOTS)}.")
    return templates


def _load(path: Path) -> dict:
    try:
        content = read_yaml(path, "correct this template file")
    except OSError as error:
        raise StudyError(f"{path}: cannot read this template file; set documents.templates to its folder.") from error
    if not isinstance(content, dict):
        raise StudyError(f"{path}: this template file must map names to lists.")
    return content


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _company_name(seed: int, number: int, vocabulary: dict) -> str:
    """The name of a company: a walk through all names, which meets none twice before it has met all."""
    first, second = vocabulary["first"], vocabulary["second"]
    total = len(first) * len(second)
    offset, step = (int(draw) for draw in generator(seed, "documents", "companies").integers(1, total + 1, 2))
    while gcd(step, total) > 1:
        step += 1
    a, b = divmod((offset + number * step) % total, len(second))
    return f"{first[a]} {second[b]}"


def _write(
    stream: Callable[..., np.random.Generator],
    templates: Templates,
    name: str,
    missing_rate: float,
    variety: int,
    density: float,
) -> tuple[str, dict[str, tuple[str, int]]]:
    """Write a document: its text, and per stated fact the canonical answer with its start in the text.

    Every kind of choice draws from a stream of its own, so that a setting changes no more of a document than it says.
    """
    slots = _Slots(stream("slots"), templates.vocabulary, name)

    rng = stream("facts")
    facts = []
    for fact, answer in slots.answers.items():
        phrasings = templates.facts[fact][:variety]
        phrasing = phrasings[int(rng.random() * len(phrasings))]
        before, after = phrasing.split("{answer}")
        before, after = slots.fill(before), slots.fill(after)
        if rng.random() >= missing_rate:
            facts.append(_Sentence(before + answer + after, fact, len(before)))

    rng = stream("distractors")
    distractors = []
    for phrasings in templates.distractors.values():
        sentence = _Sentence(slots.fill(_pick(rng, phrasings)))
        if rng.random() < density:
            distractors.append(sentence)

    rng = stream("fillers")
    target = rng.integers(*_WORDS)
    introduction = _Sentence(slots.fill(_pick(rng, templates.fillers["introduction"])))
    words = sum(len(sentence.text.split()) for sentence in (introduction, *facts, *distractors))
    paragraphs: list[list[_Sentence]] = []
    for topic in _shuffled(rng, [topic for topic in templates.fillers if topic != "introduction"]):
        paragraphs.append([])
        for template in _shuffled(rng, templates.fillers[topic])[: rng.integers(2, 5)]:
            paragraphs[-1].append(_Sentence(slots.fill(template)))
            words += len(paragraphs[-1][-1].text.split())
            if words >= target:
                break
        if words >= target:
            break

    rng = stream("order")
    for sentence in facts + distractors:
        paragraph = paragraphs[rng.integers(len(paragraphs))]
        paragraph.insert(int(rng.integers(len(paragraph) + 1)), sentence)
    paragraphs[0].insert(0, introduction)
    text, starts = _join(paragraphs)
    return text, {fact: (canonical(slots.answers[fact], FACTS[fact]), start) for fact, start in starts.items()}


def _join(paragraphs: list[list[_Sentence]]) -> tuple[str, dict[str, int]]:
    text, starts = _TITLE, {}
    for paragraph in paragraphs:
        separator = "\n\n"
        for sentence in paragraph:
            text += separator
            if sentence.fact:
                starts[sentence.fact] = sentence.start + len(text)
            text += sentence.text
            separator = " "
    return text, starts


class _Slots:
    """What fills the slots of a document's sentences: company, trade and answers, and values that are none of these."""

    def __init__(self, rng: np.random.Generator, vocabulary: dict, name: str):
        self.rng = rng
        self.vocabulary = vocabulary
        industry = _pick(rng, list(vocabulary["industries"]))
        self.fixed = {"short": name, "company": f"{name} {industry}{_pick(rng, vocabulary['endings'])}"}
        self.fixed["hq_city"] = _pick(rng, vocabulary["cities"])
        for slot in _TRADE_SLOTS:
            words = _shuffled(rng, vocabulary["industries"][industry][slot])
            self.fixed |= {slot: words[0], f"{slot}2": words[-1]}
        # All states are as likely, so that the question alone does not tell the answer.
        home, headquarters, *others = _shuffled(rng, [state for state in STATES if state != "District of Columbia"])
        self.states = cycle(others)
        self.year = int(rng.integers(1885, 2011))
        self.employees = self._count(50, 80_000)
        self.answers = {
            "inc_state": home,
            "inc_year": str(self.year),
            "employee_count": f"{self.employees:,}",
            "hq_state": headquarters,
        }

    def fill(self, template: str) -> str:
        """The template with its slots filled, and a capital to begin with."""
        text = _SLOT.sub(lambda match: self.fixed.get(match[1]) or self._draw(match[1]), template)
        return text[:1].upper() + text[1:]

    def _draw(self, slot: str) -> str:
        if slot == "state":
            return next(self.states)
        if slot == "city":
            return _pick(self.rng, self.vocabulary["cities"])
        if slot == "other":
            return f"{_pick(self.rng, self.vocabulary['first'])} {_pick(self.rng, self.vocabulary['second'])}"
        if slot == "count":
            return f"{self._count(200, 90_000):,}"
        if slot == "small_count":
            return str(self._count(12, 900))
        low, high = {
            "earlier_year": (self.year - 60, self.year),
            "later_year": (self.year + 1, _LAST_YEAR + 1),
            "fiscal_year": (_LAST_YEAR - 10, _LAST_YEAR + 1),
        }[slot]
        return str(self._unlike_answers(lambda: int(self.rng.integers(low, high))))

    def _count(self, low: int, high: int) -> int:
        """A count as likely to be small as large."""
        return self._unlike_answers(lambda: round(low * (high / low) ** self.rng.random()))

    def _unlike_answers(self, draw: Callable[[], int]) -> int:
        """A number that is no answer drawn so far: a year is a count too."""
        taken = {self.year, getattr(self, "employees", None)}
        while (number := draw()) in taken:
            pass
        return number


def _pick(rng: np.random.Generator, items: list[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _shuffled(rng: np.random.Generator, items: list[str]) -> list[str]:
    return [items[i] for i in rng.permutation(len(items))]

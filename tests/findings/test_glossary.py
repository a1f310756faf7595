"""The glossary: one source for the page and the documentation, and links to it where words are first used."""

import re
from pathlib import Path

import pytest

from made_tables import SMALL, TEMPLATES, make_counts, small_tables
from retrieval_heads.errors import StudyError
from retrieval_heads.findings import rendering
from retrieval_heads.findings.glossary import Term, Terms, Words

WORDS = Words.read(TEMPLATES / "glossary.yaml")
DOCS = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_documentation_explains_the_same_words():
    text = DOCS.read_text(encoding="utf-8").split("\n## Glossary\n")[1].split("\n## ")[0]
    told = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("| ---")]
    expected = []
    for group in WORDS.groups:
        expected.append(f"| {group.title} | |")
        for term in group.terms:
            names = ", ".join(f"**{name}**" for name in term.names) + (f" *{term.symbol}*" if term.symbol else "")
            expected.append(f"| {names} | {term.text} |")
    assert told == expected


def test_every_word_is_explained_once():
    terms = [term for group in WORDS.groups for term in group.terms]
    names = [name for term in terms for name in term.names]
    forms = [form.lower() for term in terms for form in term.forms]
    for found in (names, forms, [term.anchor for term in terms]):
        assert sorted(found) == sorted(set(found))


SET = Term(("top set",), "The first *k* heads, **told apart**.", forms=("top set", "top sets"))
TWIN = Term(("twin",), "Another context.", forms=("twin",))
FEW = Words([Terms("Of all", [SET, TWIN])], names=["Patching (twin)"])


def linked(text, known=None):
    return [(piece, term.names[0]) for piece, term in FEW.first_uses(text, set() if known is None else known) if term]


def test_the_first_use_is_found_whatever_its_form():
    known = set()
    assert linked("Top sets and a twin; each top set has a twin.", known) == [("Top sets", "top set"), ("twin", "twin")]
    assert linked("Another top set.", known) == []
    text = "Top sets and a twin."
    assert "".join(piece for piece, _ in FEW.first_uses(text, set())) == text


def test_words_within_others_and_in_names_are_none():
    assert linked("Twins, a twin-like thing, and Patching (twin).") == []
    assert linked("Patching (twin) takes the twin.") == [("twin", "twin")]


def test_what_a_word_means_is_plain_on_hover():
    assert SET.plain == "The first k heads, told apart."
    assert SET.anchor == "term-top-set"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    built = rendering.build(SMALL, {**small_tables(), "dataset_counts": make_counts(SMALL)}, {}, TEMPLATES)
    return rendering.html(built, tmp_path_factory.mktemp("figures"))


def test_each_section_links_a_word_once_and_to_what_it_means(page):
    meanings = dict(re.findall(r'<div id="(term-[\w-]+)"><dt>.*?</dt><dd>(.*?)</dd>', page))
    assert len(meanings) == sum(len(group.terms) for group in WORDS.groups)
    several = 0
    for section in re.findall(r'<section id="\w+">.*?</section>', page, flags=re.DOTALL):
        links = re.findall(r'<a class="term" href="#(term-[\w-]+)" title="(.*?)">', section)
        assert len(links) == len(set(links))
        for anchor, title in links:
            assert title == re.sub("<.*?>", "", meanings[anchor])
        several += len(links)
    assert several > 30


def test_a_table_by_itself_links_to_no_glossary(page):
    built = rendering.build(SMALL, {**small_tables(), "dataset_counts": make_counts(SMALL)}, {}, TEMPLATES)
    assert "#term-" not in rendering.table_page(built, "effects")
    assert "#term-" not in rendering.table_page(built, "conclusions")


def test_a_broken_glossary_is_named(tmp_path):
    (tmp_path / "glossary.yaml").write_text("- title: [")
    with pytest.raises(StudyError, match=r"glossary\.yaml: not valid YAML; write it as groups of terms"):
        Words.read(tmp_path / "glossary.yaml")

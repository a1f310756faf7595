"""Text of users is text wherever findings show it: nothing of it runs or is fetched, and all of it is there."""

import re
from dataclasses import replace
from itertools import cycle

import pytest
from markdown_it import MarkdownIt

from hostile_text import BROWSER, in_browser, listening, squeezed
from made_tables import SMALL, TEMPLATES, make_counts, small_tables
from retrieval_heads import figures
from retrieval_heads.findings import rendering

NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="needs a browser")


@pytest.fixture(scope="module")
def attacked():
    with listening() as (attacks, asked):
        yield attacks, asked


def attacked_study(study, attacks):
    """The same study, in which attacks stand wherever a config has text that is shown, and all such text."""
    texts, used = cycle(attacks.values()), []

    def text(kind):
        used.append(f"{next(texts)} {next(texts)} {kind}")
        return used[-1]

    config = study.config
    questions = {
        name: {**entry, "label": text("question"), "text": text("asked"), "category": {}.get(name, entry["category"])}
        for name, entry in config["questions"].items()
    }
    models = {
        name: {**entry, "label": text("model"), "source": {"hub": text("source")}}
        for name, entry in config["models"].items()
    }
    methods = {name: {**entry, "label": text("method")} for name, entry in study.methods.items()}
    documents = {"source": "file", "file": text("file"), "id": text("column")}
    changed = {**config, "models": models, "questions": questions, "documents": documents}
    runs = {name: {"commit": "c" * 40, "dtype": text("dtype")} for name in models}
    return replace(study, config=changed, methods=methods, made_with={"models": runs}), used


@pytest.fixture(scope="module")
def built(attacked):
    attacks, _ = attacked
    study, used = attacked_study(SMALL, attacks)
    tables = {**small_tables(), "dataset_counts": make_counts(SMALL)}
    return rendering.build(study, tables, dict.fromkeys(figures.declarations()), TEMPLATES), used


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    for name in figures.declarations():
        (folder / f"{name}.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return folder


def harmless(seen, asked):
    assert seen["hacked"] is None
    assert (seen["refused"], seen["failed"], seen["links"], asked) == ([], [], [], [])


RUNNING = ("script", "end of a script", "handler", "drawing", "title", "CDATA")
FETCHING = ("drawing", "style", "image")


@NEEDS_BROWSER
@pytest.mark.parametrize("kind", sorted({*RUNNING, *FETCHING}))
def test_attacks_succeed_where_they_are_more_than_text(kind, tmp_path):
    with listening() as (attacks, asked):
        seen = in_browser(f"<!doctype html><html><head></head><body>{attacks[kind]}</body></html>", tmp_path)
    assert (seen["hacked"] == 1) == (kind in RUNNING)
    assert bool(asked) == (kind in FETCHING)


@NEEDS_BROWSER
def test_the_page_shows_it_all_and_does_nothing_of_it(built, attacked, drawn, tmp_path):
    findings, used = built
    seen = in_browser(rendering.html(findings, drawn), tmp_path)
    harmless(seen, attacked[1])
    said = squeezed(seen["text"])
    assert [text for text in used if squeezed(text) not in said] == []


@NEEDS_BROWSER
def test_markdown_shows_it_all_and_does_nothing_of_it(built, attacked, tmp_path):
    findings, used = built
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    text = rendering.markdown(findings)
    page = f"<!doctype html><html><head></head><body>{reader.render(text)}</body></html>"
    assert not re.search(r"(?<!\\)(?:\\\\)*\$", text), "some readers of Markdown typeset mathematics"
    seen = in_browser(page, tmp_path)
    ours = {f"figures/{name}.png" for name in figures.declarations()} | {"findings.html#head-map"}
    seen["links"] = [link for link in seen["links"] if link not in ours]
    harmless(seen, attacked[1])
    said = squeezed(seen["text"])
    assert [text for text in used if squeezed(text) not in said] == []

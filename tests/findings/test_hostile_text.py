"""Text of users is text wherever findings show it: nothing of it runs or is fetched, and all of it is there."""

import copy
import html
import json
import re
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from matplotlib.text import Text

from browser import NEEDS_BROWSER, dumped
from hostile_text import (
    ATTACKS,
    COMMANDS,
    CONFIGS,
    harmless,
    hostile_config,
    in_browser,
    keys_of_text,
    listening,
    markdown_page,
    squeezed,
    with_text,
)
from made_tables import TEMPLATES, analyse, make_ablation, make_counts, make_rankings, make_reliability
from retrieval_heads import figures
from retrieval_heads.errors import StudyError
from retrieval_heads.exchange import external_lists
from retrieval_heads.findings import for_programs, rendering
from retrieval_heads.plain_text import commanding
from retrieval_heads.plugins import describe
from retrieval_heads.study.config import complete, told
from retrieval_heads.study.forms import schema
from retrieval_heads.study.methods import described_methods
from retrieval_heads.study.study import Study

KEYS = sorted({key for config in CONFIGS for key in keys_of_text(schema(), config)}, key=str)
RUNNING = ("script", "end of a script", "handler", "drawing", "title", "CDATA")
FETCHING = ("drawing", "style", "image")


@NEEDS_BROWSER
def test_attacks_succeed_where_they_are_more_than_text(tmp_path):
    with listening() as (attacks, asked):
        frames = "".join(f'<iframe srcdoc="{html.escape(attacks[kind])}"></iframe>' for kind in RUNNING)
        frames += "".join(f'<iframe srcdoc="{html.escape(attacks[kind])}"></iframe>' for kind in FETCHING)
        page = f"<!doctype html><html><head></head><body>{frames}</body></html>"
        seen = in_browser(page, tmp_path, 'seen.each = all("iframe").map((one) => one.contentWindow.hacked === 1);')
    assert dict(zip(RUNNING, seen["each"], strict=False)) == dict.fromkeys(RUNNING, True)
    assert set(asked) == {"/drawing", "/style", "/picture"}


# --- what a config lets in -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ".".join(map(str, key)))
def test_no_key_of_a_config_takes_what_commands_a_terminal(key):
    reached = 0
    for config in CONFIGS:
        try:
            changed = with_text(config, key, COMMANDS)
        except TypeError:  # it has a section there
            continue
        with pytest.raises(StudyError) as caught:
            complete(changed)
        assert str(caught.value).isprintable()
        reached += f"{'.'.join(map(str, key))}: it has '\\x1b'" in str(caught.value)
    assert reached


# --- what findings show --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """A study with attacks at every key of its config that takes some, its tables and findings, and what is shown."""
    with listening() as (attacks, asked):
        given, taken = hostile_config(CONFIGS[0], attacks)
        config = complete(copy.deepcopy(given))
        runs = {
            "models": {"small": {"commit": "c" * 40, "dtype": attacks["script"], "device": COMMANDS + "\n# Heading"}}
        }
        study = Study(told(config), described_methods(config), runs, describe("ablation.replacements", ["zero"]))
        rankings = make_rankings(study, 10, 8)
        tables = analyse(study, rankings, make_ablation(study), make_reliability(study))
        imports = tmp_path_factory.mktemp("imports") / "list.json"
        imports.write_text(json.dumps({f"{layer}-{head}": [layer + head] for layer in range(10) for head in range(8)}))
        entries = {name: {**entry, "file": str(imports)} for name, entry in config["imports"].items()}
        tables |= {"dataset_counts": make_counts(study), "imports": external_lists.compare(rankings, entries)}
        built = rendering.build(study, tables, dict.fromkeys(figures.declarations()), TEMPLATES)
        yield SimpleNamespace(study=study, tables=tables, built=built, asked=asked, shown=_shown(taken, attacks))


def _shown(taken, attacks):
    """The texts that findings show: those that name something, questions as asked, and where things come from."""
    kinds = {"label", "category", "hub", "revision", "file", "id", "split"}
    shown = {
        key: text for key, text in taken.items() if key[-1] in kinds or (key[-1] == "text" and "variants" not in key)
    }
    shown.pop(("imports", "theirs", "file"))
    assert {key[0] for key in shown} == {"models", "documents", "questions", "methods", "imports"} and len(shown) >= 11
    return [*shown.values(), attacks["script"]]


@NEEDS_BROWSER
def test_the_page_shows_it_all_and_does_nothing_of_it(attacked, drawn, tmp_path):
    seen = in_browser(rendering.html(attacked.built, drawn), tmp_path)
    harmless(seen, attacked.asked)
    said = squeezed(seen["text"])
    assert [text for text in attacked.shown if squeezed(text) not in said] == []


@NEEDS_BROWSER
@pytest.mark.parametrize("name", ["map", "questions"])
def test_so_do_pages_for_snakemakes_report(attacked, name, tmp_path):
    built = attacked.built
    page = rendering.map_page(built) if name == "map" else rendering.table_page(built, name)
    seen = in_browser(page, tmp_path)
    harmless(seen, attacked.asked)
    labels = [attacked.study.label("question", question) for question in attacked.study.configured("question")]
    said = squeezed(seen["text"])
    assert [label for label in labels if squeezed(label) not in said] == []


@NEEDS_BROWSER
def test_markdown_shows_it_all_and_does_nothing_of_it(attacked, tmp_path):
    text = rendering.markdown(attacked.built)
    assert not re.search(r"(?<!\\)(?:\\\\)*\$", text), "some readers of Markdown typeset mathematics"
    assert commanding(text) is None and "\n# Heading" not in text
    seen = in_browser(markdown_page(text), tmp_path)
    ours = {f"figures/{name}.png" for name in figures.declarations()} | {"findings.html#head-map"}
    seen["links"] = [link for link in seen["links"] if link not in ours]
    harmless(seen, attacked.asked)
    said = squeezed(seen["text"])
    assert [one for one in attacked.shown if squeezed(one) not in said] == []


def test_programs_are_given_it_as_it_stands(attacked):
    study = attacked.study
    found = for_programs.data(study, attacked.tables, attacked.built, "a digest")
    assert json.loads(for_programs.as_json(found))["labels"]["question"] == {
        key: entry["label"] if "label" in entry else study.label("question", key)
        for key, entry in study.config["questions"].items()
    }


@NEEDS_BROWSER
@pytest.mark.parametrize("name", ["q1_equal_impact", "layer_distribution_by_method", "question_overlap_heatmaps"])
def test_figures_draw_it_as_text(attacked, name, tmp_path):
    study, labels = attacked.study, [ATTACKS[kind] for kind in ("mathematics", "end of a script", "entities")]
    entries = {"questions": study.config["questions"], "methods": study.methods}
    questions, methods = (
        {key: {**entry, "label": label} for (key, entry), label in zip(section.items(), labels, strict=True)}
        for section in entries.values()
    )
    study = replace(study, config={**study.config, "questions": questions}, methods=methods)
    tables = {table: attacked.tables[table] for table in figures.declarations()[name].tables}
    figure = figures.draw(name, tables, study)
    drawn = "".join("".join(text.get_text().split()) for text in figure.findobj(Text))
    assert [label for label in labels if "".join(label.split()) not in drawn] == []
    file = tmp_path / f"{name}.svg"
    figures.save(figure, file)
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.parse(file).iter()}
    assert tags <= {"svg", "g", "path", "use", "defs", "clipPath", "rect", "image", "metadata"}
    assert "hacked" not in dumped(file) and attacked.asked == []

"""Two studies side by side: made results, whose differences are known."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from browser import NEEDS_BROWSER
from hostile_text import in_browser, listening, markdown_page, squeezed
from retrieval_heads import cli, tables
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.comparison.comparing import as_json, compare
from retrieval_heads.comparison.markdown import markdown
from retrieval_heads.errors import StudyError
from retrieval_heads.findings.json_schema import FORMAT
from retrieval_heads.tables.ranking_quality import AREA, CAPTURED, METHOD, RANKING_QUALITY, SPEARMAN
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.reliability import RELIABILITY

GRID = (4, 5)
FIRST, LAST = list(range(20)), list(range(19, -1, -1))
"""All heads of a grid of 20, by their numbers, and the same from behind."""


def claim(rule="top_heads_matter", outcome="supported", effect=(50.0, 40.0, 60.0), unit="points", p=0.01, **of):
    value, low, high = effect or (None, None, None)
    return {
        "section": "ablation",
        "rule": rule,
        "of": {"model": "small", **of},
        "statement": f"{rule} of {of.get('method', 'all')}",
        "outcome": outcome,
        "effect": effect and {"value": value, "low": low, "high": high, "unit": unit, "p": p, "none": 0.0},
        "sentence": "So it is.",
        "family": None,
        "about": "",
        "parts": [],
    }


def ranking(order, grid=GRID, model="small", method="wu24", question="hq_state", length=512):
    """A ranking whose first heads are those of an order."""
    heads = grid[1]
    scores = {number: len(order) - place for place, number in enumerate(order)}
    rows = [
        (model, method, question, length, "plain", number // heads, number % heads, score, 12, 0.1)
        for number, score in scores.items()
    ]
    columns = [name for name in RANKINGS.columns if name not in ("rank", "last")]
    return placed(pd.DataFrame(rows, columns=columns))


def quality(value, measure=CAPTURED, method="wu24", model="small", k=5, width=0.1):
    row = dict.fromkeys(RANKING_QUALITY.columns) | {
        "model": model, "context_length": 512, "variant": "plain", "ranking": method, "kind": METHOD,
        "measure": measure, "k": k, "value": value, "value_low": value - width, "value_high": value + width,
        "mode": "zero", "intervention": "everywhere" if measure == AREA else None, "prompts": 12, "documents": 6,
    }  # fmt: skip
    return pd.DataFrame([row])


@pytest.fixture
def make(tmp_path):
    """Makes the folder of a finished study of one model."""

    def make(name, claims=(), rankings=None, model="small", grid=GRID, measured=(), halves=None, **changes):
        folder = tmp_path / "results" / name
        rankings = ranking(FIRST, grid, model) if rankings is None else rankings
        findings = {
            "format": FORMAT, "study": name, "title": f"Retrieval heads: {name}", "code": "a digest",
            "config": {"study": name, "results": "results", "seed": 1, "models": {model: {"label": model.title()}},
                       "analysis": {"top_k": 5}},
            "models": {model: {"layers": grid[0], "heads": grid[1], "dtype": "float32", "device": "cpu"}},
            "labels": {"model": {model: model.title()}, "method": {"wu24": "Wu24 retrieval head"}},
            "answer": [], "sections": [], "claims": list(claims), "signs": [], "figures": [], "tables": [],
        }  # fmt: skip
        folder.mkdir(parents=True)
        (folder / "findings.json").write_text(json.dumps(findings | changes))
        tables.write(rankings, folder / "tables" / "rankings.parquet", RANKINGS)
        if measured:
            found = pd.concat(measured, ignore_index=True)
            tables.write(found, folder / "tables" / "ranking_quality.parquet", RANKING_QUALITY)
        if halves is not None:
            tables.write(halves, folder / "tables" / "reliability.parquet", RELIABILITY)
        return folder

    return make


def the(frame):
    """The only row of a table."""
    (row,) = frame.to_dict("records")
    return row


# --- claims --------------------------------------------------------------------------------------------------------


def test_a_study_beside_itself_has_not_changed(make):
    folder = make("a", [claim(method="wu24"), claim(method="qrhead", effect=None)], measured=[quality(0.5)])
    found = compare(folder, folder)
    assert [one["change"] for one in found.claims["both"]] == [None, None]
    assert found.claims["a"] == found.claims["b"] == [] and not found.settings
    row = the(found.rankings)
    assert row["jaccard"] == 1 and row["spearman"] == pytest.approx(1)
    said = markdown(found)
    assert "Every claim in both has the same outcome." in said and "The configs are the same." in said


@pytest.mark.parametrize(
    ("outcome", "change"),
    [("supported", None), ("contradicted", "reversed"), ("not enough data", "decided in one")],
)
def test_a_change_of_outcome_is_told(make, outcome, change):
    a, b = make("a", [claim()]), make("b", [claim(outcome=outcome)])
    found = compare(a, b)
    assert found.claims["both"][0]["change"] == change
    table = markdown(found).split("## Claims that changed")[1].split("##")[0]
    assert (f"| supported | {outcome} |" in table) == (change is not None)


@pytest.mark.parametrize(
    ("other", "intervals"),
    [
        ((70.0, 61.0, 80.0), "apart"),
        ((30.0, 20.0, 39.0), "apart"),
        ((70.0, 60.0, 80.0), "overlapping"),
        ((52.0, 51.0, 53.0), "overlapping"),
        ((70.0, None, None), None),
    ],
)
def test_effects_stand_beside_each_other(make, other, intervals):
    found = compare(make("a", [claim()]), make("b", [claim(effect=other)]))
    both = found.claims["both"][0]
    assert both["difference"] == other[0] - 50 and both["intervals"] == intervals
    assert "| 50.0 [40.0, 60.0] (p 0.010) |" in markdown(found)


def test_effects_of_other_units_are_not_compared(make):
    both = compare(make("a", [claim()]), make("b", [claim(unit="nats")])).claims["both"][0]
    assert both["difference"] is None and both["intervals"] is None and both["effect_b"]["unit"] == "nats"


def test_claims_are_matched_by_rule_and_what_they_are_about_in_any_order(make):
    a = make("a", [claim(method="wu24", context_length=512), claim("other_rule", method="wu24"), claim(method="locos")])
    b = make("b", [claim(method="qrhead"), claim(context_length=512, method="wu24")])
    found = compare(a, b).claims
    assert [one["of"]["method"] for one in found["both"]] == ["wu24"]
    assert [(one["rule"], one["of"]["method"]) for one in found["a"]] == [
        ("other_rule", "wu24"),
        ("top_heads_matter", "locos"),
    ]
    assert [one["of"]["method"] for one in found["b"]] == ["qrhead"]


def test_claims_that_are_not_told_apart_are_left_out_and_counted(make):
    a, b = make("a", [claim(), claim(outcome="contradicted"), claim(method="wu24")]), make("b", [claim()])
    found = compare(a, b)
    assert found.claims["untold"] == {"a": ["top_heads_matter of all"] * 2, "b": []}
    assert found.claims["both"] == found.claims["b"] == [] and len(found.claims["a"]) == 1
    assert "about the same: 2 claims." in markdown(found)


# --- models --------------------------------------------------------------------------------------------------------


def test_the_only_models_of_two_studies_are_held_against_each_other_whatever_their_names(make):
    a = make("a", [claim()], measured=[quality(0.5)])
    other = claim() | {"of": {"model": "half"}}
    b = make("b", [other], ranking(FIRST, model="half"), model="half", measured=[quality(0.6, model="half")])
    found = compare(a, b)
    assert found.renamed == ("small", "half") and len(found.claims["both"]) == 1
    assert len(found.rankings) == 1 and len(found.quality) == 1
    assert not any(key.startswith("models.") and None in values for key, values in found.settings.items())
    assert "Each study has one model: `small` of A is held against `half` of B." in markdown(found)


def test_of_several_models_those_of_one_name_are_compared(make):
    two = pd.concat([ranking(FIRST), ranking(FIRST, model="large")])
    models = {name: {"layers": 4, "heads": 5} for name in ("small", "large")}
    a, b = make("a", [claim()], two, models=models), make("b", [claim()], ranking(LAST, model="other"), model="other")
    found = compare(a, b)
    assert found.renamed is None and found.rankings.empty
    assert "No ranking is in both" in markdown(found)
    assert the(compare(a, make("c")).rankings)["model"] == "small"


def test_how_models_ran_is_told(make):
    ran = {"small": {"layers": 4, "heads": 5, "dtype": "bfloat16", "device": "cpu"}}
    said = markdown(compare(make("a"), make("b", models=ran)))
    assert "| `small` | Small, 4 × 5, float32 on cpu | Small, 4 × 5, bfloat16 on cpu |" in said


# --- settings ------------------------------------------------------------------------------------------------------


def made_with(seed=1, model="small", rules=None, **run):
    told = {"version": "1", "code": "c", "config": f"of seed {seed}", "seed": seed}
    return told | {"rules": rules or {"rank_heads": "a"}, "models": {model: {"content": "x", "torch": "2.12.0", **run}}}


def test_what_made_the_results_is_told_where_it_differs(make):
    other = made_with(seed=2, model="large", rules={"rank_heads": "b"}, torch="2.13.0", commit="y")
    found = compare(make("a", made_with=made_with()), make("b", model="large", made_with=other))
    assert found.made_with == {
        "rules.rank_heads": ("a", "b"),
        "models.small.torch": ("2.12.0", "2.13.0"),
        "models.small.commit": (None, "y"),
    }
    assert "| `models.small.torch` | `2.12.0` | `2.13.0` |" in markdown(found)
    assert {"key": "models.small.commit", "a": None, "b": "y"} in json.loads(as_json(found))["made_with"]


def test_nothing_is_told_of_what_made_results_that_do_not_tell(make):
    found = compare(make("a", made_with=made_with()), make("b"))
    assert found.made_with == {} and "Made with" not in markdown(found)


def test_config_keys_that_differ_are_named(make):
    b = make("b", config={"study": "b", "seed": 2, "methods": {"locos": {}}, "analysis": {"top_k": 5}, "models": {}})
    found = compare(make("a"), b)
    assert found.settings == {
        "seed": (1, 2),
        "models.small.label": ("Small", None),
        "methods.locos": (None, {}),
        "models": (None, {}),
    }
    assert "| `seed` | `1` | `2` |" in markdown(found)


def test_other_code_is_told(make):
    a = make("a")
    assert "Different code" in markdown(compare(a, make("b", code="another")))
    assert "Different code" not in markdown(compare(a, make("c")))


# --- rankings ------------------------------------------------------------------------------------------------------


def test_agreement_of_rankings_is_that_of_their_heads(make):
    a = make("a", rankings=pd.concat([ranking(FIRST), ranking(FIRST, question="inc_year")]))
    b = make("b", rankings=pd.concat([ranking(LAST), ranking(FIRST, question="inc_year"), ranking(FIRST, length=1024)]))
    found = compare(a, b).rankings.set_index("question")
    assert sorted(found.index) == ["hq_state", "inc_year"]
    assert found["spearman"].tolist() == pytest.approx([-1, 1])
    assert found["jaccard"].tolist() == [0, 1] and (found["k"] == 5).all()
    # Five of twenty heads, all of them shared: one of C(20, 5) choices; two tests.
    assert found.loc["inc_year", "p"] == pytest.approx(1 / 15504)
    assert found.loc["inc_year", "p_holm"] == pytest.approx(2 / 15504)
    said = markdown(compare(a, b))
    assert "| Small | Wu24 retrieval head | 1 of 2 |" in said
    assert "2 rankings in both: 1 with more top heads in common" in said


def test_the_smaller_top_set_is_taken_where_configs_ask_for_others(make):
    b = make("b", config={"models": {}, "analysis": {"top_k": 3}})
    assert the(compare(make("a"), b).rankings)["k"] == 3


def test_noise_within_a_study_stands_beside(make):
    row = dict.fromkeys(RELIABILITY.columns) | {
        "model": "small", "method": "wu24", "question": "hq_state", "context_length": 512, "variant": "plain",
        "documents": 6, "k": 5, "size_a": 5, "size_b": 5, "rbo": 0.5, "rbo_chance": 0.1,
    }  # fmt: skip
    halves = pd.DataFrame([row | {"split": split, "jaccard": jaccard} for split, jaccard in enumerate((0.4, 0.6))])
    found = the(compare(make("a", halves=halves), make("b")).rankings)
    assert found["halves_a"] == pytest.approx(0.5) and pd.isna(found["halves_b"])


def test_heads_of_unequal_grids_are_not_matched_but_their_layers_compared(make):
    # The first heads of A are in its last layer, those of B in its first.
    b = make(
        "b", rankings=ranking(list(range(60)), (6, 10)), grid=(6, 10), measured=[quality(0.5), quality(0.6, SPEARMAN)]
    )
    found = compare(make("a", rankings=ranking(LAST), measured=[quality(0.4), quality(0.3, SPEARMAN)]), b)
    assert found.rankings.empty
    row = the(found.depths)
    assert (row["size_a"], row["size_b"]) == (1, 3)  # the same share of 20 and of 60 heads
    assert (row["depth_a"], row["depth_b"]) == (pytest.approx(3.5 / 4), pytest.approx(0.5 / 6))
    assert row["last_third_a"] == row["first_third_b"] == 1 and row["first_third_a"] == 0
    assert found.quality["measure"].tolist() == [SPEARMAN]
    said = markdown(found)
    assert "heads cannot be matched" in said and "Small (4 × 5, 6 × 10)" in said


def test_quality_is_compared_where_both_measured_the_same(make):
    a = make("a", measured=[quality(0.5), quality(0.7, AREA, k=None), quality(0.1, k=3)])
    b = make("b", measured=[quality(0.8), quality(0.6, AREA, k=None)])
    found = compare(a, b).quality.set_index("measure")
    assert found["difference"].to_dict() == {CAPTURED: pytest.approx(0.3), AREA: pytest.approx(-0.1)}
    assert found["intervals"].to_dict() == {CAPTURED: "apart", AREA: "overlapping"}


def test_areas_are_compared_where_heads_were_ablated_alike(make):
    def config(levels):
        everywhere = {"mode": "zero", "scope": "all", "levels": levels}
        return {"models": {}, "ablation": {"interventions": {"everywhere": everywhere}}}

    area = [quality(0.7, AREA, k=None)]
    a, same, other = (
        make(name, measured=area, config=config(levels)) for name, levels in (("a", [5]), ("same", [5]), ("b", [5, 20]))
    )
    assert len(compare(a, same).quality) == 1 and compare(a, other).quality.empty


# --- what is written, and what is refused --------------------------------------------------------------------------


def test_the_command_writes_both_forms_and_prints_one(make, tmp_path, capsys):
    a, b = make("a", [claim()]), make("b", [claim(outcome="contradicted", effect=None)])
    assert cli.main(["compare", str(a), str(b)]) == 0
    said = capsys.readouterr()
    written = tmp_path / "results" / "comparisons" / "a-b.md"
    assert said.out == written.read_text() + "\n" and "a-b.json" in said.err
    data = json.loads(written.with_suffix(".json").read_text())
    assert data["claims"]["both"][0]["change"] == "reversed"
    assert data["rankings"][0]["jaccard"] == 1 and data["rankings"][0]["halves_a"] is None
    assert cli.main(["compare", str(a), str(b), "--to", str(tmp_path / "there")]) == 0
    assert (tmp_path / "there" / "a-b.md").read_text() == written.read_text()


def test_what_a_study_says_is_no_markup(make):
    name = "a|b_*<script>\x1b[2J"
    text = markdown(compare(make("a", [claim() | {"statement": name}], study=name), make("b", [])))
    assert "<script>" not in text.replace("\\<script>", "") and "\x1b" not in text
    rows = [line for line in text.splitlines() if "script" in line and line.startswith("|")]
    assert rows and all(row.replace("\\|", "").count("|") == 5 for row in rows)


@NEEDS_BROWSER
def test_what_studies_say_is_shown_and_does_nothing(make, tmp_path):
    with listening() as (attacks, asked):
        texts = [f"{attack} {place}" for place, attack in enumerate(attacks.values())]
        told = [claim(text) | {"statement": text} for text in texts]
        changed = [one | {"outcome": "contradicted", "effect": one["effect"] | {"unit": text}}
                   for one, text in zip(told, texts, strict=True)]  # fmt: skip
        labels = {"model": {"small": texts[0]}, "method": {"wu24": texts[1]}}
        made = [
            make("a", told, labels=labels, study=texts[2], measured=[quality(0.8)]),
            make("b", changed, labels=labels, study=texts[3], measured=[quality(0.6)]),
        ]
        text = markdown(compare(*made))
        seen = in_browser(markdown_page(text), tmp_path)
    assert (seen["hacked"], seen["refused"], seen["failed"], seen["links"], asked) == (None, [], [], [], [])
    said = squeezed(seen["text"])
    assert [one for one in texts if squeezed(one) not in said] == []
    assert not re.search(r"(?<!\\)(?:\\\\)*\$", re.sub(r"`[^`]*`", "", text)), "some readers typeset mathematics"


REFUSED = {
    "no folder": (lambda folder: shutil.rmtree(folder), "no such folder; give that of a finished study"),
    "no study": (lambda folder: (folder / "findings.json").unlink(), "not that of a finished study"),
    "earlier": (
        lambda folder: (folder / "findings.json").rename(folder / "findings.html"),
        "its findings are of an earlier version; run the study again",
    ),
    "no JSON": (lambda folder: (folder / "findings.json").write_text("{"), "not valid JSON; run the study again"),
    "other form": (
        lambda folder: (folder / "findings.json").write_text('{"format": 0}'),
        f"has the format 0, where this version reads {FORMAT}; run the study again",
    ),
    "no object": (lambda folder: (folder / "findings.json").write_text("[]"), "has the format None"),
    "incomplete": (
        lambda folder: (folder / "findings.json").write_text(f'{{"format": {FORMAT}}}'),
        "is not as its schema asks; run the study again",
    ),
    "no rankings": (lambda folder: (folder / "tables" / "rankings.parquet").unlink(), "has no rankings"),
}


@pytest.mark.parametrize("spoilt", REFUSED)
def test_what_cannot_be_compared_is_refused_in_one_sentence(make, spoilt, capsys):
    a, b = make("a"), make("b")
    spoil, message = REFUSED[spoilt]
    spoil(b)
    with pytest.raises(StudyError) as refusal:
        compare(a, b)
    assert message in str(refusal.value) and str(refusal.value).startswith(str(b))
    assert cli.main(["compare", str(a), str(b)]) == 1
    said = capsys.readouterr()
    assert said.err == f"{refusal.value}\n" and said.out == ""
    assert not (a.parent / "comparisons").exists()


def test_a_folder_that_cannot_be_written_to_is_refused(make, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["compare", str(make("a")), str(make("b")), "--to", str(tmp_path / "file" / "there")]) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'file'}: a file stands where a folder should be; move it")


def test_the_command_runs_by_itself_and_says_what_there_is():
    command, workflow = [sys.executable, "-m", "retrieval_heads.cli", "--help"], Path(cli.__file__).parents[1]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, cwd=workflow)
    assert all(name in run.stdout and command.about.split()[0] in run.stdout for name, command in cli.COMMANDS.items())


def test_comparing_loads_no_model():
    code = "import sys, retrieval_heads.comparison.markdown; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(cli.__file__).parents[1]).returncode == 0


def test_as_json_is_json_without_nan(make):
    found = compare(make("a"), make("b", rankings=ranking(LAST)))
    assert "NaN" not in as_json(found) and json.loads(as_json(found))["rankings"][0]["spearman"] == pytest.approx(-1)

"""The findings for programs say what the page says, in the form that their schema describes."""

import dataclasses
import json
import math

import pandas as pd
import pytest
from jsonschema import Draft202012Validator, ValidationError

from made_tables import (
    SMALL,
    TEMPLATES,
    analyse,
    make_ablation,
    make_counts,
    make_rankings,
    make_study,
    small_tables,
)
from retrieval_heads import figures
from retrieval_heads.digests import short_digest
from retrieval_heads.findings import claims, for_programs, rendering
from retrieval_heads.findings.claims import baseline
from retrieval_heads.findings.claims.outcome import Effect
from retrieval_heads.findings.json_schema import FORMAT, schema
from retrieval_heads.release import VERSION

pytestmark = pytest.mark.thorough

DRAWN = dict.fromkeys(figures.declarations())


def told(study, tables):
    findings = rendering.build(study, tables, DRAWN, TEMPLATES)
    return for_programs.data(study, tables, findings, "a digest"), findings


def checked(found):
    """What a program reads in the file."""
    read = json.loads(for_programs.as_json(found))
    Draft202012Validator(schema()).validate(read)
    return read


@pytest.fixture(scope="module")
def small():
    tables = {**small_tables(), "dataset_counts": make_counts(SMALL)}
    found, findings = told(SMALL, tables)
    return checked(found), findings, tables


def test_the_schema_is_one():
    Draft202012Validator.check_schema(schema())
    assert schema()["properties"]["format"]["const"] == FORMAT


def test_every_claim_of_the_page_is_there(small):
    read, _, tables = small
    every = claims.every_claim(tables, SMALL)
    assert [claim["statement"] for claim in read["claims"]] == [claim.statement for claim in every]
    assert {claim["section"] for claim in read["claims"]} <= {section["key"] for section in read["sections"]}


def test_claims_keep_their_outcomes_and_lose_references(small):
    read, _, tables = small
    outcomes = {claim.statement: claim.outcome for claim in claims.every_claim(tables, SMALL)}
    for claim in read["claims"]:
        assert claim["outcome"] == outcomes.get(claim["statement"], claim["outcome"])
        assert "{figure:" not in claim["sentence"] and "{table:" not in claim["sentence"]


def test_what_the_page_begins_with_is_there(small):
    read, findings, _ = small
    assert read["answer"] == findings.answer and len(read["answer"]) == 3
    assert read["signs"] == [sign.sentence for sign in findings.signs]
    assert list(dict.fromkeys(section["part"] for section in read["sections"])) == list(findings.parts)


def test_figures_and_tables_are_named_as_on_the_page(small):
    read, findings, _ = small
    shown = {f"{word}:{one['name']}": one for word in ("figure", "table") for one in read[f"{word}s"]}
    assert {key: one["label"] for key, one in shown.items()} == findings.labels
    assert {one["name"]: one["caption"] for one in shown.values()} == findings.captions


def test_values_of_dimensions_have_their_labels_and_models_their_grids(small):
    read, _, _ = small
    assert read["labels"]["method"] == {name: about["label"] for name, about in SMALL.methods.items()}
    assert read["labels"]["context_length"]["512"] == "512 tokens"
    (model,) = SMALL.config["models"]
    assert read["models"] == {model: {"layers": 10, "heads": 8}}
    assert read["config"] == json.loads(json.dumps(SMALL.config))


def test_how_models_ran_is_told_of_models_of_unequal_grids():
    grids = {"small": (6, 4), "large": (10, 8)}
    run = {"content": "f" * 64, "dtype": "float32", "device": "cpu", "threads": "2", "torch": "2.0"}
    made_with = {"rule": "write_findings", "code": {"rank_heads": "a"}, "models": {"small": run}}
    study = dataclasses.replace(make_study(models=tuple(grids), levels=(5,)), made_with=made_with)
    rankings = [make_rankings(make_study(models=(model,)), *grid) for model, grid in grids.items()]
    tables = analyse(study, pd.concat(rankings, ignore_index=True), make_ablation(study, 3))
    read = checked(told(study, tables)[0])
    assert read["models"]["small"] == {"layers": 6, "heads": 4, "dtype": "float32", "device": "cpu"}
    assert read["models"]["large"] == {"layers": 10, "heads": 8}
    assert read["made_with"] == {
        "version": VERSION,
        "code": short_digest({"rank_heads": "a"}),
        "rules": {"rank_heads": "a"},
        "config": short_digest(study.config),
        "seed": 7,
        "models": {"small": run},
    }


def test_of_and_effect_are_written_with_null_for_what_is_not_known(small, monkeypatch):
    _, findings, tables = small
    effect = Effect(57.94, 50.0, math.nan, "points", None, 0.0)
    (whole, *_) = baseline.baseline_is_usable(tables, SMALL)
    part = dataclasses.replace(whole, statement="A part", effect=None)
    whole = dataclasses.replace(whole, of={"model": "small", "context_length": 512}, effect=effect, parts=(part,))
    unknown = dataclasses.replace(whole, statement="Unknown", effect=dataclasses.replace(effect, value=math.nan))
    monkeypatch.setitem(claims.RULES, "data", (lambda tables, study: [whole, unknown],))
    found = checked(for_programs.data(SMALL, tables, findings, "a digest"))
    read = [claim for claim in found["claims"] if claim["section"] == "data"]
    assert read[0]["of"] == {"model": "small", "context_length": 512}
    numbers = {"value": 57.94, "low": 50.0, "high": None, "unit": "points", "p": None, "none": 0.0}
    assert read[0]["effect"] == numbers
    assert [part["statement"] for part in read[0]["parts"]] == ["A part"] and read[0]["parts"][0]["effect"] is None
    assert read[1]["effect"] is None


def test_the_schema_refuses_what_is_not_in_it(small):
    read, _, _ = small
    for change in ({"more": 1}, {"format": 0}, {"claims": [{**read["claims"][0], "more": 1}]}):
        with pytest.raises(ValidationError):
            Draft202012Validator(schema()).validate(read | change)

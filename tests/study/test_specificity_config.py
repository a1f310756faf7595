"""What a config may ask of the control of specificity, and what it takes where it says nothing."""

import copy

import pytest

from retrieval_heads.engine.extent import passes_by_stage
from retrieval_heads.errors import StudyError
from retrieval_heads.study.config import complete
from retrieval_heads.study.controls import control
from retrieval_heads.study.needs import available
from retrieval_heads.study.paths import Paths

LEAST = {
    "study": "least",
    "models": {"small": {"source": {"path": "somewhere"}}},
    "documents": {"train": 2, "test": 1},
    "questions": {"hq_state": {"text": "Where?", "type": "state"}, "inc_year": {"text": "When?", "type": "year"}},
    "prompts": {"context_lengths": [512, 1024]},
    "ablation": {
        "levels": [5, 20],
        "interventions": {
            "other_value": {"mode": "resample", "scope": "suffix"},
            "everywhere": {"mode": "zero", "scope": "all"},
            "reading": {"mode": "zero", "scope": "suffix", "methods": ["wu24"], "context_lengths": [512]},
        },
    },
}


def asked(given, **ablation):
    config = copy.deepcopy(LEAST) | {"controls": {"specificity": given}}
    config["ablation"] |= ablation
    return complete(config)


def test_it_is_made_only_where_it_is_asked_for():
    without = complete(LEAST)
    assert control(without, "specificity") is None and available(without)["specificity"] == []
    assert Paths(without).every("specificity") == []
    assert "specificity" not in passes_by_stage(without, 200)
    assert available(asked({}))["specificity"] == ["specificity"]


def test_it_takes_the_first_intervention_of_its_scope_that_needs_no_twin():
    config = asked({})
    assert control(config, "specificity") == {
        "intervention": "reading",
        "items": 40,
        "methods": ["wu24"],
        "levels": [5, 20],
        "context_lengths": [512],
    }
    assert complete(config) == config
    assert Paths(config).every("specificity") == ["results/least/specificity/small/plain/512.parquet"]
    named = control(asked({"intervention": "everywhere", "items": 20}), "specificity")
    assert named["items"] == 20 and named["context_lengths"] == [512, 1024] and "qrhead" in named["methods"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"intervention": "nothing"},
            r"intervention: nothing is no intervention, .* name one of everywhere, reading\.",
        ),
        ({"intervention": "other_value"}, r"intervention: other_value takes outputs from a twin, and facts and sums"),
        ({"items": 19}, r"items: 19 is less than the minimum"),
        ({"methods": ["qrhead"]}, r"methods: qrhead is none of those that reading ablates; choose from wu24\."),
        (
            {"context_lengths": [1024]},
            r"context_lengths: 1024 is none of those that reading ablates; choose from 512\.",
        ),
        ({"levels": [20, 7]}, r"levels: 7 is none of those that reading ablates; choose from 5, 20\."),
        ({"methods": ["nothing"]}, r"methods: nothing is none of methods; choose from"),
        ({"documents": 8}, r"documents: no such key in the config"),
    ],
)
def test_what_does_not_fit_is_refused(given, message):
    with pytest.raises(StudyError, match=rf"^controls\.specificity\.{message}"):
        asked(given)


@pytest.mark.parametrize(
    ("mode", "scope", "message"),
    [
        (
            "resample",
            "suffix",
            r"none has scope suffix and needs no twin, .*; add one of mode zero to ablation\.interv",
        ),
        ("zero", "all", r"none has scope suffix and needs no twin, .*; name one of zero_all\."),
    ],
)
def test_without_a_fitting_intervention_the_fix_is_named(mode, scope, message):
    config = copy.deepcopy(LEAST) | {"controls": {"specificity": {}}, "ablation": {"mode": mode, "scope": scope}}
    with pytest.raises(StudyError, match=rf"^controls\.specificity\.intervention: {message}"):
        complete(config)


def test_its_cost_is_that_of_every_item_under_every_set():
    def passes(given, **ablation):
        return passes_by_stage(asked(given, **ablation), 200)["specificity"]

    # One context; 200 items of the whole model; 2 kinds of 24 under 2 questions × 1 method × 2 levels × 2 sets.
    assert passes({"items": 24}) == pytest.approx(1 + 0.37 * (64 + 12) / 512 * (200 + 2 * 24 * 8))
    assert passes({"items": 40}) > passes({"items": 24})
    assert passes({"items": 24}, levels=[5, 10, 20]) > passes({"items": 24}) > passes({"items": 24, "levels": [20]})
    # Where heads are ablated in the context too, it is run for each set.
    assert passes({"intervention": "everywhere", "methods": ["wu24"]}) > passes({}) + 8


def test_the_default_studys_share_is_as_it_was_measured():
    # Measured: 140 plain passes for 24 items of each kind under 48 sets, as the default study's.
    config = copy.deepcopy(LEAST) | {"controls": {"specificity": {"items": 24}}}
    config["questions"] |= {name: {"text": f"What is {name}?", "type": "text"} for name in ("a", "b")}
    config["ablation"]["interventions"]["reading"]["methods"] = ["summed_attention", "wu24", "qrhead"]
    assert passes_by_stage(complete(config), 200)["specificity"] == pytest.approx(140, rel=0.05)

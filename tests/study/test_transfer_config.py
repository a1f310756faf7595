"""What the control of transfer takes from a config, and what it refuses before any work."""

import re

import pytest

from retrieval_heads.engine.extent import passes_by_stage
from retrieval_heads.errors import StudyError
from retrieval_heads.study.config import complete
from retrieval_heads.study.controls import control
from retrieval_heads.study.paths import Paths
from retrieval_heads.study.twins import twinned_documents, unablated_documents

QUESTIONS = {
    name: {"text": f"{name}?", "type": "state", "answer_prefix": " It is"} for name in ("hq_state", "inc_state")
}
INTERVENTIONS = {
    "everywhere": {"mode": "zero", "scope": "all", "documents": 4},
    "reading": {"mode": "zero", "scope": "suffix", "documents": 6, "levels": [5, 20], "methods": ["wu24"]},
    "other_value": {"mode": "resample", "scope": "suffix", "documents": 2, "levels": [20]},
}

UNFIT = "no intervention in scope suffix; choose from reading, other_value."
UNKNOWN = "none of what the intervention reading ablates; choose from"


def config(transfer=(), questions=QUESTIONS, interventions=INTERVENTIONS):
    return complete(
        {
            "study": "made",
            "models": {"small": {"source": {"path": "x"}}},
            "documents": {"train": 4, "test": 10},
            "questions": dict(questions),
            "prompts": {"context_lengths": [512, 1024]},
            "methods": {"wu24": {}, "qrhead": {}},
            "ablation": {
                "context_lengths": [512],
                "levels": [10],
                "interventions": {name: dict(one) for name, one in interventions.items()},
            },
            "controls": {} if transfer is None else {"transfer": dict(transfer)},
        }
    )


def test_it_takes_all_from_the_first_intervention_in_question_and_answer():
    assert control(config(), "transfer") == {
        "intervention": "reading",
        "level": 20,
        "documents": None,
        "methods": ["wu24"],
        "context_lengths": [512],
    }


def test_its_files_stand_under_its_intervention():
    (path,) = Paths(config()).every("transfer")
    assert path.endswith("made/transfer/small/plain/512/reading/1-of-1.parquet")
    assert Paths(config(None)).every("transfer") == []


def test_the_whole_model_is_asked_about_its_documents():
    assert unablated_documents(config(None), 512)[0] == 6
    assert unablated_documents(config(), 512) == (None, "controls.transfer.documents")
    assert unablated_documents(config({"documents": 8}), 512) == (8, "controls.transfer.documents")
    assert twinned_documents(config(), 512)[0] == 2
    assert twinned_documents(config({"intervention": "other_value", "documents": 8}), 512)[0] == 8


def test_it_costs_nothing_unless_asked_for():
    without, beside = (passes_by_stage(config(given), 200) for given in (None, ()))
    assert beside["transfer"] > 0 and "transfer" not in without
    assert {stage: passes for stage, passes in beside.items() if stage not in ("transfer", "unablated")} == {
        stage: passes for stage, passes in without.items() if stage != "unablated"
    }


@pytest.mark.parametrize(
    ("transfer", "sentence"),
    [
        ({"intervention": "everywhere"}, f"intervention: everywhere is {UNFIT}"),
        ({"intervention": "nothing"}, f"intervention: nothing is {UNFIT}"),
        ({"level": 10}, f"level: 10 is {UNKNOWN} 5, 20."),
        ({"methods": ["qrhead"]}, f"methods: qrhead is {UNKNOWN} wu24."),
        ({"methods": ["core"]}, "methods: core is none of methods; choose from wu24, qrhead."),
        ({"context_lengths": [1024]}, f"context_lengths: 1024 is {UNKNOWN} 512."),
        ({"documents": 11}, "documents: 11 is more than the 10 of documents.test; give fewer, or null for all."),
    ],
)
def test_what_it_cannot_take_is_refused_with_what_it_can(transfer, sentence):
    with pytest.raises(StudyError, match=re.escape(f"controls.transfer.{sentence}")):
        config(transfer)


def test_a_single_question_is_refused():
    with pytest.raises(StudyError, match=re.escape("controls.transfer: a single question has no other's heads")):
        config(questions={"hq_state": QUESTIONS["hq_state"]})


def test_a_study_without_scope_suffix_is_refused():
    with pytest.raises(StudyError, match=r"controls\.transfer\.intervention: none of .* has scope suffix; add one"):
        config(interventions={"everywhere": INTERVENTIONS["everywhere"]})

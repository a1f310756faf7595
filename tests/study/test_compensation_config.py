"""What a config may ask of the control compensation, what is filled in, and where it goes."""

import re

import pytest
import yaml

from projects import ROOT
from retrieval_heads.engine.extent import passes_by_stage
from retrieval_heads.errors import StudyError
from retrieval_heads.study.checks import check_values
from retrieval_heads.study.config import complete
from retrieval_heads.study.controls import control
from retrieval_heads.study.paths import Paths
from retrieval_heads.study.twins import twinned_documents

DEFAULT = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
WAYS = {
    "everywhere": {"mode": "zero", "scope": "all", "levels": [20]},
    "reading": {"mode": "zero", "scope": "suffix", "levels": [5, 20]},
    "other_value": {"mode": "resample", "scope": "suffix", "documents": 2, "methods": ["wu24"], "levels": [20]},
}


def made(interventions=WAYS, asked=None):
    ablation = DEFAULT["ablation"] | {"interventions": interventions, "headline": next(iter(interventions))}
    return complete(DEFAULT | {"ablation": ablation, "controls": {"compensation": asked or {}}})


def test_all_interventions_of_scope_suffix_are_taken_with_their_methods_and_lengths():
    one = control(made(), "compensation")
    assert one["interventions"] == ["reading", "other_value"]
    assert one["methods"] == DEFAULT["ablation"]["methods"]
    assert one["context_lengths"] == DEFAULT["ablation"]["context_lengths"]
    assert one["questions"] == list(DEFAULT["questions"]) and one["documents"] == 8


@pytest.mark.parametrize(
    ("ways", "asked", "said"),
    [
        ({"everywhere": WAYS["everywhere"]}, {}, "no intervention is of scope suffix; add one to"),
        (WAYS, {"interventions": ["everywhere"]}, "everywhere is of scope all; choose from reading, other_value."),
        (WAYS, {"interventions": ["none"]}, "none is no intervention; choose from reading, other_value."),
        (
            WAYS,
            {"interventions": ["other_value"], "methods": ["qrhead"]},
            "ablates the heads of qrhead; choose from wu24",
        ),
        (WAYS, {"documents": 9999}, "9999 is more than the"),
    ],
)
def test_what_cannot_be_measured_is_refused(ways, asked, said):
    with pytest.raises(StudyError, match=rf"^controls\.compensation.*{re.escape(said)}"):
        check_values(made(ways, asked))


def test_there_is_a_file_for_each_intervention_length_and_shard():
    config = made()
    for stage in ("compensation", "compensation_heads"):
        files = Paths(config).every(stage)
        assert len(files) == len(set(files)) == 2 * len(config["models"]) * config["compute"]["shards"]
        assert all(re.search(rf"/{stage}/.+/(reading|other_value)/1-of-", file) for file in files)
    assert Paths(complete(DEFAULT)).every("compensation") == []


def test_twins_are_answered_for_as_many_documents_as_the_control_takes():
    length = DEFAULT["ablation"]["context_lengths"][0]
    assert twinned_documents(made(asked={"documents": 12}), length) == (12, "controls.compensation.documents")
    # Not where none of its interventions takes outputs from twins.
    few = {"documents": 12, "interventions": ["reading"]}
    assert twinned_documents(made(asked=few), length)[0] != 12


def test_no_twin_is_answered_in_a_variant_in_which_no_heads_are_ablated():
    ways = {name: one | {"variants": ["plain"]} for name, one in WAYS.items()}
    prompts = DEFAULT["prompts"] | {"variants": {"plain": {}, "no_prefix": {"answer_prefix": ""}}}
    given = DEFAULT | {"prompts": prompts, "controls": {"compensation": {"documents": 12}}, "yardstick": None}
    given["ablation"] = DEFAULT["ablation"] | {"interventions": ways, "headline": "everywhere"}
    length = DEFAULT["ablation"]["context_lengths"][0]
    config = complete(given)
    assert twinned_documents(config, length, "plain")[0] == 12
    assert twinned_documents(config, length, "no_prefix")[0] == 0


def test_a_study_counts_its_passes_and_others_cost_as_before():
    found, without = passes_by_stage(made(), 100), passes_by_stage(complete(DEFAULT), 100)
    assert found["compensation"] > 0
    assert not any(stage.startswith("compensation") for stage in without)
    # Behind a second context, and for two outputs each: more, though for one method of three.
    twice = {**WAYS, "other_value": WAYS["reading"] | {"mode": "resample"}}
    more = passes_by_stage(made(twice), 100)
    assert (
        more["compensation"] > 2.5 * passes_by_stage(made(twice, {"interventions": ["reading"]}), 100)["compensation"]
    )

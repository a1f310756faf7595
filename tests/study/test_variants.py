"""A variant asks the same in another way: what it overrides is all that differs."""

import pytest

from projects import ROOT
from retrieval_heads.engine.extent import passes_by_stage
from retrieval_heads.errors import StudyError
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.interventions import ablated_variants, count_head_sets
from retrieval_heads.study.methods import methods_at
from retrieval_heads.study.needs import available
from retrieval_heads.study.paths import Paths
from retrieval_heads.study.study import Study
from retrieval_heads.study.twins import twinned_documents
from retrieval_heads.study.variants import asked_questions, decoyed, prompt_settings, variant_lengths, variants
from retrieval_heads.study.wording import setting
from retrieval_heads.study.yardstick import yardstick


def with_variants(**given):
    config = read_yaml(ROOT / "config" / "tiny.yaml", "")
    return config | {"prompts": config["prompts"] | {"variants": given}}


TWO = complete(with_variants(plain={}, no_prefix={"answer_prefix": "", "answer": "A:"}))
STUDY = Study(TWO, {name: {} for name in TWO["methods"]})


def test_without_the_key_there_is_only_the_plain_one():
    config = complete(read_yaml(ROOT / "config" / "tiny.yaml", ""))
    assert variants(config) == ["plain"]
    assert asked_questions(config, "plain") == asked_questions(TWO, "plain")


def test_what_a_variant_does_not_name_is_as_in_the_plain_one():
    plain, other = (prompt_settings(TWO, name) for name in variants(TWO))
    assert other == plain | {"answer": "A:"}
    assert {"context_lengths", "variants", "answer_prefix"}.isdisjoint(plain)


def test_an_answer_prefix_is_that_of_every_question():
    plain, other = (asked_questions(TWO, name) for name in variants(TWO))
    assert all(question["answer_prefix"] for question in plain.values())
    assert other == {name: question | {"answer_prefix": ""} for name, question in plain.items()}


def test_texts_and_prefixes_may_be_those_of_single_questions():
    given = {"text": {"inc_state": "Where from?"}, "answer_prefix": {"employee_count": " It has"}}
    config = complete(with_variants(plain={}, other=given))
    plain, other = (asked_questions(config, name) for name in variants(config))
    assert other["inc_state"] == plain["inc_state"] | {"text": "Where from?"}
    assert other["employee_count"] == plain["employee_count"] | {"answer_prefix": " It has"}
    assert prompt_settings(config, "other") == prompt_settings(config, "plain")


def test_decoys_are_a_setting_of_a_variants_prompts():
    config = complete(with_variants(plain={}, decoy={"decoy": True}))
    assert [decoyed(config, name) for name in variants(config)] == [False, True]
    assert prompt_settings(config, "decoy") == prompt_settings(config, "plain") | {"decoy": True}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"other": {}}, r"^prompts\.variants: plain is what prompts says; begin with plain: \{\}"),
        ({"plain": {"answer": "A:"}}, r"^prompts\.variants: plain is what prompts says"),
        ({"plain": {}, "Plain": {}}, r"^prompts\.variants\.Plain: some file systems take it for plain"),
        (
            {"plain": {}, "far": {"depths": [0.1]}},
            r"^prompts\.variants\.far\.depths: no such key in the config",
        ),
        (
            {"plain": {}, "other": {"answer_prefix": {"inc_city": " It is"}}},
            r"^prompts\.variants\.other\.answer_prefix\.inc_city: this config asks no such question",
        ),
        (
            {"plain": {}, "other": {"text": "What?"}},
            r"^prompts\.variants\.other\.text: 'What\?' is not of type 'object'",
        ),
        (
            {"plain": {}, "other": {"answer_prefix": {"inc_state": 1}}},
            r"^prompts\.variants\.other\.answer_prefix\.inc_state: 1 is not of type 'string'",
        ),
    ],
)
def test_what_is_no_variant_is_refused(given, message):
    with pytest.raises(StudyError, match=message):
        complete(with_variants(**given))


def test_every_variant_has_its_paths():
    paths = Paths(TWO)
    assert paths.output("prompts", model="m", variant="no_prefix", length=512).endswith(
        "prompts/m/no_prefix/512.parquet"
    )
    assert len(paths.every("rankings")) == 2 * len(Paths(complete(with_variants(plain={}))).every("rankings"))


def test_a_sentence_names_the_variant_where_there_are_several():
    row = {"model": "planted", "question": "inc_state", "context_length": 512, "variant": "no_prefix"}
    assert setting(STUDY, row) == "Inc state at 512 tokens in the variant No prefix in planted"
    assert setting(STUDY, row | {"variant": "plain"}) == "Inc state at 512 tokens in planted"


def ablated_in(where=None, measured=None, **ablation):
    """A study of two variants, with heads ablated in some and measured in some."""
    config = with_variants(plain={}, no_prefix={"answer_prefix": ""})
    ablation = config["ablation"] | {"variants": where} | ablation
    return config | {"ablation": ablation, "yardstick": config["yardstick"] | {"variants": measured}}


def test_heads_are_ablated_and_measured_in_all_variants_unless_it_is_said_in_which():
    paths = Paths(complete(ablated_in()))
    for stage in ("head_sets", "ablation", "guard", "head_effects"):
        assert {variant_of(path, stage) for path in paths.every(stage)} == {"plain", "no_prefix"}
    config = complete(ablated_in(["plain"]))
    paths = Paths(config)
    for stage in ("head_sets", "ablation", "guard", "head_effects"):
        assert {variant_of(path, stage) for path in paths.every(stage)} == {"plain"}
    # In the other one heads are ranked, and the whole model answers.
    for stage in ("rankings", "unablated"):
        assert {variant_of(path, stage) for path in paths.every(stage)} == {"plain", "no_prefix"}
    assert yardstick(config)["variants"] == ["plain"]
    assert yardstick(complete(ablated_in(["plain"], ["no_prefix", "plain"])))["variants"] == ["no_prefix", "plain"]


def variant_of(path, stage):
    return path.partition(f"/{stage}/")[2].split("/")[1]


def test_an_intervention_may_have_variants_of_its_own():
    every = {"a": {"mode": "zero"}, "b": {"mode": "resample", "variants": ["plain"], "without_induction": True}}
    config = ablated_in(interventions=every)
    config["ablation"] = {key: value for key, value in config["ablation"].items() if key not in ("mode", "scope")}
    config = complete(config)
    assert ablated_variants(config, "a") == ["plain", "no_prefix"] == ablated_variants(config)
    assert ablated_variants(config, "b") == ["plain"]
    # Twins are asked where something takes outputs from them.
    config["yardstick"]["variants"] = ["plain"]
    assert twinned_documents(config, 512, "plain")[0] is None and twinned_documents(config, 512, "no_prefix")[0] == 0
    # Methods × levels × (top set and two random ones), what is without induction heads, and the plain variant's sets.
    assert count_head_sets(config, "a") == 1 + 3 * 2 * 3
    assert count_head_sets(config, "b") == 1 + 3 * 2 * 4
    assert count_head_sets(config, "a", "no_prefix") == 1 + 3 * 2 * 4


def test_a_variant_in_which_nothing_is_ablated_costs_little():
    all_ways, plain = (passes_by_stage(complete(ablated_in(where)), 3) for where in (None, ["plain"]))
    one = passes_by_stage(complete(with_variants(plain={})), 3)
    for stage in ("ablation zero_all", "yardstick zero"):
        assert plain[stage] == one[stage] < all_ways[stage]
    for stage in ("scoring", "unablated"):
        assert plain[stage] == all_ways[stage] == 2 * one[stage]


def test_what_a_study_has_beside_top_sets_is_known():
    assert available(complete(with_variants(plain={})))["other_sets"] == []
    assert available(complete(ablated_in()))["other_sets"] == ["plain"]
    config = complete(ablated_in(["plain"], without_induction=True))
    assert available(config)["other_sets"] == ["without_induction"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            ablated_in(["other"]),
            r"^ablation\.variants: other is none of prompts\.variants; choose from plain, no_prefix",
        ),
        (
            ablated_in(None, ["x"]),
            r"^yardstick\.variants: x is none of prompts\.variants; choose from plain, no_prefix",
        ),
        (
            ablated_in(["no_prefix"]),
            r"^ablation\.variants: plain is missing, which figures and findings are about; add it",
        ),
        (ablated_in(None, ["no_prefix"]), r"^yardstick\.variants: plain is missing"),
        (ablated_in([]), r"^ablation\.variants: \[\] should be non-empty"),
    ],
)
def test_variants_that_there_are_not_are_refused(config, message):
    with pytest.raises(StudyError, match=message):
        complete(config)


def in_part(where=None, **given):
    """A study with a variant of which only a part is asked for."""
    where = where or ["plain"]
    config = ablated_in(where, where)
    return config | {"prompts": config["prompts"] | {"variants": {"plain": {}, "part": {"answer_prefix": ""} | given}}}


def test_a_variant_may_be_ranked_at_some_lengths_by_some_methods_alone():
    config = complete(in_part(context_lengths=[640], methods=["wu24"]))
    assert variant_lengths(config, "plain") == config["prompts"]["context_lengths"]
    assert variant_lengths(config, "part") == [640]
    assert list(methods_at(config, 640, "part")) == ["wu24"]
    assert list(methods_at(config, 640)) == list(config["methods"])
    assert "methods" not in prompt_settings(config, "part")
    for stage in ("prompts", "scores", "rankings"):
        of_part = [file for file in Paths(config).every(stage) if variant_of(file, stage) == "part"]
        assert of_part
        assert all("/640" in file for file in of_part)
    whole = complete(in_part())
    assert passes_by_stage(config, 0)["scoring"] < passes_by_stage(whole, 0)["scoring"]


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ({"methods": ["wu"]}, ["plain"], r"^prompts\.variants\.part\.methods: wu is none of methods; choose from"),
        ({"context_lengths": [9]}, ["plain"], r"^prompts\.variants\.part\.context_lengths: 9 is none of prompts\."),
        (
            {"context_lengths": [640]},
            ["plain", "part"],
            r"^prompts\.variants\.part\.context_lengths: it lacks \d+, for which heads are ablated or measured in this",
        ),
        ({"methods": ["wu24"]}, ["plain", "part"], r"^prompts\.variants\.part\.methods: it lacks \w+, for which heads"),
    ],
)
def test_a_part_of_a_variant_that_does_not_suffice_is_refused(given, where, message):
    with pytest.raises(StudyError, match=message):
        complete(in_part(where, **given))

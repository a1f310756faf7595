import ast
import copy
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dotted import put
from retrieval_heads.engine.extent import method_passes, passes_by_stage
from retrieval_heads.errors import StudyError
from retrieval_heads.methods import make_methods
from retrieval_heads.model.identity import model_artifact
from retrieval_heads.plain_text import commanding
from retrieval_heads.plugins import names, parameters
from retrieval_heads.preflight import check_surroundings
from retrieval_heads.study.checks import require_one_file
from retrieval_heads.study.config import complete
from retrieval_heads.study.forms import schema
from retrieval_heads.study.interventions import ablated_lengths, ablated_methods, count_head_sets, interventions
from retrieval_heads.study.methods import described_methods, fitted_methods, methods_at, twin_methods
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.study.twins import uses_twins
from retrieval_heads.study.yardstick import yardstick, yardstick_modes
from tiny_models import safetensors

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "config").glob("*.yaml"))
LEAST = {
    "study": "least",
    "models": {"small": {"source": {"path": "somewhere"}}},
    "documents": {"train": 2, "test": 1},
    "questions": {"hq_state": {"text": "Where?", "type": "state"}},
    "prompts": {"context_lengths": [512, 1024]},
}
FILE = LEAST | {"documents": {"source": "file", "file": "mine.csv"}}
EDGAR = LEAST | {"documents": {"source": "edgar_corpus", "sections": "corpus", "ground_truth": "truth.csv"}}
PUBLISHED = {
    "study": "published",
    "published": {"folder": "somewhere"},
    "models": {"small": {}},
    "questions": {"hq_state": {"text": "Where?", "type": "state"}},
    "prompts": {"context_lengths": [512, 1024]},
}
SHAPE = {"max_position_embeddings": 1024, "num_hidden_layers": 5, "num_attention_heads": 8}
QUESTION = {"text": "What?", "type": "text"}


def change(key, value, config=LEAST):
    """The least config with the value of a dotted key put in; ``...`` takes the key away."""
    config = copy.deepcopy(config)
    put(config, key, value)
    return config


def defaults(rule, path=()):
    """Every dotted key of the schema with its default, those of models and questions left out."""
    for part in (rule, *rule.get("oneOf", ())):
        for key, sub in part.get("properties", {}).items():
            if sub.get("type") == "object" and "properties" in sub:
                yield from defaults(sub, (*path, key))
            elif "default" in sub:
                yield (*path, key), sub["default"]


class TestDefaults:
    @pytest.mark.parametrize(("path", "default"), list(defaults(schema())), ids=lambda value: str(value)[:40])
    def test_they_are_filled_in(self, path, default):
        configs = [complete(LEAST), complete(FILE), complete(EDGAR)]
        if path[0] == "documents" and path[1] != "source":
            # Where a source has this key. Which have it, see below.
            configs = [config for config in configs if path[1] in config["documents"]]
            assert configs
        if path[:2] in [("ablation", key) for key in ("mode", "scope", "headline", "interventions")]:
            return  # of what they become, see below
        for value in configs if path != ("documents", "source") else configs[:1]:
            for key in path:
                value = value[key]
            assert value == default

    @pytest.mark.parametrize(
        ("config", "keys"),
        [
            (LEAST, "source train test missing_rate variety distractors templates"),
            (FILE, "source file text id answers passages twins split test_share"),
            (EDGAR, "source sections years ground_truth file_name section answers passages twins split test_share"),
        ],
        ids=["generator", "file", "edgar_corpus"],
    )
    def test_documents_have_the_keys_of_their_source(self, config, keys):
        assert set(complete(config)["documents"]) == set(keys.split())
        assert complete(complete(config)) == complete(config)

    def test_the_schema_knows_the_scopes(self):
        ablation = schema()["properties"]["ablation"]["properties"]
        for one in (ablation, ablation["interventions"]["additionalProperties"]["properties"]):
            assert one["scope"]["enum"] == list(SCOPES)

    def test_models_and_questions_have_them_too(self):
        config = complete(LEAST)
        assert config["models"]["small"]["dtype"] == "auto"
        assert config["questions"]["hq_state"] == {
            "text": "Where?",
            "type": "state",
            "category": "other",
            "answer_prefix": "",
        }

    def test_they_replace_nothing_that_is_given(self):
        config = change("ablation.random_draws.matched", 0)
        config["models"]["small"]["dtype"] = "float32"
        config = complete(config)
        assert config["ablation"]["random_draws"] == {"matched": 0, "grouped": 0, "unmatched": 1}
        assert config["models"]["small"]["dtype"] == "float32"

    def test_two_configs_share_nothing(self):
        complete(LEAST)["ablation"]["levels"].append(99)
        assert 99 not in complete(LEAST)["ablation"]["levels"]
        assert 99 not in schema()["properties"]["ablation"]["properties"]["levels"]["default"]

    def test_every_default_method_is_there(self):
        assert set(complete(LEAST)["methods"]) <= set(names("methods"))

    def test_the_schema_knows_what_has_a_file_of_its_own(self):
        keys = schema()["properties"]
        assert keys["documents"]["properties"]["source"]["enum"] == names("data.documents")
        assert keys["questions"]["additionalProperties"]["properties"]["type"]["enum"] == names("data.answers")
        assert list(keys["methods"]["properties"]) == names("methods")
        source = keys["models"]["additionalProperties"]["properties"]["source"]
        assert [form["title"] for form in source["oneOf"]] == names("model.sources")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
class TestReadyMadeStudies:
    def test_it_is_valid(self, path):
        config = complete(yaml.safe_load(path.read_text()))
        assert config["study"]
        assert make_methods(config["methods"])
        assert config["published"] or set(ablated_lengths(config)) <= set(config["prompts"]["context_lengths"])

    def test_the_folders_that_it_names_are_there(self, path, monkeypatch, tmp_path):
        monkeypatch.chdir(ROOT)
        config = complete(yaml.safe_load(path.read_text()))
        config["models"] = config["models"] if config["published"] else {}
        outside = config["published"]["folder"] if config["published"] else config["documents"].get("file", "config")
        if outside.startswith("..") and not Path(outside).exists():
            pytest.skip(f"needs {outside}, which is no part of the project")
        check_surroundings(config | {"results": str(tmp_path)})


def test_there_are_ready_made_studies():
    assert ROOT / "config" / "config.yaml" in STUDIES


BAD = [  # key, its value, what the message says
    # unknown keys
    ("promts", {}, r"promts: no such key in the config; did you mean prompts\?"),
    ("documents.tran", 3, r"documents\.tran: no such key in the config; did you mean train\?"),
    ("models.small.sorce", {}, r"models\.small\.sorce: no such key in the config; did you mean source\?"),
    ("questions.hq_state.typ", "state", r"questions\.hq_state\.typ: no such key in the config; did you mean type\?"),
    ("ablation.random_draws.xyz", 1, r"ablation\.random_draws\.xyz: no such key .* are matched, grouped, unmatched"),
    ((8,), 1, "8: "),
    (("compute", True), 1, r"compute\.True: "),
    # missing keys
    ("study", ..., "study: this key is missing from the config; add it"),
    ("models", ..., "models: this key is missing from the config"),
    ("documents.test", ..., r"documents\.test: this key is missing from the config"),
    ("prompts.context_lengths", ..., r"prompts\.context_lengths: this key is missing from the config"),
    ("questions.hq_state.type", ..., r"questions\.hq_state\.type: this key is missing from the config"),
    ("models.small.source", ..., r"models\.small\.source: this key is missing from the config"),
    ("documents", ..., "documents: this key is missing from the config"),
    # documents: keys of another source, keys that a source needs
    ("documents.source", "excel", r"documents\.source: 'excel' is not one of \['edgar_corpus', 'file', 'generator'\]"),
    ("documents", {"file": "x.csv"}, r"documents\.file: this key has no meaning for source generator; take it out or"),
    ("documents.split", "split", r"documents\.split: this key has no meaning for source generator"),
    ("documents", {"source": "file"}, r"documents\.file: this key is missing from the config; add it"),
    ("documents", FILE["documents"] | {"train": 3}, r"documents\.train: this key has no meaning for source file"),
    ("documents", FILE["documents"] | {"years": [2020]}, r"documents\.years: this key has no meaning for source file"),
    ("documents", FILE["documents"] | {"test_share": 1}, r"documents\.test_share: 1 is greater than or equal to"),
    ("documents", FILE["documents"] | {"answers": {"hq": "x"}}, r"documents\.answers\.hq: this config asks no such"),
    ("documents", FILE["documents"] | {"passages": {"hq": "x"}}, r"documents\.passages\.hq: this config asks no such"),
    ("documents.passages", {"hq_state": "x"}, r"documents\.passages: this key has no meaning for source generator"),
    (
        "generation.min_recall",
        0.5,
        r"^generation\.min_recall: this key is gone, as the type of a question .*; take it out\.$",
    ),
    ("documents", {"source": "edgar_corpus", "sections": "x"}, r"documents\.ground_truth: this key is missing"),
    ("documents", EDGAR["documents"] | {"text": "x"}, r"documents\.text: .* no meaning for source edgar_corpus"),
    # values of another type, or beyond their bounds
    ("seed", "one", "seed: 'one' is not of type 'integer'"),
    ("seed", True, "seed: True is not of type 'integer'"),
    ("documents", None, "documents: None is not of type 'object'"),
    ("documents.train", 1.5, r"documents\.train: 1\.5 is not of type 'integer'"),
    ("documents.train", 2.0, r"documents\.train: 2\.0 is not of type 'integer'"),
    ("prompts.context_lengths", [512.0], r"prompts\.context_lengths\.0: 512\.0 is not of type 'integer'"),
    ("documents.train", -1, r"documents\.train: -1 is less than the minimum"),
    ("documents.missing_rate", 1.1, r"documents\.missing_rate: 1\.1 is greater than the maximum"),
    ("prompts.context_lengths", 512, r"prompts\.context_lengths: 512 is not of type 'array'"),
    ("prompts.context_lengths", [], r"prompts\.context_lengths: \[\]"),
    ("prompts.context_lengths", [512, 512], r"prompts\.context_lengths: \[512, 512\] has non-unique"),
    ("prompts.context_lengths", [512, "1k"], r"prompts\.context_lengths\.1: '1k' is not of type 'integer'"),
    ("prompts.depths", [1.5], r"prompts\.depths\.0: 1\.5 is greater than the maximum"),
    ("prompts.question", "What?", r"prompts\.question: 'What\?' does not match"),
    ("models", {}, r"models: \{\}"),
    ("models", {"a b": {"source": {"path": "x"}}}, "models: 'a b' does not match"),
    ("models.small.dtype", "int8", r"models\.small\.dtype: 'int8' is not one of"),
    ("models.small.quantization", "2bit", r"models\.small\.quantization: '2bit' is not one of"),
    ("models.small.trust_remote_code", "yes", r"models\.small\.trust_remote_code: 'yes' is not of type 'boolean'"),
    ("study", "a/b", "study: 'a/b' does not match"),
    ("ablation.mode", "nothing", r"ablation\.mode: 'nothing' is not one of \['mean', 'resample', 'uniform', 'zero'\]"),
    ("ablation.scope", "needle", r"ablation\.scope: 'needle' is not one of \['all', 'suffix', 'decode'\]"),
    ("ablation.methods", ["wu"], r"ablation\.methods: wu is none of methods; add it there"),
    (
        "ablation.interventions",
        {"first": {"methods": ["core"]}},
        r"ablation\.interventions\.first\.methods: core is none of methods; add it there",
    ),
    ("ablation.levels", [0], r"ablation\.levels\.0: 0 is less than the minimum"),
    ("analysis.alpha", 0, r"analysis\.alpha: 0 is less than or equal to"),
    ("analysis.consensus_k", 0, r"analysis\.consensus_k: 0 is less than the minimum"),
    ("analysis.specialist_k", 1.5, r"analysis\.specialist_k: 1\.5 is not of type 'integer', 'null'"),
    ("analysis.split_halves", -1, r"analysis\.split_halves: -1 is less than the minimum"),
    ("analysis.split_halves", None, r"analysis\.split_halves: None is not of type 'integer'"),
    # names that would be no names
    ("models", {8: {"source": {"path": "x"}}}, "models.*8"),
    ("questions", {2020: QUESTION}, "questions.*2020"),
    ("study", "models", "study.*models"),
    ("study", "..", "study"),
    ("models", {"..": {"source": {"path": "x"}}}, "models"),
    # sources of models
    (
        "models.small.source",
        {},
        r"models\.small\.source: \{\} is no source of models; write one of \{gguf: …\}; .*\{package: …, file: …\}",
    ),
    ("models.small.source", {"hub": "a/b"}, r"models\.small\.source: .*\{hub: …, revision: …\}"),
    ("models.small.source", {"path": "x", "hub": "a/b"}, r"models\.small\.source: .*\{path: …\}"),
    ("models.small.source", {"url": "x"}, r"models\.small\.source: .* is no source of models"),
    ("models.small.source", "x", r"models\.small\.source: 'x' is not of type 'object'"),
    # methods and questions
    ("methods.core", {}, r"methods\.core: it compares documents, and this haystack is prose; set prompts\.haystack to"),
    ("methods.core", {"temperature": 0}, r"methods\.core\.temperature: 0 is less than the minimum of 1e-06"),
    ("methods.core", {"temperature": 1e-300}, r"methods\.core\.temperature: 1e-300 is less than the minimum of 1e-06"),
    ("methods.locos", {"span": "prose"}, r"methods\.locos\.span: 'prose' is not one of \['sentence', 'needle', 'an"),
    ("methods.value_flow", {"toward": "mean"}, r"methods\.value_flow\.toward: 'mean' is not one of \['zero', 'twin'\]"),
    ("methods.single_head_effect", {"documents": 0}, r"methods\.single_head_effect\.documents: 0 is less than the min"),
    (
        "methods.single_head_effect",
        {"documents": 9},
        r"methods\.single_head_effect\.documents: 9 is more than the 2 of",
    ),
    ("methods.single_head_effect", {"mode": "x"}, r"methods\.single_head_effect\.mode: 'x' is not one of \['mean'"),
    *(
        (f"methods.{name}", {"method": "wu24", "label": "x"}, rf"methods\.{name}: rankings are held against one of")
        for name in ("chance", "layer", "write_norm", "ceiling")
    ),
    ("methods.magic", {}, r"methods\.magic: no such method; there are .*qrhead, .*wu24"),
    ("methods.wu24", None, r"methods\.wu24: None is not of type 'object'"),
    ("methods.wu24", {"spam": 1}, r"methods\.wu24\.spam: no such key in the config; did you mean span\?"),
    (
        "methods.summed_attention",
        {"span": 1},
        r"methods\.summed_attention\.span: no such .*known here are context_lengths",
    ),
    ("questions.hq_state.type", "colour", r"questions\.hq_state\.type: 'colour' is not one of \['count', 'state'"),
    ("questions.HQ", QUESTION, "questions: 'HQ' does not match"),
    *(
        (f"questions.{name}", QUESTION, rf"questions\.{name}: this name is a column of the documents table")
        for name in ("doc_id", "split", "text", "source", "hq_state_start")
    ),
    ("prompts.date", "today", r"prompts\.date: 'today' is no date of the calendar; write one as 2024-07-26"),
    ("prompts.date", "2024-02-30", r"prompts\.date: '2024-02-30' is no date of the calendar"),
    ("prompts.date", "26.07.2024", r"prompts\.date: '26\.07\.2024' is no date"),
    ("prompts.date", 2024, r"prompts\.date: 2024 is not of type 'string'"),
    # values that do not go together
    ("documents.train", 0, r"documents\.train: the train split is empty"),
    ("documents.test", 0, r"documents\.test: the test split is empty"),
    ("prompts.context_lengths", [512, 64], r"prompts\.context_lengths: 64 leaves no room .*suffix_budget \(64\)"),
    ("prompts.context_lengths", [10], r"prompts\.context_lengths: 10 leaves no room"),
    ("prompts.suffix_budget", 512, r"prompts\.context_lengths: 512 leaves no room .*suffix_budget \(512\)"),
    ("ablation.context_lengths", [512, 2048], r"ablation\.context_lengths: 2048 is none of prompts\.context_lengths"),
    ("ablation.context_lengths", [], r"ablation\.context_lengths: \[\]"),
    ("analysis.level", 7, r"analysis\.level: 7 heads are not ablated; choose one of ablation\.levels"),
]


@pytest.mark.parametrize(("key", "value", "message"), BAD, ids=[f"{key}={value}"[:60] for key, value, _ in BAD])
def test_bad_values_are_refused_with_their_key(key, value, message):
    with pytest.raises(StudyError, match=f"^{message}") as caught:
        complete(change(key, value))
    assert "\n" not in str(caught.value).strip()


def test_core_needs_documents_beside_the_needle():
    prompts = LEAST["prompts"] | {"haystack": "documents"}
    config = LEAST | {"methods": {"core": {}}, "prompts": prompts, "documents": {"train": 2, "test": 2}}
    with pytest.raises(StudyError, match=r"^methods\.core: it needs two whole documents beside the needle, and docum"):
        complete(copy.deepcopy(config))
    assert complete(copy.deepcopy(config) | {"documents": {"train": 3, "test": 2}})["methods"] == {"core": {}}


ALIAS = {"method": "attribution_patching", "toward": "twin", "label": "Toward the twin"}


class TestMethodsUnderANameOfOnesOwn:
    def test_one_method_ranks_twice(self):
        config = complete(change("methods", {"attribution_patching": {}, "other": ALIAS}))
        plain, other = make_methods(config["methods"])
        assert (plain.name, plain.label, plain.toward) == ("attribution_patching", "Attribution patching", "zero")
        assert (other.name, other.label, other.toward) == ("other", "Toward the twin", "twin")
        assert (plain.needs_twin, other.needs_twin) == (False, True)
        told = described_methods(config)
        assert told["other"]["label"] == "Toward the twin"
        assert told["other"]["paper"] == told["attribution_patching"]["paper"]
        assert told["other"]["definition"].startswith(told["attribution_patching"]["definition"])
        assert "twin" in told["other"]["definition"]
        assert complete(config) == config

    @pytest.mark.parametrize(
        ("entry", "sentence"),
        [
            (
                {"method": "magic", "toward": "x"},
                r"methods\.other\.method: 'magic' is not one of \['attention_contrast'",
            ),
            ({"method": 3, "label": "x"}, r"methods\.other\.method: 3 is not one of \["),
            (ALIAS | {"toward": "moon"}, r"methods\.other\.toward: 'moon' is not one of \['zero', 'mean', 'twin'\]"),
            (ALIAS | {"temperature": 1}, r"methods\.other\.temperature: no such key in the config"),
            ({"method": "value_flow"}, r"methods\.other\.label: this key is missing"),
            ({"label": "x"}, r"methods\.other: no such method; there are .*wu24; under another name, say which under"),
        ],
    )
    def test_one_that_is_none_is_told_in_a_sentence(self, entry, sentence):
        with pytest.raises(StudyError, match=f"^{sentence}"):
            complete(change("methods", {"qrhead": {}, "more": ALIAS, "other": entry}))

    def test_a_name_is_a_key(self):
        with pytest.raises(StudyError, match=r"^methods: 'My method' does not match"):
            complete(change("methods", {"My method": ALIAS}))

    def test_one_may_rank_at_some_lengths_alone(self):
        costly = {"method": "single_head_effect", "label": "Exact", "documents": 1, "mode": "resample"}
        methods = {"wu24": {}, "exact": costly | {"context_lengths": [512]}}
        config = complete(LEAST | {"methods": methods, "ablation": {"methods": ["wu24"]}})
        assert methods_at(config, 512) == {"wu24": {}, "exact": costly}
        assert methods_at(config, 1024) == {"wu24": {}}
        assert (twin_methods(config, 512), twin_methods(config, 1024)) == (["exact"], [])
        everywhere = complete(LEAST | {"methods": {"wu24": {}, "exact": costly}, "ablation": {"methods": ["wu24"]}})
        scoring = [passes_by_stage(one, 0)["scoring"] for one in (config, everywhere)]
        one_document = method_passes(everywhere, (30, 9), 1024)["exact"]
        assert scoring[1] - scoring[0] == pytest.approx(one_document, rel=0.2)

    @pytest.mark.parametrize(
        ("methods", "ablation", "sentence"),
        [
            (
                {"wu24": {"context_lengths": [513]}},
                {},
                r"^methods\.wu24\.context_lengths: 513 is none of prompts\.context_lengths; choose from 512, 1024\.",
            ),
            (
                {"wu24": {"context_lengths": [512]}},
                {"context_lengths": [512]},
                r"^prompts\.context_lengths: no method ranks heads at 1024; take it out, or add it to",
            ),
            (
                {"wu24": {"context_lengths": [512]}, "qrhead": {}},
                {},
                r"^methods\.wu24\.context_lengths: it lacks 1024, where ablation\.methods has its heads ablated",
            ),
        ],
    )
    def test_lengths_at_which_none_ranks_are_refused(self, methods, ablation, sentence):
        with pytest.raises(StudyError, match=sentence):
            complete(LEAST | {"methods": methods, "ablation": ablation})

    def test_a_costly_one_scores_no_more_documents_than_there_are(self):
        entry = {"method": "single_head_effect", "label": "x", "documents": 100_000}
        with pytest.raises(StudyError, match=r"^methods\.other\.documents: 100000 is more than the"):
            complete(change("methods", {"other": entry}))


@pytest.mark.parametrize(
    ("name", "entry", "twin", "fitted"),
    [
        ("attribution_patching", {}, False, None),
        ("attribution_patching", {"toward": "mean"}, False, "mean"),
        ("attribution_patching", {"toward": "twin"}, True, None),
        ("other", ALIAS, True, None),
        ("value_flow", {"toward": "twin"}, True, None),
        ("single_head_effect", {}, False, None),
        ("single_head_effect", {"mode": "resample"}, True, None),
        ("single_head_effect", {"mode": "mean"}, False, "mean"),
        ("qrhead", {}, False, None),
    ],
)
def test_what_a_method_needs_is_known_before_it_is_imported(name, entry, twin, fitted):
    config = complete(change("methods", {name: entry}))
    assert twin_methods(config) == [name] * twin
    assert fitted_methods(config, 512) == ({name: fitted} if fitted else {})
    (made,) = make_methods(config["methods"])
    assert made.needs_twin == twin
    assert uses_twins(config) == (twin or uses_twins(complete(change("methods", {"qrhead": {}}))))


def test_only_the_methods_that_are_named_have_their_heads_ablated():
    config = complete(change("ablation", {"methods": ["qrhead"], "levels": [5], "interventions": {
        "all": {"methods": None}, "one": {}, "two": {"methods": ["wu24", "summed_attention"]}
    }}))  # fmt: skip
    every = ["summed_attention", "wu24", "qrhead"]
    chosen = {name: ablated_methods(config, name) for name in ("all", "one", "two")}
    assert chosen == {"all": every, "one": ["qrhead"], "two": every[:2]}
    # The whole model, and for each method its top heads, two matched draws and one other.
    assert [count_head_sets(config, name) for name in chosen] == [13, 5, 9]


def test_a_date_may_be_written_without_quotes():
    for written in ("2025-01-02", "'2025-01-02'"):
        config = change("prompts", LEAST["prompts"] | yaml.safe_load(f"date: {written}"))
        assert complete(config)["prompts"]["date"] == "2025-01-02"
    assert complete(LEAST)["prompts"]["date"] == "2024-07-26"


@pytest.mark.parametrize("config", [None, [], "study"])
def test_what_is_no_config_at_all_is_refused(config):
    with pytest.raises(StudyError, match=r"^config: .* is not of type 'object'"):
        complete(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prompts.context_lengths", [65]),
        ("prompts.depths", [0, 0.5, 1]),
        ("ablation.context_lengths", [1024]),
        ("ablation.methods", ["qrhead"]),
        ("ablation.random_draws", {"matched": 0, "unmatched": 0}),
        ("analysis.level", 10),
        ("analysis.consensus_k", 1),
        ("analysis.specialist_k", None),
        ("analysis.split_halves", 0),
        ("published", None),
        ("models.small.source", {"hub": "a/b", "revision": "main"}),
        ("models.small.source", {"package": "a", "file": "b.gguf"}),
        ("models.small.source", {"gguf": "models/b.gguf"}),
        ("models.small.quantization", "4bit"),
        ("questions.other_start", QUESTION),
    ],
)
def test_values_at_the_edge_are_taken(key, value):
    assert complete(change(key, value))


class TestPublished:
    def test_no_key_that_has_no_meaning_is_filled_in(self):
        config = complete(PUBLISHED)
        assert config["published"] == {"folder": "somewhere", "names": {}}
        assert config["models"] == {"small": {}}
        assert config["prompts"] == {"context_lengths": [512, 1024]}
        assert "answer_prefix" not in config["questions"]["hq_state"]
        assert not {"documents", "generation", "ablation", "compute"} & set(config)
        assert config["analysis"]["level"] is None
        assert list(config["methods"]) == ["summed_attention", "wu24", "qrhead"]

    def test_completing_twice_is_completing_once(self):
        once = complete(PUBLISHED)
        assert complete(once) == once

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("documents", {"train": 2, "test": 1}),
            ("generation", {}),
            ("ablation.levels", [5]),
            ("compute.device", "cpu"),
            ("models.small.source", {"path": "x"}),
            ("models.small.dtype", "float32"),
            ("models.small.quantization", "8bit"),
            ("models.small.trust_remote_code", False),
            ("questions.hq_state.answer_prefix", " It is in"),
            ("prompts.depths", [0.5]),
            ("prompts.haystack", "resources/haystack"),
            ("prompts.suffix_budget", 64),
            ("prompts.question", "{question}"),
            ("prompts.answer", "Answer:"),
            ("prompts.null_question", "N/A"),
            ("prompts.chat_template", False),
            ("prompts.date", "2024-07-26"),
            ("methods.wu24.span", "answer"),
        ],
    )
    def test_a_key_without_meaning_is_refused(self, key, value):
        section = key.partition(".")[0]
        shown = section if section in ("ablation", "compute") else key  # a section as a whole
        with pytest.raises(StudyError, match=f"^{shown}: this key has no meaning where results are published; take"):
            complete(change(key, value, PUBLISHED))

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("published", "somewhere", "published: 'somewhere' is not of type 'object', 'null'"),
            ("published", {}, r"published\.folder: this key is missing from the config"),
            ("published.folder", 1, r"published\.folder: 1 is not of type 'string'"),
            ("published.folder", "", r"published\.folder: ''"),
            ("published.names", {"small": "a/b"}, r"published\.names\.small: 'a/b' does not match"),
            ("published.names", {"small": ".."}, r"published\.names\.small: '\.\.' does not match"),
            ("published.names", {"small": 8}, r"published\.names\.small: 8 is not of type 'string'"),
            ("published.names", {"big": "8b"}, r"published\.names\.big: this config has no such method, model or"),
            (
                "published.names",
                {"wu24": "qrhead"},
                r"published\.names: wu24 and qrhead of methods would both be read from qrhead; give each its own",
            ),
            ("models.small.label", 8, r"models\.small\.label: 8 is not of type 'string'"),
            ("methods.magic", {}, r"methods\.magic: no such method; there are"),
            ("models.small.sorce", {}, r"models\.small\.sorce: no such key in the config"),
        ],
    )
    def test_bad_values_are_refused_with_their_key(self, key, value, message):
        with pytest.raises(StudyError, match=f"^{message}"):
            complete(change(key, value, PUBLISHED))

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("analysis.level", 7),  # levels come from the results
            ("prompts.context_lengths", [10]),
            ("questions.split", QUESTION),
            ("published.names", {"small": "8b", "wu24": "copying", "hq_state": "hq state", "qrhead": "wu24"}),
            ("models.small.label", "Small"),
        ],
    )
    def test_values_that_fit_are_taken(self, key, value):
        assert complete(change(key, value, PUBLISHED))

    def test_its_folder_is_looked_at_and_no_other(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(StudyError, match=r"^published\.folder: there is no folder somewhere/rankings"):
            check_surroundings(complete(PUBLISHED))


def test_ablation_is_at_every_length_unless_it_says_where():
    assert ablated_lengths(complete(LEAST)) == [512, 1024]
    assert ablated_lengths(complete(change("ablation.context_lengths", [1024]))) == [1024]


def test_head_sets_are_the_baseline_and_top_and_random_ones():
    assert count_head_sets(complete(LEAST), "zero_all") == 1 + 3 * 3 * (1 + 2 + 1)
    one = change("ablation.random_draws", {"matched": 0, "unmatched": 0}, change("ablation.levels", [5]))
    assert count_head_sets(complete(change("methods", {"wu24": {}}, one)), "zero_all") == 1 + 1


class TestInterventions:
    @pytest.mark.parametrize(
        ("given", "name"),
        [
            ({}, "zero_all"),
            ({"mode": "uniform"}, "uniform_all"),
            ({"mode": "uniform", "scope": "decode"}, "uniform_decode"),
        ],
    )
    def test_mode_and_scope_are_one_of_that_name(self, given, name):
        ablation = complete(change("ablation", given | {"levels": [5]}))["ablation"]
        mode, scope = name.split("_")
        every = {"levels": [5], "context_lengths": None, "methods": None, "variants": None, "without_induction": False}
        every["random_draws"] = {"matched": 2, "grouped": 0, "unmatched": 1}
        assert ablation["interventions"] == {name: {"mode": mode, "scope": scope, "documents": None, **every}}
        assert ablation["headline"] == name and "mode" not in ablation and "scope" not in ablation

    def test_each_takes_what_it_does_not_give_from_all(self):
        everywhere = {"mode": "zero", "documents": 1, "levels": [20], "random_draws": {"matched": 1}}
        reading = {"mode": "uniform", "scope": "suffix", "context_lengths": [1024]}
        given = {"levels": [5, 20], "context_lengths": [512], "interventions": {"a": everywhere, "b": reading}}
        config = complete(change("ablation", given))
        assert config["ablation"]["headline"] == "a"
        of_all = {"methods": None, "variants": None, "without_induction": False}
        assert interventions(config) == {
            "a": {"mode": "zero", "scope": "all", "documents": 1, "levels": [20], "context_lengths": [512]}
            | of_all
            | {"random_draws": {"matched": 1, "grouped": 0, "unmatched": 1}},
            "b": {"mode": "uniform", "scope": "suffix", "documents": None, "levels": [5, 20]}
            | of_all
            | {"context_lengths": [1024], "random_draws": {"matched": 2, "grouped": 0, "unmatched": 1}},
        }
        assert ablated_lengths(config) == [512, 1024] and ablated_lengths(config, "b") == [1024]
        assert count_head_sets(config, "a") == 1 + 3 * (1 + 2) and count_head_sets(config, "b") == 1 + 3 * 2 * (1 + 3)
        assert complete(config) == config

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (
                {"mode": "zero", "interventions": {"a": {}}},
                r"ablation\.mode: each of ablation\.interventions has",
            ),
            ({"scope": "all", "interventions": {"a": {}}}, r"ablation\.scope: each of ablation\.interventions"),
            (
                {"headline": "b", "interventions": {"a": {}}},
                r"ablation\.headline: b is no intervention; .* a",
            ),
            ({"headline": "uniform_all"}, r"ablation\.headline: uniform_all is no intervention; .* zero_all"),
            ({"interventions": {"a": {}, "A": {}}}, r"ablation\.interventions\.A: some file systems take it for a"),
            ({"interventions": {"a/b": {}}}, r"ablation\.interventions: 'a/b' does not match"),
            ({"interventions": {"a": {"mode": "nothing"}}}, r"interventions\.a\.mode: 'nothing' is not one of"),
            ({"interventions": {"a": {"scope": "needle"}}}, r"interventions\.a\.scope: 'needle' is not one of"),
            ({"interventions": {"a": {"draws": 1}}}, r"interventions\.a\.draws: no such key"),
            ({"interventions": {"a": {"documents": 0}}}, r"interventions\.a\.documents: 0 is less than the minimum"),
            ({"interventions": {"a": {"documents": 10**6}}}, r"interventions\.a\.documents: 1000000 is more than the"),
            (
                {"interventions": {"a": {"context_lengths": [2048]}}},
                r"ablation\.interventions\.a\.context_lengths: 2048 is none of prompts\.context_lengths",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, given, message):
        with pytest.raises(StudyError, match=message):
            complete(change("ablation", given))

    def test_the_level_of_headlines_is_one_of_the_headline(self):
        given = {"headline": "b", "interventions": {"a": {"levels": [10]}, "b": {"levels": [20]}}}
        config = change("analysis.level", 10, change("ablation", given))
        with pytest.raises(StudyError, match=r"level: 10 heads are not ablated; .* ablation\.interventions\.b\.levels"):
            complete(config)
        assert complete(change("analysis.level", 20, config))["analysis"]["level"] == 20


class TestYardstick:
    def test_there_is_none_unless_it_is_asked_for(self):
        assert complete(LEAST)["yardstick"] is None
        assert yardstick_modes(complete(LEAST)) == yardstick_modes(complete(PUBLISHED)) == []
        assert yardstick(complete(PUBLISHED)) is None

    def test_what_it_does_not_give_is_that_of_the_study(self):
        ways = {"a": {"mode": "uniform"}, "b": {"scope": "suffix"}, "c": {"mode": "uniform", "scope": "decode"}}
        ablation = change("ablation", {"context_lengths": [1024], "interventions": ways})
        config = complete(change("yardstick", {"documents": 1}, ablation))
        assert config["yardstick"] == {
            "documents": 1,
            "questions": ["hq_state"],
            "context_lengths": [1024],
            "variants": ["plain"],
            "modes": ["uniform", "zero"],
        }
        assert complete(config) == config
        given = {"documents": None, "questions": ["hq_state"], "context_lengths": [512]}
        given |= {"variants": ["plain"], "modes": ["zero"]}
        assert complete(change("yardstick", given, ablation))["yardstick"] == given

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"documents": 2}, r"documents: 2 is more than the 1 of documents\.test; give fewer, or null for all"),
            ({}, r"documents: 8 is more than the 1 of documents\.test"),
            ({"documents": 0}, r"documents: 0 is less than the minimum"),
            (
                {"documents": 1, "questions": ["turnover"]},
                r"questions: turnover is no question of this study; choose from hq_state",
            ),
            ({"documents": 1, "questions": []}, r"questions: \[\]"),
            ({"documents": 1, "context_lengths": [700]}, r"context_lengths: 700 is none of prompts\..* from 512, 1024"),
            ({"documents": 1, "modes": ["nothing"]}, r"modes\.0: 'nothing' is not one of \['mean', 'resample', 'uni"),
            ({"documents": 1, "mode": "zero"}, r"mode: no such key in the config; did you mean modes\?"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, given, message):
        with pytest.raises(StudyError, match=rf"^yardstick\.{message}"):
            complete(change("yardstick", given))

    def test_published_results_have_none(self):
        with pytest.raises(StudyError, match=r"^yardstick: this key has no meaning where results are published; take"):
            complete(change("yardstick", {}, PUBLISHED))


class TestMethodParameters:
    def test_values_reach_the_method(self):
        (wu24, qrhead) = make_methods({"wu24": {"span": "answer"}, "qrhead": {"outlier_sd": 3.0}})
        assert (wu24.name, wu24.span) == ("wu24", "answer")
        assert (qrhead.name, qrhead.outlier_sd) == ("qrhead", 3.0)

    @pytest.mark.parametrize(
        ("methods", "message"),
        [
            (
                {"qrhead": {"span": "needle"}},
                r"methods\.qrhead\.span: no such key .*; known here are outlier_sd, rows, context_lengths\.",
            ),
            ({"wu24": {"span": "word"}}, r"methods\.wu24\.span: 'word' is not one of \['needle', 'answer'\]"),
            ({"wu24": {"span": None}}, r"methods\.wu24\.span: None is not one of"),
            ({"wu24": {"span": ["needle"]}}, r"methods\.wu24\.span: \['needle'\] is not one of"),
            ({"qrhead": {"outlier_sd": "2"}}, r"methods\.qrhead\.outlier_sd: '2' is .*; write 2, without quotes\."),
            ({"qrhead": {"outlier_sd": True}}, r"methods\.qrhead\.outlier_sd: True is not of type 'number'"),
            ({"qrhead": {"outlier_sd": [2.0]}}, r"methods\.qrhead\.outlier_sd: \[2\.0\] is not of type 'number'"),
            ({"qrhead": {"outlier_sd": None}}, r"methods\.qrhead\.outlier_sd: None is not of type 'number'"),
            ({"qrhead": {"outlier_sd": 10**400}}, r"methods\.qrhead\.outlier_sd: 1000.* is no finite number"),
        ],
    )
    def test_values_of_another_kind_are_refused_with_their_key(self, methods, message):
        with pytest.raises(StudyError, match=f"^{message}"):
            complete(change("methods", methods))

    @pytest.mark.parametrize("value", [2, 0.5, -1])
    def test_a_number_may_be_whole(self, value):
        assert complete(change("methods.qrhead.outlier_sd", value))["methods"]["qrhead"]["outlier_sd"] == value

    def test_an_annotation_says_what_a_value_must_be(self, tmp_path):
        file = tmp_path / "made.py"
        file.write_text(
            "class Made:\n    a: float = 1.0\n    b: int = 1\n    c: bool = True\n    d: str = 'x'\n"
            "    e: Literal['x', 2] = 2\n    f: Literal['x'] = 'x'\n    name: ClassVar = 'made'\n",
            encoding="utf-8",
        )
        types = {"a": "number", "b": "integer", "c": "boolean", "d": "string"}
        expected = {name: {"type": type_} for name, type_ in types.items()}
        assert parameters(file) == {**expected, "e": {"enum": ["x", 2]}, "f": {"enum": ["x"]}}


def numbers(rule, path=()):
    """The path of every key of the schema that takes a number, with names of the least config."""
    types = rule.get("type", ())
    if {"number", "integer"}.intersection([types] if isinstance(types, str) else types):
        yield path
    for key, sub in rule.get("properties", {}).items():
        yield from numbers(sub, (*path, key))
    if isinstance(extra := rule.get("additionalProperties"), dict):
        yield from numbers(extra, (*path, {"models": "small", "questions": "hq_state"}.get(path[-1], "x")))
    for form in rule.get("oneOf", ()):
        yield from numbers(form, path)
    if "items" in rule:
        yield from numbers(rule["items"], (*path, 0))


NUMBERS = list(numbers(schema()))


class TestNumbers:
    def test_they_are_all_met(self):
        assert {("analysis", "alpha"), ("prompts", "depths", 0), ("documents", "years", 0), ("seed",)} <= set(NUMBERS)

    @pytest.mark.parametrize("path", NUMBERS, ids=lambda path: ".".join(map(str, path)))
    @pytest.mark.parametrize("text", [".nan", ".inf", "-.inf", "1.0e+999", "'2'", "'1e-3'", "1e-3", "true", "'nan'"])
    def test_what_is_no_finite_number_is_refused_with_its_key(self, path, text):
        value = yaml.safe_load(text)  # what YAML 1.1 makes of it: 1e-3 is text there
        *outer, last = path
        key, value = (outer, [value, 4] if "grid" in path else [value]) if last == 0 else (path, value)
        config = PUBLISHED if "grid" in path else EDGAR if {"years", "test_share"} & {*path} else LEAST
        with pytest.raises(StudyError, match=f"^{re.escape('.'.join(map(str, path)))}: "):
            complete(change(key, value, config))

    @pytest.mark.parametrize(("text", "number"), [("'2'", "2"), ("1e-3", "0.001"), ("'0.5'", "0.5")])
    def test_a_number_in_quotes_is_told_without(self, text, number):
        message = rf"^analysis\.alpha: .* is not of type 'number'; write {re.escape(number)}, without quotes\.$"
        with pytest.raises(StudyError, match=message):
            complete(change("analysis.alpha", yaml.safe_load(text)))

    @given(st.floats() | st.integers())
    def test_a_number_is_taken_exactly_if_it_is_within_bounds(self, value):
        if 0 < value < 1:
            assert complete(change("analysis.alpha", value))["analysis"]["alpha"] == value
        else:
            with pytest.raises(StudyError, match=r"^analysis\.alpha: "):
                complete(change("analysis.alpha", value))


PATHS = [
    (LEAST, "results"),
    (LEAST, "models.small.source.path"),
    (change("models.small.source", {"gguf": "x"}), "models.small.source.gguf"),
    (LEAST, "documents.templates"),
    (FILE, "documents.file"),
    (EDGAR, "documents.sections"),
    (EDGAR, "documents.ground_truth"),
    (LEAST, "prompts.haystack"),
    (change("imports.theirs.file", "x"), "imports.theirs.file"),
    (PUBLISHED, "published.folder"),
]
TEXTS = [
    ("generation.stop", "generation.stop.0"),
    ("prompts.answer", "prompts.answer"),
    ("prompts.null_question", "prompts.null_question"),
    ("questions.hq_state.text", "questions.hq_state.text"),
    ("questions.hq_state.answer_prefix", "questions.hq_state.answer_prefix"),
]


class TestWhatIsTakenLetterByLetter:
    @pytest.mark.parametrize(("config", "key"), PATHS, ids=[key for _, key in PATHS])
    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("~/runs", f"'~/runs' is taken letter by letter; write {Path.home()}/runs"),
            ("$NOWHERE_AT_ALL/runs", "is taken letter by letter; write the whole path"),
            ("${HOME}/runs", "is taken letter by letter; write"),
            ("", "is empty"),
            (" ", "is empty"),
            ("runs ", "is empty, or has spaces around it"),
            ("runs\n", "is empty, or has spaces around it or a line break"),
            ("ru\x00ns", "it has '\\x00' in it"),
            ("runs/{model}", "has braces"),
            ("a/" + 128 * "é", "has a name of more than 255 bytes"),
        ],
    )
    def test_a_path_that_would_be_another_is_refused(self, config, key, value, message):
        with pytest.raises(StudyError, match=f"^{re.escape(key)}: .*{re.escape(message)}") as caught:
            complete(change(key, value, config))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(("config", "key"), PATHS, ids=[key for _, key in PATHS])
    @pytest.mark.parametrize("value", ["my runs/ä b", "../a~b", "./~a", "/x/$", "hf://datasets/a/b@c", 255 * "a"])
    def test_a_path_that_is_one_is_taken(self, config, key, value):
        assert complete(change(key, value, config))

    @pytest.mark.parametrize(("key", "where"), TEXTS, ids=[key for key, _ in TEXTS])
    @pytest.mark.parametrize("text", [r"'\n'", r"'.\n\n'", r"'\t x'"])
    def test_a_line_break_in_single_quotes_is_refused(self, key, where, text):
        value = [yaml.safe_load(text)] if key == "generation.stop" else yaml.safe_load(text)
        message = rf"^{re.escape(where)}: .* has a backslash and a letter in it; write \\[nt] between double quotes"
        with pytest.raises(StudyError, match=message):
            complete(change(key, value))

    @pytest.mark.parametrize(("key", "where"), TEXTS, ids=[key for key, _ in TEXTS])
    @pytest.mark.parametrize("value", ["\n.", "\t.", r"\nabla", r"C:\x", "\\"])
    def test_other_text_is_taken(self, key, where, value):
        assert complete(change(key, [value] if key == "generation.stop" else value))

    def test_half_a_character_is_refused(self):
        with pytest.raises(StudyError, match=r"^questions\.hq_state\.text: .*ud800.* has a character that is none"):
            complete(change("questions.hq_state.text", "\ud800"))


NAMES = [
    (LEAST, "study", None),
    (LEAST, "models", {"source": {"path": "x"}}),
    (LEAST, "questions", QUESTION),
    (LEAST, "imports", {"file": "x", "model": "small"}),
]


class TestNamesOfFiles:
    """What a name becomes part of must be a file on any machine."""

    @pytest.mark.parametrize(("config", "section", "entry"), NAMES, ids=[section for _, section, _ in NAMES])
    @pytest.mark.parametrize("name", ["tiny\n", "tiny\r", "a b", "", "a/b", "é", ".a", "-a", 101 * "a", 300 * "a"])
    def test_others_are_refused_in_a_short_sentence(self, config, section, entry, name):
        value = name if entry is None else config.get(section, {}) | {name: entry}
        with pytest.raises(StudyError, match=f"^{section}: ") as caught:
            complete(change(section, value, config))
        assert len(str(caught.value)) < 300

    @pytest.mark.parametrize(("config", "section", "entry"), NAMES, ids=[section for _, section, _ in NAMES])
    def test_a_hundred_letters_are_taken(self, config, section, entry):
        name = 100 * "a"
        assert complete(change(section, name if entry is None else config.get(section, {}) | {name: entry}, config))

    def test_no_pattern_lets_a_line_break_follow(self):
        def patterns(rule):
            for key, sub in rule.items() if isinstance(rule, dict) else enumerate(rule):
                if key == "pattern":
                    yield sub
                elif isinstance(sub, dict | list):
                    yield from patterns(sub)

        found = list(patterns(schema()))
        assert len(found) >= 8
        assert not [pattern for pattern in found if re.search(r"[$^]", pattern.replace("[^", ""))]

    @pytest.mark.parametrize("key", ["compute.batch_tokens", "models.small.source"])
    def test_values_that_patterns_are_for(self, key):
        value = "auto\n" if key == "compute.batch_tokens" else {"hub": "a/b\n", "revision": "main"}
        with pytest.raises(StudyError, match=f"^{re.escape(key)}"):
            complete(change(key, value))

    def test_names_that_differ_in_capitals_alone(self):
        config = change("models.Small", {"source": {"path": "y"}})
        with pytest.raises(
            StudyError, match=r"^models\.Small: some file systems take it for small; give it another name"
        ):
            complete(config)
        with pytest.raises(StudyError, match=r"^study: models is the folder of prepared models"):
            complete(change("study", "Models"))
        with pytest.raises(StudyError, match=r"^study: comparisons is the folder of comparisons of studies"):
            complete(change("study", "comparisons"))


class TestGrid:
    def test_a_published_model_may_have_one(self):
        assert complete(change("models.small.grid", [5, 4], PUBLISHED))["models"] == {"small": {"grid": [5, 4]}}

    @pytest.mark.parametrize("value", [[5], [5, 4, 3], [0, 4], [5, 4.0], "5x4", None, 20])
    def test_what_is_none_is_refused(self, value):
        with pytest.raises(StudyError, match=r"^models\.small\.grid"):
            complete(change("models.small.grid", value, PUBLISHED))

    def test_a_model_that_runs_tells_its_own(self):
        with pytest.raises(
            StudyError, match=r"^models\.small\.grid: this key has no meaning where models are run; take"
        ):
            complete(change("models.small.grid", [5, 4]))


class TestOneFile:
    @pytest.mark.parametrize(
        ("name", "text", "fault"),
        [
            ("a.yaml", "study: a\nseed: 1\nstudy: b\n", "study is there twice, in lines 1 and 3; keep one of them."),
            ("a.yaml", "x:\n  y: {z: 1, z: 1}\n", "z is there twice, in line 2; keep one of them."),
            ("a.yaml", "x: [{y: 1}, {y: 2, 'y': 3}]\n", "y is there twice, in line 1; keep one of them."),
            ("a.json", '{"x": [{"y": 1, "y": 1}]}', "y is there twice; keep one of them."),
            ("a.yaml", '{"x": 1,\t"x": 2}', "x is there twice; keep one of them."),
        ],
    )
    def test_a_key_that_is_there_twice(self, tmp_path, monkeypatch, name, text, fault):
        monkeypatch.chdir(tmp_path)
        Path(name).write_text(text, encoding="utf-8")
        with pytest.raises(StudyError) as caught:
            require_one_file([tmp_path / name])
        assert str(caught.value) == f"{name}: {fault}"

    @pytest.mark.parametrize(
        "text", ["", "a: {x: 1}\nb: {x: 1}\n", "a: [", "a: !own 1", "\ufeffa: 1", '{"a": {"b": 1}}']
    )
    def test_other_faults_are_left_to_others(self, tmp_path, text):
        (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
        require_one_file([tmp_path / "a.yaml"])

    def test_two_are_not_mixed(self):
        with pytest.raises(
            StudyError, match=r"^--configfile: a\.yaml, b\.yaml would be mixed into one study; give one"
        ):
            require_one_file(["a.yaml", "b.yaml"])


PACKAGE = ROOT / "workflow" / "retrieval_heads"
# What is called like a config key and is another thing: a choice among rankings, tokens, a tensor's place, and what is
# shown of a question that the config does not have.
OTHERS = {
    *(
        ("api", "question"),
        ("api", "split"),
        ("runner", "answer"),
        ("runner", "answers"),
        ("decoding", "answers"),
        ("prefill", "batch_tokens"),
        ("attention", "device"),
    ),
    *(("setup", "text"), ("setup", "category"), ("manifests", "source"), ("manifests", "results")),
}


def leaves(rule, name=None):
    """(name, default) of every key of the schema that has one, sections left out."""
    for part in (rule, *rule.get("oneOf", ())):
        for key, sub in part.get("properties", {}).items():
            if "default" in sub and sub.get("type") != "object":
                yield key, sub["default"]
            yield from leaves(sub)
    if isinstance(extra := rule.get("additionalProperties"), dict):
        yield from leaves(extra)


def literal_defaults(module):
    """(name, default) of parameters, fields and ``.get(name, default)`` in a module, where defaults are literals."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef):
            spec = node.args
            plain = [*spec.posonlyargs, *spec.args]
            found += zip([arg.arg for arg in plain][len(plain) - len(spec.defaults) :], spec.defaults, strict=True)
            found += [(arg.arg, value) for arg, value in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if value]
        elif isinstance(node, ast.ClassDef):
            found += [(n.target.id, n.value) for n in node.body if isinstance(n, ast.AnnAssign) and n.value]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get" and len(node.args) == 2:
            found += [(node.args[0].value, node.args[1])] if isinstance(node.args[0], ast.Constant) else []
    for name, value in found:
        try:
            yield name, ast.literal_eval(value)
        except ValueError:
            continue


SECTIONS = {name for name, sub in schema()["properties"].items() if sub.get("type") == "object"}


def test_defaults_in_code_are_those_of_the_schema():
    known = {}
    for name, default in leaves(schema()):
        known.setdefault(name, []).append(default)
    compared, wrong = 0, []
    for file in sorted([*PACKAGE.rglob("*.py"), *(ROOT / "workflow" / "scripts").glob("*.py")]):
        for name, value in literal_defaults(ast.parse(file.read_text(encoding="utf-8"))):
            # A section of the config, such as ablation, has no value; what the engine calls so is another thing.
            if name in known and name not in SECTIONS and (file.stem, name) not in OTHERS:
                compared += 1
                wrong += [] if value in known[name] else [(file.stem, name, value)]
    assert not wrong
    assert compared > 5


class TestSurroundings:
    @pytest.fixture
    def config(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for folder in ("resources/haystack", "resources/documents"):
            shutil.copytree(ROOT / folder, folder)
        Path("somewhere").mkdir()
        for file in ("tokenizer.json", "config.json"):
            (Path("somewhere") / file).write_text(json.dumps(SHAPE))
        Path("somewhere/model.safetensors").write_bytes(safetensors())
        return complete(LEAST)

    def test_all_is_there_and_nothing_is_made(self, config):
        check_surroundings(config)
        assert not Path("results").exists()
        Path("results").mkdir()
        check_surroundings(config)

    @pytest.mark.parametrize(
        ("section", "key", "folder"),
        [("prompts", "haystack", "resources/haystack"), ("documents", "templates", "resources/documents")],
    )
    def test_a_missing_folder_is_named(self, config, section, key, folder):
        shutil.rmtree(folder)
        with pytest.raises(StudyError, match=rf"{section}\.{key}: there is no folder {folder}"):
            check_surroundings(config)
        Path(folder).touch()  # a file is no folder
        with pytest.raises(StudyError, match=rf"{section}\.{key}: there is no folder {folder}"):
            check_surroundings(config)

    @pytest.mark.parametrize("results", ["taken", "taken/results", "taken/more/results"])
    def test_results_where_a_file_is_in_the_way(self, config, results):
        Path("taken").touch()
        with pytest.raises(StudyError, match=r"^taken: a file stands where a folder should be; move it away"):
            check_surroundings(config | {"results": results})

    @pytest.mark.parametrize("folder", ["results", "results/tried", "results/tried/logs", "results/models"])
    def test_a_folder_in_which_nothing_may_be_written(self, config, folder, monkeypatch):
        refused, access = Path(folder), os.access
        refused.mkdir(parents=True)
        monkeypatch.setattr(os, "access", lambda path, mode: path != refused and access(path, mode))
        with pytest.raises(StudyError, match=f"^{folder}: permission is denied; have it granted, or choose another"):
            check_surroundings(config | {"study": "tried"})

    def test_a_model_that_cannot_be_prepared_is_named(self, config):
        Path("somewhere/model.safetensors").unlink()
        with pytest.raises(StudyError, match=r"^models\.small\.source\.path: somewhere has no \*\.safetensors"):
            check_surroundings(config)

    def test_packages_are_not_looked_for_when_jobs_have_their_own(self, config):
        config["models"]["small"]["source"] = {"package": "no-such-package", "file": "model.gguf"}
        check_surroundings(config, packages=False)
        with pytest.raises(StudyError, match=r"^models\.small\.source\.package: no-such-package is not installed"):
            check_surroundings(config)

    def test_a_gguf_file_that_is_not_there(self, config):
        config["models"]["small"]["source"] = {"gguf": "gone.gguf"}
        with pytest.raises(StudyError, match=r"^models\.small\.source\.gguf: there is no file gone\.gguf"):
            check_surroundings(config)

    def test_quantisation_where_it_cannot_be_done(self, config):
        config["models"]["small"]["quantization"] = "8bit"
        config["compute"]["device"] = "cpu"
        with pytest.raises(StudyError, match=r"^models\.small\.quantization: 8bit needs a GPU with CUDA"):
            check_surroundings(config)

    def test_code_of_a_model_that_is_not_trusted(self, config):
        own = SHAPE | {"model_type": "own", "auto_map": {"AutoModelForCausalLM": "code.Own"}}
        Path("somewhere/config.json").write_text(json.dumps(own))
        with pytest.raises(StudyError, match=r"^models\.small: .* architecture own.* models\.small\.trust_remote_code"):
            check_surroundings(config)
        config["models"]["small"]["trust_remote_code"] = True
        check_surroundings(config)

    def test_a_hub_id_that_cannot_be_one(self, config):
        config["models"]["small"]["source"] = {"hub": "a/b/c", "revision": "main"}
        with pytest.raises(StudyError, match=r"^models\.small\.source\.hub: a/b/c is no hub id"):
            check_surroundings(config)

    @pytest.mark.parametrize(
        ("section", "key", "good", "bad", "message"),
        [
            ("prompts", "context_lengths", [1024], [512, 1025], "1025 is beyond the 1024 tokens of small"),
            ("ablation", "levels", [5, 20], [5, 41], "41 is more than the 40 heads of small"),
            ("ablation", "levels", [5, 20], [5, 21], "21 of the 40 heads of small leave too few others to draw .*"),
        ],
    )
    @pytest.mark.parametrize("prepared", [True, False])
    def test_what_a_model_is_too_small_for(self, config, section, key, good, bad, message, prepared):
        if prepared:
            source = {"hub": "owner/name", "revision": "main"}
            config["models"]["small"]["source"] = source
            target = Path("results/models") / model_artifact("small", source, None)
            target.parent.mkdir(parents=True)
            Path("somewhere").rename(target)
        # What holds for all interventions holds for the one there is.
        sections = [config[section], *(interventions(config).values() if section == "ablation" else ())]
        for one in sections:
            one[key] = good
        check_surroundings(config)
        for one in sections:
            one[key] = bad
        with pytest.raises(StudyError, match=rf"^{section}\.{key}: {message}; give"):
            check_surroundings(config)

    def test_without_draws_all_heads_may_be_ablated(self, config):
        config["ablation"]["interventions"]["zero_all"] |= {
            "levels": [40],
            "random_draws": {"matched": 0, "unmatched": 0},
        }
        check_surroundings(config)

    @pytest.mark.parametrize("content", ["[]", "3", "{", '{"num_hidden_layers": 5, "num_hidden_layers": 6}'])
    def test_what_describes_no_model(self, config, content):
        Path("somewhere/config.json").write_text(content, encoding="utf-8")
        with pytest.raises(StudyError, match=r"^somewhere/config\.json: "):
            check_surroundings(config)

    def test_a_model_that_does_not_tell_its_shape(self, config):
        Path("somewhere/config.json").write_text("{}")
        config["ablation"]["interventions"]["zero_all"]["levels"] = [10**6]
        check_surroundings(config)


names_of_models = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
words = st.text(max_size=5).filter(lambda text: not set("\\\t\n\r") & set(text) and commanding(text) is None)
names_of_questions = st.from_regex(r"q[a-z0-9_]{0,6}x", fullmatch=True)
lengths = st.lists(st.integers(65, 9000), min_size=1, max_size=4, unique=True)


@st.composite
def configs(draw):
    """Valid configs, from the least to those that give a value for many keys."""
    context_lengths = draw(lengths)
    levels = draw(st.lists(st.integers(1, 50), min_size=1, max_size=4, unique=True))
    question = st.fixed_dictionaries(
        {"text": words, "type": st.sampled_from(names("data.answers"))},
        optional={"label": words, "answer_prefix": words},
    )
    model = st.fixed_dictionaries(
        {"source": st.just({"path": "x"}) | st.just({"hub": "a/b", "revision": "c"})},
        optional={"dtype": st.sampled_from(["float32", "float16"])},
    )
    models = draw(st.dictionaries(names_of_models, model, min_size=1, max_size=2))
    questions = draw(st.dictionaries(names_of_questions, question, min_size=1, max_size=3))
    # None is another's once more.
    for name, one in models.items():
        one["source"] = {key: f"{value}/{name}" if key == "path" else name for key, value in one["source"].items()}
    for name, one in questions.items():
        one |= {key: f"{value}{name}" for key, value in one.items() if key in ("text", "label")}
    config = {
        "study": "s" + draw(names_of_models),
        "models": models,
        "documents": {"train": draw(st.integers(1, 9)), "test": draw(st.integers(1, 9))},
        "questions": questions,
        "prompts": {"context_lengths": context_lengths},
    }
    optional = st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(0, 99),
            "methods": st.just({"wu24": {"span": "answer"}}),
            "ablation": st.fixed_dictionaries(
                {"levels": st.just(levels)},
                optional={
                    "context_lengths": st.lists(st.sampled_from(context_lengths), min_size=1, unique=True),
                    "random_draws": st.fixed_dictionaries({}, optional={"matched": st.integers(0, 9)}),
                },
            ),
            "generation": st.fixed_dictionaries({}, optional={"max_new_tokens": st.integers(1, 9)}),
            "compute": st.just({}),
        },
    )
    return config | draw(optional)


@given(configs())
@settings(max_examples=60)
def test_completing_twice_is_completing_once_and_changes_no_argument(config):
    before = copy.deepcopy(config)
    once = complete(config)
    assert config == before
    assert complete(once) == once
    for section, value in before.items():
        assert contains(once[section], value)


def contains(whole, part):
    """Whether all that a config gives is still there."""
    if isinstance(part, dict):
        return all(key in whole and contains(whole[key], value) for key, value in part.items())
    return whole == part


def test_the_study_of_a_second_seed_asks_what_the_default_one_asks():
    """Under another seed and with more wordings; how much is measured is its own."""
    default, again = (
        complete(yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8")))
        for name in ("config.yaml", "two-seeds.yaml")
    )
    assert again["study"] != default["study"] and again["results"] == default["results"]
    assert again["seed"] != default["seed"] and again["documents"]["variety"] > default["documents"]["variety"]
    for key in ("models", "questions", "methods", "prompts"):
        assert again[key] == default[key], key
    for config in (default, again):
        config["ways"] = {name: (one["mode"], one["scope"]) for name, one in interventions(config).items()}
    assert again["ways"] == default["ways"]

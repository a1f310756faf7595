"""Every output path is built in one place."""

import re

import pytest

from projects import ROOT
from retrieval_heads.study.paths import Paths

INTERVENTIONS = {
    "a": {"context_lengths": [512], "variants": None, "documents": None, "mode": "zero"},
    "b": {"context_lengths": None, "variants": None, "documents": None, "mode": "zero"},
}
CONFIG = {
    "results": "results",
    "study": "s",
    "models": {"m": {}, "n": {}},
    "prompts": {"context_lengths": [512, 640], "variants": {"plain": {}}},
    "compute": {"shards": 2},
    "ablation": {"interventions": INTERVENTIONS},
    "published": None,
    "yardstick": {"documents": 1, "context_lengths": [640], "variants": ["plain"], "modes": ["zero", "uniform"]},
}
PATHS = Paths(CONFIG)


def test_what_is_not_given_stays_a_wildcard():
    assert PATHS.output("prompts", model="m") == "results/s/prompts/m/{variant}/{length}.parquet"
    assert PATHS.output("tables", table="effects") == "results/s/tables/effects.parquet"


def test_a_log_has_the_wildcards_of_what_its_job_writes():
    assert PATHS.log("build_prompts", "prompts") == "results/s/logs/build_prompts/{model}/{variant}/{length}.log"
    assert PATHS.log("draw_figure", "figures", figure="one") == "results/s/logs/draw_figure/one.log"
    assert PATHS.log("write_findings") == "results/s/logs/write_findings.log"


@pytest.mark.parametrize(
    ("stage", "number", "one"),
    [
        ("prompts", 4, "prompts/n/plain/512.parquet"),
        ("scores", 8, "scores/m/plain/640/2-of-2.parquet"),
        # One intervention ablates at one length alone.
        ("ablation", 12, "ablation/n/plain/512/a/1-of-2.parquet"),
        # The yardstick has lengths of its own.
        ("head_effects", 8, "head_effects/n/plain/640/uniform/2-of-2.parquet"),
        ("guard", 4, "guard/m/plain/b.parquet"),
        ("exports", 4, "exports/m/plain/512"),
    ],
)
def test_the_files_of_a_stage_are_those_of_all_values(stage, number, one):
    files = PATHS.every(stage)
    assert len(files) == len(set(files)) == number and f"results/s/{one}" in files
    assert not any(re.search("[{}]", file) for file in files)
    assert ("results/s/ablation/m/plain/640/a/1-of-2.parquet" in files) is False


def test_no_rule_builds_a_path_of_its_own():
    for file in (ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")):
        assert not re.search(r"""f["'].*\.(parquet|log|svg|png|html)|config\[.results.\]\}""", file.read_text()), file


def test_prose_has_no_twin_and_so_no_file_under_an_intervention_that_needs_one():
    ways = INTERVENTIONS | {"b": INTERVENTIONS["b"] | {"mode": "resample"}}
    paths = Paths(CONFIG | {"ablation": {"interventions": ways}})
    assert paths.every("guard") == [f"results/s/guard/{model}/plain/a.parquet" for model in "mn"]
    assert len(paths.every("ablation")) == len(PATHS.every("ablation"))

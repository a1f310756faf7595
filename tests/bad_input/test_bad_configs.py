"""A config that is wrong is refused before any work, in one sentence with the key or file and what to do."""

import json
from pathlib import Path

import pytest
from bad_input_case import Case, changed, require_refused
from config_cases import ASKED, MEASURED, MODELS, NAMES, OF_PUBLISHED, PATHS, PUBLISHED, RUN, SYNTAX

from projects import ROOT
from retrieval_heads.preflight import check_surroundings
from retrieval_heads.study.config import complete
from tiny_models import safetensors

OF_RUN = [*SYNTAX, *NAMES, *PATHS, *MODELS, *ASKED, *MEASURED]
SHAPE = {"model_type": "llama", "max_position_embeddings": 1024, "num_hidden_layers": 5, "num_attention_heads": 8}


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory):
    """A folder with all that the configs name, which no test changes."""
    folder = tmp_path_factory.mktemp("surroundings")
    (folder / "resources").symlink_to(ROOT / "resources")
    for name in ("model", "latin", "blank", "broken"):
        (folder / name).mkdir()
    (folder / "model" / "config.json").write_text(json.dumps(SHAPE), encoding="utf-8")
    (folder / "model" / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "model" / "model.safetensors").write_bytes(safetensors())
    (folder / "list.json").write_text('{"0-1": 0.5}', encoding="utf-8")
    (folder / "table.csv").write_text(
        "text,inc_state,employee_count\nIn Ohio.,Ohio,\nIn Utah.,Utah,\n", encoding="utf-8"
    )
    (folder / "latin" / "prose.txt").write_bytes("Prosa für Köln.".encode("latin-1"))
    (folder / "blank" / "prose.txt").write_text(" \n", encoding="utf-8")
    for name, file in {"marked": "<b>.txt", "wild": "{x}.txt", "clears": "\x1b[2J.txt"}.items():
        (folder / name).mkdir()
        (folder / name / file).write_text("Prose.", encoding="utf-8")
    for part in ("facts", "distractors", "fillers", "vocabulary"):
        (folder / "broken" / f"{part}.yaml").write_text("a: [", encoding="utf-8")
    for kind, content in {"rankings": {"head_rankings": []}, "ablations": {"baseline": {}}}.items():
        file = folder / "theirs" / kind / "wu24" / "small" / "place" / "tokens_512.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def here(surroundings, monkeypatch):
    monkeypatch.chdir(surroundings)


@pytest.mark.parametrize("config", [RUN, PUBLISHED], ids=["run", "published"])
def test_what_the_cases_change_is_right(config):
    check_surroundings(complete(config))


def _refused(case: Case, config: dict) -> None:
    require_refused(case, lambda: check_surroundings(complete(changed(config, case.given))))
    assert not Path("results").exists()


@pytest.mark.parametrize("case", OF_RUN, ids=lambda case: case.kind)
def test_a_config_that_is_wrong_is_refused(case):
    _refused(case, RUN)


@pytest.mark.parametrize("case", OF_PUBLISHED, ids=lambda case: case.kind)
def test_a_config_of_published_results_that_is_wrong_is_refused(case):
    _refused(case, PUBLISHED)

"""Wrong commands and files of configs: one sentence, an exit status, no traceback, and all that was made stays."""

import hashlib
import re

import pytest
from bad_input_case import require_one_sentence
from command_cases import COMMANDS, COMPARISONS, FILES, READ_BY_SNAKEMAKE, TINY

from projects import Project
from retrieval_heads import cli
from retrieval_heads.digests import KEPT


@pytest.fixture(scope="module")
def made(tmp_path_factory, planted_folder):
    """A copy of the project, with something that was made before."""
    project = Project.new(tmp_path_factory.mktemp("commands") / "project", planted_folder)
    file = project.path("results", "tiny", "findings.html")
    file.parent.mkdir(parents=True)
    file.write_text("what was found before", encoding="utf-8")
    return project


def state(project):
    """All files of a project with their content, but for what Snakemake keeps for itself, and digests of models."""
    files = [file for file in project.folder.rglob("*") if file.is_file()]
    kept = {".snakemake", KEPT, "__pycache__"}
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files if kept.isdisjoint(file.parts)}


def write(project, content):
    file = project.path("config", "wrong.yaml")
    file.unlink(missing_ok=True)
    if content is not None:
        file.write_bytes(content)


@pytest.mark.parametrize("case", [*FILES, *READ_BY_SNAKEMAKE], ids=lambda case: case.kind)
def test_a_file_that_is_no_config_is_told_in_one_sentence(made, monkeypatch, capsys, case):
    monkeypatch.chdir(made.folder)
    write(made, case.given)
    before = state(made)
    assert cli.main(["check", "config/wrong.yaml"]) == 1
    said = capsys.readouterr()
    assert not said.out
    require_one_sentence(said.err.removesuffix("\n"), case.names, case.fix)
    assert state(made) == before


@pytest.mark.parametrize("case", COMPARISONS, ids=lambda case: case.kind)
def test_a_wrong_subcommand_is_told_in_one_sentence(made, monkeypatch, capsys, case):
    monkeypatch.chdir(made.folder)
    before = state(made)
    assert cli.main(case.given) == 1
    require_one_sentence(capsys.readouterr().err.removesuffix("\n"), case.names, case.fix)
    assert state(made) == before


def test_a_config_that_is_right_passes(made, monkeypatch, capsys):
    monkeypatch.chdir(made.folder)
    write(made, TINY.encode())
    assert cli.main(["check", "config/wrong.yaml"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("case", READ_BY_SNAKEMAKE, ids=lambda case: case.kind)
def test_snakemake_too_ends_at_such_a_file_without_a_traceback(made, case):
    write(made, case.given)
    before = state(made)
    said = made.plan("--configfile", "config/wrong.yaml", succeed=False)
    assert "Traceback" not in said and "WorkflowError" in said
    assert state(made) == before


@pytest.mark.slow
@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: case.kind)
def test_a_wrong_command_ends_without_a_traceback(made, case):
    before = state(made)
    said = made.plan(*case.given, succeed=False)
    assert "Traceback" not in said
    assert re.search(case.fix, said), said
    assert state(made) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "end", "sentence"),
    [
        ("model.safetensors", -100, "is no whole safetensors file; get the model again"),
        ("config.json", 40, "not valid JSON; get the model again"),
        ("tokenizer.json", 900, "transformers cannot read this tokenizer"),
    ],
)
def test_a_model_that_was_spoilt_since_is_told_and_what_was_made_with_it_stays(
    study, planted_folder, name, end, sentence
):
    """It lies where a link leads to, and is put right again."""
    folder = study.path(".cache", "planted-model")
    folder.unlink()
    folder.mkdir()
    for file in planted_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    whole = (folder / name).read_bytes()
    tables = {file: file.read_bytes() for file in study.path("results", "tiny", "tables").glob("*.parquet")}
    (folder / name).write_bytes(whole[:end])
    said = study.snakemake("--cores", "1", "--configfile", "config/tiny.yaml", succeed=False)
    assert sentence in said and "Traceback" not in said
    assert tables == {file: file.read_bytes() for file in tables}
    (folder / name).write_bytes(whole)
    assert not study.stale()

"""A finished study as an RO-Crate, read back by the package that others read it with."""

import hashlib
import json
import shutil
from urllib.parse import unquote

import pytest
from rocrate.rocrate import ROCrate

from projects import ROOT
from retrieval_heads import cli
from retrieval_heads.errors import StudyError
from retrieval_heads.logs import ATTEMPT, ENDED, MAKES
from retrieval_heads.release import VERSION
from retrieval_heads.ro_crate import write_crate

RUN = {"content": "c" * 64, "dtype": "float32", "device": "cpu", "torch": "2.12.0, 2.13.0", "numpy": "2.4.6"}
FINDINGS = {
    "format": 1,
    "study": "tiny",
    "title": "Retrieval heads: tiny",
    "code": "a",
    "config": {"results": "results", "study": "tiny", "seed": 1, "models": {"small": {}}},
    "made_with": {
        "version": VERSION,
        "code": "b",
        "rules": {"rank_heads": "r"},
        "config": "d",
        "seed": 1,
        "models": {"small": RUN},
    },
    "models": {"small": {"layers": 4, "heads": 8}},
    "labels": {},
    "answer": ["Ten heads fetch the answer."],
    **{name: [] for name in ("signs", "sections", "claims", "figures", "tables")},
}
MODEL = "../models/small-0123abcd"


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


class MadeStudy:
    """A folder of results in which jobs leave what they leave in a study: outputs, manifests, logs."""

    def __init__(self, folder):
        self.folder = folder
        self.sha256 = {}

    def job(self, rule, minute, outputs, inputs=(), given=(), log=None, wildcards=()):
        """A job that takes 5 s, a minute after the one before it."""
        paths = []
        for path, text in outputs.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            manifest = file.with_name(f"{file.name}.manifest.json")
            self.sha256[path], size, files = digest(str(text)), len(str(text)), None
            if isinstance(text, dict):
                file.mkdir()
                manifest, files = file / ".manifest.json", {}
                for name, inside in text.items():
                    (file / name).write_text(inside)
                    files[name] = {"sha256": digest(inside), "size": len(inside)}
            else:
                file.write_text(text)
            about = {"path": path, "rule": rule, "wildcards": dict(wildcards), "code": f"code of {rule}", "params": "p"}
            read = {"inputs": {path: self.sha256[path] for path in inputs}, "given": dict(given)}
            manifest.write_text(
                json.dumps({**about, **read, "sha256": self.sha256[path], "size": size, "files": files})
            )
            paths.append(
                f"results/models/{path.removeprefix('../models/')}" if path[0] == "." else f"results/tiny/{path}"
            )
        file = log or self.folder / "logs" / f"{rule}.log"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            f"{ATTEMPT}1, process 7 on node7, 2026-05-04T10:{minute:02d}:00+02:00\n{MAKES}{json.dumps(paths)}\n"
            f"2026 INFO retrieval_heads: working\n{ENDED}2026-05-04T10:{minute:02d}:05+02:00, after 5.2 s, exit 0\n"
        )


@pytest.fixture
def made(tmp_path):
    study = MadeStudy(tmp_path / "results" / "tiny")
    models = tmp_path / "results" / "models" / "logs"
    study.job("prepare_model", 1, {MODEL: {"config.json": "{}"}}, log=models / "small-0123abcd.log")
    study.job("write_documents", 2, {"documents.parquet": "documents"}, given={"my/table.csv": "e" * 64})
    study.job(
        "rank_heads", 3, {"rankings/small model.parquet": "rankings"}, ["documents.parquet", MODEL],
        log=study.folder / "logs" / "rank_heads" / "small model.log", wildcards={"model": "small model"},
    )  # fmt: skip
    study.job(
        "export_rankings", 4, {"exports/small": {"a.csv": "1,2", "b.txt": "1-2"}}, ["rankings/small model.parquet"]
    )
    findings = {"findings.json": json.dumps(FINDINGS), "findings.html": "<html>"}
    study.job("write_findings", 5, findings, ["rankings/small model.parquet"])
    # Of another study, whose job made nothing that is read here.
    study.job("prepare_model", 9, {"../models/other": {"config.json": "{}"}}, log=models / "other.log")
    return study


@pytest.fixture
def crate(made):
    write_crate(made.folder)
    return ROCrate(made.folder)


def ids(entities):
    entities = entities if isinstance(entities, list) else [entities]
    return {unquote(entity["@id"]) for entity in entities}


def actions(crate):
    found = {unquote(one["@id"]): one for one in crate.get_by_type("CreateAction")}
    assert set(found) >= {"#run"}
    return found


def test_every_output_is_in_it_with_its_digest(made, crate):
    files = {unquote(one["@id"]): one for one in crate.get_by_type("File") if "crate/" not in one["@id"]}
    outputs = {"documents.parquet", "rankings/small model.parquet", "findings.json", "findings.html"}
    assert set(files) == outputs | {"exports/small/a.csv", "exports/small/b.txt"}
    for path, file in files.items():
        content = (made.folder / path).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest() and file["contentSize"] == str(len(content))
    assert files["documents.parquet"]["encodingFormat"] == "application/vnd.apache.parquet"
    assert ids(crate.dereference("exports/small/")["hasPart"]) == {"exports/small/a.csv", "exports/small/b.txt"}


def test_every_file_that_it_names_is_there(made, crate):
    named = {unquote(one["@id"]) for kind in ("File", "Dataset") for one in crate.get_by_type(kind)}
    assert [name for name in named if not (made.folder / name).exists()] == []


def test_every_job_is_an_action_with_what_it_read_and_made(crate):
    found = {
        name.removeprefix("#job/"): (ids(one["object"]) if one["object"] else set(), ids(one["result"]))
        for name, one in actions(crate).items()
        if name != "#run"
    }
    model = "#given/models/small-0123abcd"
    assert found == {
        "models/small-0123abcd": (set(), {model}),
        "write_documents": ({"#given/my/table.csv"}, {"documents.parquet"}),
        "rank_heads/small model": ({"documents.parquet", model}, {"rankings/small model.parquet"}),
        "export_rankings": ({"rankings/small model.parquet"}, {"exports/small/"}),
        "write_findings": ({"rankings/small model.parquet"}, {"findings.json", "findings.html"}),
    }
    assert crate.dereference("#given/my/table.csv")["sha256"] == "e" * 64


def test_actions_tell_when_and_where_jobs_ran_and_by_which_code(crate):
    one = actions(crate)["#job/rank_heads/small model"]
    assert (one["startTime"], one["endTime"]) == ("2026-05-04T10:03:00+02:00", "2026-05-04T10:03:05+02:00")
    assert one["name"] == "rank_heads small model" and one["description"] == "5.2 s on node7"
    assert one["instrument"]["@id"] == "crate/workflow/scripts/rank_heads.py"
    assert one["instrument"]["version"] == "code of rank_heads"


def test_the_workflow_is_what_made_the_whole(crate):
    workflow, run = crate.mainEntity, actions(crate)["#run"]
    assert workflow["@id"] == "crate/Snakefile" and workflow["version"] == VERSION
    assert run["instrument"] == workflow
    assert (run["startTime"], run["endTime"]) == ("2026-05-04T10:01:00+02:00", "2026-05-04T10:05:05+02:00")
    assert ids(run["object"]) == {"crate/config.json", "#given/my/table.csv"}
    assert {"findings.html", "exports/small/", "documents.parquet"} < ids(run["result"])
    assert len(workflow["step"]) == 5 and {step["name"] for step in workflow["step"]} >= {"rank_heads", "prepare_model"}
    controls = crate.get_by_type("ControlAction")
    assert {control["object"]["@id"] for control in controls} == {one["@id"] for one in actions(crate).values()} - {
        "#run"
    }
    libraries = {(one["name"], one["softwareVersion"]) for one in workflow["softwareRequirements"]}
    assert libraries == {("torch", "2.12.0"), ("torch", "2.13.0"), ("numpy", "2.4.6")}


def test_it_holds_the_workflow_and_the_config(made, crate):
    assert (made.folder / "crate" / "Snakefile").read_bytes() == (ROOT / "Snakefile").read_bytes()
    assert (made.folder / "crate" / "rules" / "scores.smk").is_file()
    assert json.loads((made.folder / "crate" / "config.json").read_text()) == FINDINGS["config"]
    assert not list((made.folder / "crate").rglob("__pycache__"))


def test_licence_and_authors_are_those_of_the_citation(crate):
    assert crate.license["@id"] == "https://spdx.org/licenses/MIT"
    assert crate.root_dataset["author"]["name"] == "Contributors to retrieval-heads"
    profiles = {profile["@id"] for profile in crate.root_dataset["conformsTo"]}
    assert "https://w3id.org/ro/wfrun/provenance/0.5" in profiles


def test_it_can_be_written_again(made, crate, capsys):
    before = (made.folder / "ro-crate-metadata.json").read_text()
    assert cli.main(["crate", str(made.folder)]) == 0
    assert capsys.readouterr().err == f"Written to {made.folder / 'ro-crate-metadata.json'}\n"
    again = (made.folder / "ro-crate-metadata.json").read_text()
    assert [line for line in again.splitlines() if "datePublished" not in line] == [
        line for line in before.splitlines() if "datePublished" not in line
    ]


def without_manifest(folder):
    (folder / "documents.parquet.manifest.json").unlink()
    return rf"^{folder}/documents\.parquet: has no manifest that tells what it is; delete it and run again\.$"


def without_log(folder):
    (folder / "logs" / "export_rankings.log").unlink()
    return rf"^{folder}/exports/small: no log tells when it was made; delete it and run again\.$"


def whose_job_was_killed(folder):
    log = folder / "logs" / "export_rankings.log"
    log.write_text(log.read_text().partition(ENDED)[0])
    return rf"^{folder}/exports/small: no log tells when it was made"


def without_logs(folder):
    shutil.rmtree(folder / "logs")
    shutil.rmtree(folder.parent / "models" / "logs")
    return rf"^{folder}/logs: no log tells what jobs did; run the study again"


def unfinished(folder):
    (folder / "findings.json").unlink()
    return rf"^{folder}: has no findings\.json"


def whose_manifest_is_cut_off(folder):
    (folder / "documents.parquet.manifest.json").write_text("{")
    return (
        rf"^{folder}/documents\.parquet\.manifest\.json: not valid JSON; delete it and what it is of, and run again\.$"
    )


@pytest.mark.parametrize(
    "spoil", [without_manifest, without_log, whose_job_was_killed, without_logs, unfinished, whose_manifest_is_cut_off]
)
def test_a_study_of_which_not_all_is_known_is_refused(made, spoil):
    message = spoil(made.folder)
    with pytest.raises(StudyError, match=message):
        write_crate(made.folder)
    assert not (made.folder / "ro-crate-metadata.json").exists()


def test_code_that_lies_in_no_clone_is_refused(made, tmp_path):
    with pytest.raises(StudyError, match=rf"^{tmp_path}: lacks Snakefile, which belongs into the crate; use a clone"):
        write_crate(made.folder, tmp_path)


def test_outputs_that_are_gone_are_not_told_of(made):
    made.job("draw_layers", 6, {"figures/layers.svg": "<svg/>"})
    (made.folder / "figures" / "layers.svg").unlink()
    write_crate(made.folder)
    crate = ROCrate(made.folder)
    assert "#job/draw_layers" not in actions(crate) and crate.dereference("figures/layers.svg") is None

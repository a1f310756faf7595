"""What a job makes is known by its manifest, and what is not as it was made is refused."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.iocontainers import Params, Wildcards

from retrieval_heads import digests, manifests
from retrieval_heads.manifests import NotAsMadeError, check_inputs, manifest_file, read, write


class Study:
    """A study whose jobs write what they are told."""

    def __init__(self, folder, sources=None):
        models = {name: {"source": source} for name, source in (sources or {}).items()}
        self.folder = folder / "results" / "tiny"
        self.config = {"results": str(folder / "results"), "study": "tiny", "models": models}

    def path(self, name):
        return self.folder / name

    def job(self, name, inputs, rule="make", params=None, **wildcards):
        return SimpleNamespace(
            rule=rule,
            wildcards=Wildcards(fromdict=wildcards),
            params=Params(fromdict={"seed": 1, "code": "0123", **(params or {})}),
            input=[str(file) for file in inputs],
            output=[str(self.path(name))],
            config=self.config,
        )

    def make(self, name, inputs=(), content="rows", **of_job):
        """Run a job that writes one file, or files into a folder; its manifest."""
        job = self.job(name, inputs, **of_job)
        found = check_inputs(job)
        output = self.path(name)
        for file, text in content.items() if isinstance(content, dict) else [("", content)]:
            (output / file).parent.mkdir(parents=True, exist_ok=True)
            (output / file).write_text(text)
        write(job, found)
        return read(output)

    def refused(self, name):
        """What a job says that reads an output."""
        with pytest.raises(NotAsMadeError) as refusal:
            self.make("refused.parquet", [self.path(name)])
        assert not self.path("refused.parquet").exists()
        return str(refusal.value)


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class TestWhatItSays:
    def test_what_was_made_from_what(self, study, tmp_path):
        documents = tmp_path / "documents.csv"
        documents.write_text("text\n")
        study.make("documents.parquet", [documents])
        prompts = study.make("prompts/a/512.parquet", [study.path("documents.parquet"), documents], model="a")
        assert (prompts.rule, prompts.wildcards, prompts.size) == ("make", {"model": "a"}, 4)
        assert prompts.sha256 == sha256("rows")
        assert prompts.inputs == {"documents.parquet": sha256("rows")}
        assert prompts.given == {"…/documents.csv": sha256("text\n")}

    def test_parameters_and_code_are_told_apart(self, study):
        one = study.make("a.parquet")
        assert study.make("a.parquet", params={"seed": 2}).params != one.params
        other = study.make("a.parquet", params={"code": "4567"})
        assert (other.params, other.code) == (one.params, "4567")

    def test_nothing_of_time_machine_or_place(self, tmp_path):
        texts = set()
        for place in ("here", "there/further"):
            study = Study(tmp_path / place)
            given = tmp_path / place / "given.csv"
            given.parent.mkdir(parents=True)
            given.write_text("same")
            study.make("a.parquet", [given])
            study.make("b.parquet", [study.path("a.parquet")])
            texts.add(
                manifest_file(study.path("a.parquet")).read_text() + manifest_file(study.path("b.parquet")).read_text()
            )
        assert len(texts) == 1

    def test_files_of_one_name_in_two_folders_are_two(self, study, tmp_path):
        files = [tmp_path / folder / "heads.json" for folder in ("base", "instruct")]
        for file in files:
            file.parent.mkdir()
            file.write_text(file.parent.name)
        given = study.make("a.parquet", files).given
        assert given == {f"…/{file.parent.name}/heads.json": sha256(file.parent.name) for file in files}

    def test_a_file_of_the_project_is_called_as_the_rule_has_it(self, study, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        Path("resources").mkdir()
        Path("resources/prose.txt").write_text("prose")
        assert study.make("a.parquet", ["resources/prose.txt"]).given == {"resources/prose.txt": sha256("prose")}

    def test_a_folder_is_the_files_in_it(self, study):
        made = study.make("exports/a", content={"wu24/q.json": "{}", "wu24/q.txt": "1-2\n"})
        assert made.files["wu24/q.txt"] == {"sha256": sha256("1-2\n"), "size": 4}
        assert set(made.files) == {"wu24/q.json", "wu24/q.txt"} and made.size == 6
        assert manifest_file(study.path("exports/a")) == study.path("exports/a/.manifest.json")


class TestRefusals:
    @pytest.fixture(autouse=True)
    def made(self, study):
        study.make("prompts/a.parquet", content="prompts of a", model="a")
        study.make("prompts/b.parquet", content="prompts of b", model="b")

    def test_what_is_as_it_was_made_is_read(self, study):
        made = study.make("next.parquet", [study.path("prompts/a.parquet"), study.path("prompts/b.parquet")])
        assert len(made.inputs) == 2

    def test_results_that_are_moved_are_read(self, study, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        shutil.move(study.folder.parent, elsewhere / "results")
        assert Study(elsewhere).make("next.parquet", [elsewhere / "results/tiny/prompts/a.parquet"]).inputs

    @pytest.mark.parametrize("text", ["other numbers", "prompts of", ""], ids=["altered", "cut", "empty"])
    def test_other_bytes(self, study, text):
        path = study.path("prompts/a.parquet")
        path.write_text(text)
        assert (
            study.refused("prompts/a.parquet")
            == f"{path}: is not as make (model a) wrote it; delete {path} and run again."
        )

    def test_another_table_with_its_manifest(self, study):
        """Prompts of one model under another's name, or a shard in the place of another."""
        a, b = (study.path(f"prompts/{name}.parquet") for name in "ab")
        shutil.copy(b, a)
        shutil.copy(manifest_file(b), manifest_file(a))
        said = study.refused("prompts/a.parquet")
        assert said == f"{a}: this is prompts/b.parquet, made by make (model b); delete {a} and run again."

    def test_another_table_without_its_manifest(self, study):
        shutil.copy(study.path("prompts/b.parquet"), study.path("prompts/a.parquet"))
        assert "prompts/a.parquet: is not as make (model a) wrote it" in study.refused("prompts/a.parquet")

    def test_no_manifest(self, study):
        path = study.path("prompts/a.parquet")
        manifest_file(path).unlink()
        said = study.refused("prompts/a.parquet")
        assert said.startswith(f"{path}: has no manifest a.parquet.manifest.json") and f"delete {path} and" in said

    @pytest.mark.parametrize("key", ["path", "rule", "sha256", "inputs", "params", "code", "seal"])
    def test_a_manifest_that_was_edited(self, study, key):
        file = manifest_file(study.path("prompts/a.parquet"))
        values = json.loads(file.read_text())
        values[key] = {"b": "0"} if key == "inputs" else "other"
        file.write_text(json.dumps(values))
        assert f"{file}: this manifest is not as it was written; delete" in study.refused("prompts/a.parquet")

    @pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"path": "a"}', "\udcff"])
    def test_a_manifest_that_is_none(self, study, text):
        file = manifest_file(study.path("prompts/a.parquet"))
        file.write_bytes(text.encode(errors="surrogateescape"))
        assert f"{file}: this manifest is not as it was written" in study.refused("prompts/a.parquet")

    def test_a_table_that_is_gone(self, study):
        path = study.path("prompts/a.parquet")
        path.unlink()
        assert study.refused("prompts/a.parquet") == f"{path}: is missing; run again."


MODEL = {"config.json": "{}", "model.safetensors": "weights"}


class TestFolders:
    @pytest.fixture
    def model(self, study):
        study.make("../models/a-1234", content=MODEL, rule="prepare_model", artifact="a-1234")
        return study.path("../models/a-1234")

    def test_what_snakemake_leaves_in_it_does_not_count(self, study, model):
        (model / ".snakemake_timestamp").touch()
        assert set(study.make("next.parquet", [model]).inputs) == {"../models/a-1234"}

    @pytest.mark.parametrize(
        "change",
        [
            lambda folder: (folder / "model.safetensors").write_text("other"),
            lambda folder: (folder / "model.safetensors").unlink(),
            lambda folder: (folder / "generation_config.json").write_text("{}"),
            lambda folder: (folder / "config.json").rename(folder / "other.json"),
        ],
        ids=["altered", "deleted", "added", "renamed"],
    )
    def test_other_files(self, study, model, change):
        change(model)
        assert "is not as prepare_model (artifact a-1234) wrote it" in study.refused("../models/a-1234")

    def test_another_model_under_its_name(self, study, model):
        study.make("../models/b-5678", content={**MODEL, "model.safetensors": "others"}, artifact="b-5678")
        shutil.rmtree(model)
        shutil.copytree(study.path("../models/b-5678"), model)
        assert "this is ../models/b-5678" in study.refused("../models/a-1234")

    def test_one_that_snakemake_links_to_from_its_cache_may_have_had_another_name(self, study, model, tmp_path):
        cached = tmp_path / "cache"
        shutil.copytree(model, cached)
        mine = study.path("../models/mine-1234")
        mine.mkdir()
        for file in cached.iterdir():
            (mine / file.name).symlink_to(file)
        assert set(study.make("next.parquet", [mine]).inputs) == {"../models/mine-1234"}
        (cached / "model.safetensors").write_text("other")
        assert "is not as prepare_model" in study.refused("../models/mine-1234")

    def test_a_prepared_model_is_read_once(self, study, model, monkeypatch):
        monkeypatch.setattr(digests, "_SETTLED_S", -3600)  # all that is on disk is taken to be settled
        files, digest = [], hashlib.file_digest
        monkeypatch.setattr(
            hashlib, "file_digest", lambda file, name: files.append(Path(file.name).name) or digest(file, name)
        )
        for number in range(3):
            study.make(f"{number}.parquet", [model])
        assert sorted(name for name in files if name in MODEL) == sorted(MODEL)

    @pytest.mark.parametrize("place", ["model", "results/models/own"])
    def test_a_model_of_the_users_counts_as_the_rule_says(self, tmp_path, place):
        folder = tmp_path / place
        study = Study(tmp_path, {"own": {"path": str(folder)}})
        folder.mkdir(parents=True)
        (folder / "README.md").write_text("whatever")
        made = study.make("a.parquet", [folder], params={"content": "what it holds"})
        assert made.inputs == {} and list(made.given.values()) == ["what it holds"]


def test_it_is_written_whole_or_not_at_all(study, monkeypatch):
    study.make("a.parquet")
    former = manifest_file(study.path("a.parquet")).read_text()
    monkeypatch.setattr(manifests.json, "dumps", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        study.make("a.parquet", content="other")
    assert manifest_file(study.path("a.parquet")).read_text() == former
    assert sorted(file.name for file in study.folder.iterdir()) == ["a.parquet", "a.parquet.manifest.json"]

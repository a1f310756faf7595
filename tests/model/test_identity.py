"""A model is what its files hold: not its name, its place or its age."""

import hashlib
import json
import os
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_heads import digests
from retrieval_heads.errors import StudyError
from retrieval_heads.model.identity import (
    model_artifact,
    model_content,
    model_folder,
    resolved_commit,
    unchanged_model,
    unchanged_source,
)
from retrieval_heads.model.sources import package
from retrieval_heads.versions import library_versions

FILES = {
    "config.json": '{"model_type": "llama"}',
    "generation_config.json": "{}",
    "model.safetensors": "weights",
    "tokenizer.json": "{}",
    "tokenizer_config.json": "{}",
    "chat_template.jinja": "{{ messages }}",
    "code.py": "x = 1",
    "vocab.tiktoken": "a 1",
    "additional_chat_templates/tool_use.jinja": "{{ tools }}",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        file = tmp_path / "model" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "model"


@pytest.fixture
def content(tmp_path):
    return lambda source: model_content(source, tmp_path / "results")


@pytest.fixture
def read(monkeypatch):
    """The files that were read, with all that is on disk taken to be large and settled."""
    monkeypatch.setattr(digests, "_SETTLED_S", -3600)
    monkeypatch.setattr(digests, "_SMALL", 0)
    files, digest = [], hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, name: files.append(Path(file.name).name) or digest(file, name)
    )
    return files


def change_in_place(file):
    """Other bytes of the same number in the same file, with the time of change put back."""
    stat = file.stat()
    with file.open("r+b") as opened:
        first = opened.read(1)
        opened.seek(0)
        opened.write(bytes([first[0] ^ 1]))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)


class TestContent:
    @pytest.mark.parametrize("name", FILES)
    def test_every_file_counts_that_is_loaded(self, folder, content, read, name):
        before = content({"path": str(folder)})
        change_in_place(folder / name)
        changed = content({"path": str(folder)})
        (folder / name).unlink()
        assert len({before, changed, content({"path": str(folder)})}) == 3

    def test_files_that_swap_their_bytes_count(self, folder, content):
        before = content({"path": str(folder)})
        (folder / "config.json").write_text(FILES["tokenizer.json"])
        (folder / "tokenizer.json").write_text(FILES["config.json"])
        assert content({"path": str(folder)}) != before

    @pytest.mark.parametrize(
        "name", ["README.md", ".gitattributes", ".snakemake_timestamp", "checkpoint-1/config.json"]
    )
    def test_what_is_not_loaded_does_not_count(self, folder, content, name):
        before = content({"path": str(folder)})
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("new")
        assert content({"path": str(folder)}) == before

    def test_place_age_and_owner_of_the_files_do_not_count(self, folder, content, tmp_path):
        before = content({"path": str(folder)})
        shutil.copytree(folder, tmp_path / "copy")
        (tmp_path / "link").symlink_to(tmp_path / "copy")
        for file in folder.iterdir():
            os.utime(file, (1, 1))
        assert before == content({"path": str(folder)}) == content({"path": str(tmp_path / "link")})

    def test_a_gguf_file_and_one_of_a_package(self, content, tmp_path, monkeypatch):
        file = tmp_path / "model.gguf"
        file.write_bytes(b"GGUF and weights")
        monkeypatch.setattr(package, "_find", lambda source, key: [file])
        sources = [{"gguf": str(file)}, {"package": "some", "file": "model.gguf"}]
        before = [content(source) for source in sources]
        change_in_place(file)
        assert all(content(source) != former for source, former in zip(sources, before, strict=True))

    def test_a_revision_of_a_hub_stands_for_itself(self, content):
        assert content({"hub": "owner/name", "revision": "abc"}) is None

    def test_a_package_that_only_jobs_see_is_known_by_their_environment(self, tmp_path, monkeypatch):
        files = (tmp_path / "model.yaml", tmp_path / "model.post-deploy.sh")
        for file in files:
            file.write_text("one")
        monkeypatch.setattr("retrieval_heads.model.identity.MODEL_ENVIRONMENT", files)

        def content():
            return model_content({"package": "no-such-package", "file": "a.gguf"}, tmp_path, packages=False)

        before = content()
        assert before is not None and content() == before
        files[1].write_text("two")
        assert content() != before

    def test_a_file_that_is_gone(self, content, tmp_path):
        with pytest.raises(StudyError, match=r"gone\.gguf: this file is gone; put it back, or change the config that"):
            content({"gguf": str(tmp_path / "gone.gguf")})


class TestReading:
    def test_files_are_read_once(self, folder, content, read):
        first = content({"path": str(folder)})
        assert sorted(read) == sorted(Path(name).name for name in FILES)
        assert content({"path": str(folder)}) == first
        assert len(read) == len(FILES)
        change_in_place(folder / "tokenizer.json")
        assert content({"path": str(folder)}) != first
        assert read[len(FILES) :] == ["tokenizer.json"]

    @pytest.mark.parametrize("way", ["older", "link", "moved"])
    def test_a_file_that_took_the_place_of_another_is_read(self, folder, content, read, way, tmp_path):
        file, other = folder / "model.safetensors", tmp_path / "other"
        other.write_text("WEIGHTS")
        os.utime(other, ns=(file.stat().st_mtime_ns,) * 2 if way == "moved" else (1, 1))
        before = content({"path": str(folder)})
        if way == "link":
            file.unlink()
            file.symlink_to(other)
        else:
            other.rename(file)
        assert content({"path": str(folder)}) != before

    @pytest.mark.parametrize("kept", ["_SMALL", "_SETTLED_S"])
    def test_one_that_is_small_or_was_changed_just_now_is_read_again(self, folder, content, monkeypatch, kept):
        # A second change within the same tick of the clock would leave size and time stamps as they are.
        monkeypatch.setattr(digests, kept, {"_SMALL": 0, "_SETTLED_S": -3600}[kept])
        content({"path": str(folder)})
        assert not list((folder.parent / "results").rglob("*.json"))

    @pytest.mark.parametrize("spoil", [lambda _: "{", lambda _: "[]", lambda _: "1", lambda told: told[:-69] + "1}"])
    def test_a_digest_that_cannot_be_read_is_made_again(self, folder, content, read, spoil):
        before = content({"path": str(folder)})
        for record in (folder.parent / "results" / ".digests").iterdir():
            record.write_text(spoil(record.read_text()))
        assert content({"path": str(folder)}) == before
        assert len(read) == 2 * len(FILES)

    def test_the_digest_of_a_file_is_the_one_that_others_tell(self, folder, content, read):
        content({"path": str(folder)})
        records = [json.loads(file.read_text()) for file in (folder.parent / "results" / ".digests").iterdir()]
        assert {Path(record["file"]).name: record["sha256"] for record in records}["model.safetensors"] == (
            hashlib.sha256(b"weights").hexdigest()
        )


class TestFolder:
    def test_the_name_of_one_whose_source_stands_for_it_is_written_down(self):
        # Prepared models would all be made again if it changed.
        source = {"hub": "owner/name", "revision": "main"}
        assert model_artifact("small", source, None) == "small-14cb1e93"
        assert model_artifact("small", dict(reversed(source.items())), None) == "small-14cb1e93"

    @given(st.data())
    def test_only_models_with_one_name_source_and_content_share_a_folder(self, data):
        models = st.tuples(
            st.sampled_from("ab"),
            st.sampled_from(
                [{"gguf": "a"}, {"gguf": "b"}, {"package": "a", "file": "b"}, {"hub": "a", "revision": "b"}]
            ),
            st.sampled_from([None, "1", "2"]),
        )
        one, other = data.draw(models), data.draw(models)
        assert (model_artifact(*one) == model_artifact(*other)) == (one == other)

    def test_clones_that_share_results_keep_models_of_one_name_apart(self, tmp_path, monkeypatch):
        folders = set()
        for clone in ("one", "other"):
            (tmp_path / clone).mkdir()
            monkeypatch.chdir(tmp_path / clone)
            Path("model.gguf").write_text(f"GGUF {clone}")
            source = {"gguf": "model.gguf"}
            folders.add(model_folder("m", source, model_content(source, tmp_path / "results"), tmp_path / "results"))
        assert len(folders) == 2

    def test_a_local_folder_is_used_where_it_lies(self):
        assert model_folder("m", {"path": "somewhere/model"}, "1", "results") == Path("somewhere/model")


class TestCommit:
    def test_a_prepared_model_of_the_hub_tells_its_commit(self, tmp_path):
        (tmp_path / ".hub.json").write_text('{"commit": "0123abcd", "hub": "owner/name", "revision": "main"}')
        assert resolved_commit(tmp_path) == "0123abcd"

    def test_other_models_have_none(self, folder):
        assert resolved_commit(folder) is None

    @pytest.mark.parametrize("told", ["", "[]", '{"hub": "owner/name"}', '{"commit": 1}'])
    def test_one_whose_record_is_damaged_is_refused(self, tmp_path, told):
        (tmp_path / ".hub.json").write_text(told)
        with pytest.raises(StudyError, match=rf"^{re.escape(str(tmp_path))}/\.hub\.json: .*; delete .*fetched anew\.$"):
            resolved_commit(tmp_path)


class TestUnchanged:
    def test_a_model_that_stays_as_it_is(self, folder, content):
        source = {"path": str(folder)}
        with unchanged_source("models.m", source, content(source), folder.parent / "results"):
            pass

    @pytest.mark.parametrize("before", [True, False])
    def test_one_that_changes_before_or_while_it_is_used(self, folder, content, before):
        source = {"path": str(folder)}
        known, ran = content(source), []
        if before:
            change_in_place(folder / "model.safetensors")
        with (
            pytest.raises(StudyError, match=r"^models\.m\.source: this model was changed while the study ran; type"),
            unchanged_source("models.m", source, known, folder.parent / "results"),
        ):
            ran.append(True)
            change_in_place(folder / "model.safetensors")
        assert bool(ran) != before

    def test_an_error_of_the_work_is_the_one_that_is_told(self, folder, content):
        source = {"path": str(folder)}
        with (
            pytest.raises(ZeroDivisionError),
            unchanged_source("models.m", source, content(source), folder.parent / "results"),
        ):
            change_in_place(folder / "model.safetensors")
            raise ZeroDivisionError

    def test_one_that_its_source_stands_for(self, tmp_path):
        with unchanged_source("models.m", {"hub": "a/b", "revision": "main"}, None, tmp_path):
            pass

    def test_one_of_a_package_that_only_jobs_see_goes_by_their_environment(self, tmp_path):
        source = {"package": "no-such-package", "file": "a.gguf"}
        with unchanged_source("models.m", source, model_content(source, tmp_path, packages=False), tmp_path):
            pass

    @pytest.mark.parametrize("accepted", [True, False])
    def test_a_job_is_held_against_model_and_versions(self, folder, content, accepted):
        source = {"path": str(folder)}
        job = SimpleNamespace(
            wildcards=SimpleNamespace(model="m"),
            config={
                "models": {"m": {"source": source}},
                "results": str(folder.parent / "results"),
                "compute": {"accept_versions": accepted},
            },
            params=SimpleNamespace(content=content(source), versions=library_versions() | {"torch": "1.0"}),
        )
        refused = pytest.raises(StudyError, match=r"^compute\.accept_versions: this job")
        with nullcontext() if accepted else refused, unchanged_model(job):
            pass
        job.params.versions = library_versions()
        change_in_place(folder / "model.safetensors")
        with pytest.raises(StudyError, match=r"^models\.m\.source: this model was changed"), unchanged_model(job):
            pass

"""Files count by what they hold: not by their age, nor by the folder that they share."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from retrieval_heads.data.haystack import haystack_files
from retrieval_heads.errors import StudyError
from retrieval_heads.identity import files_content, unchanged_files


@pytest.fixture
def files(tmp_path):
    made = []
    for name in ("prose/a.txt", "prose/b.txt", "prose/more/a.txt"):
        made.append(tmp_path / name)
        made[-1].parent.mkdir(parents=True, exist_ok=True)
        made[-1].write_text(name)
    return made


@pytest.fixture
def content(tmp_path):
    return lambda files: files_content(files, tmp_path / "results")


def rewrite(file, text):
    """Another text in the same file, with its time put back."""
    stat = file.stat()
    file.write_text(text)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_age_and_place_do_not_count(files, content, tmp_path, monkeypatch):
    before = content(files)
    shutil.copytree(tmp_path / "prose", tmp_path / "elsewhere" / "copy")
    for file in files:
        os.utime(file)
    copies = [tmp_path / "elsewhere" / "copy" / file.relative_to(tmp_path / "prose") for file in files]
    assert content(files) == content(copies) == before
    monkeypatch.chdir(tmp_path)
    assert content(str(file.relative_to(tmp_path)) for file in files) == before


def test_what_they_hold_counts_whatever_their_time_says(files, content):
    before = content(files)
    rewrite(files[1], "prose/c.txt")
    assert content(files) != before


@pytest.mark.parametrize("other", [1, 2], ids=["of another name", "of the same name in another folder"])
def test_two_that_swap_what_they_hold_count(files, content, other):
    before, texts = content(files), (files[0].read_text(), files[other].read_text())
    rewrite(files[0], texts[1])
    rewrite(files[other], texts[0])
    assert content(files) != before


def test_names_and_order_count(files, content):
    before = content(files)
    assert content(files[::-1]) != before
    files[1].rename(files[1].with_name("c.txt"))
    assert content([files[0], files[1].with_name("c.txt"), files[2]]) != before


def test_no_files_have_a_content_too(files, content):
    assert content([]) == content([]) != content(files[:1])


def job(tmp_path, **inputs):
    """What a script is given, with the content of its inputs as it is now."""
    listed = {name: [given] if isinstance(given, str) else given for name, given in inputs.items()}
    known = {name: files_content(files, tmp_path / "results") for name, files in listed.items()}
    return SimpleNamespace(
        input=inputs, params=SimpleNamespace(files=known), config={"results": str(tmp_path / "results")}
    )


def test_a_job_whose_files_stay_as_they_are(files, tmp_path):
    with unchanged_files(job(tmp_path, haystack=list(map(str, files)), lists=[])):
        pass


@pytest.mark.parametrize("before", [True, False])
def test_a_job_whose_files_change_before_or_while_it_runs(files, tmp_path, monkeypatch, before):
    monkeypatch.chdir(tmp_path)
    ran, begun = [], job(tmp_path, haystack=["prose/a.txt", "prose/b.txt"], lists=["prose/more/a.txt"])
    if before:
        rewrite(files[1], "new")
    changed = r"^prose: a file in this folder was changed while the study ran; type the same command again\.$"
    with pytest.raises(StudyError, match=changed), unchanged_files(begun):
        ran.append(True)
        rewrite(files[1], "new")
    assert bool(ran) != before


@pytest.mark.parametrize("names", [["a.txt", "b.txt"], ["a.txt"]])
def test_a_file_that_is_added_to_a_folder_which_a_job_lists(files, tmp_path, monkeypatch, names):
    monkeypatch.chdir(tmp_path)
    for file in set(Path("prose").glob("*.txt")) - {Path("prose", name) for name in names}:
        file.unlink()
    begun = job(tmp_path, haystack=haystack_files("prose"))
    assert begun.input["haystack"] == [f"prose/{name}" for name in names]

    def run(meanwhile):
        with unchanged_files(begun, haystack=lambda: haystack_files("prose")):
            meanwhile()

    run(lambda: None)
    changed = r"^prose: a file in this folder was changed while the study ran; type the same command again\.$"
    with pytest.raises(StudyError, match=changed):
        run(lambda: Path("prose/c.txt").write_text("More prose."))
    with pytest.raises(StudyError, match=changed):
        run(lambda: None)


def test_one_file_is_named(files, tmp_path):
    begun = job(tmp_path, prose=str(files[0]))
    rewrite(files[0], "new")
    with pytest.raises(StudyError, match=r"prose/a\.txt: this file was changed while"), unchanged_files(begun):
        pass


def test_a_file_that_is_gone_is_named(files, tmp_path):
    begun = job(tmp_path, prose=str(files[0]))
    files[0].unlink()
    with pytest.raises(StudyError, match=r"prose/a\.txt: this file is gone; put it back"), unchanged_files(begun):
        pass

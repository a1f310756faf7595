"""What is written takes its place whole, whoever else writes it; a failure leaves what was there."""

import errno
import multiprocessing
import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from retrieval_heads import atomic_write as module
from retrieval_heads.atomic_write import atomic_file, atomic_folder
from retrieval_heads.errors import StudyError

BOTH = pytest.mark.parametrize("whole", [atomic_file, atomic_folder])
processes = multiprocessing.get_context("fork")


def fill(path, text):
    file = path / "file" if path.is_dir() else path
    file.write_text(text)


def text_of(path):
    return (path / "file" if path.is_dir() else path).read_text()


@BOTH
def test_what_was_there_stays_until_all_is_written(whole, tmp_path):
    target = tmp_path / "deeper" / "target"
    with whole(target) as path:
        fill(path, "old")
    with pytest.raises(KeyboardInterrupt), whole(target) as path:
        fill(path, "new")
        assert text_of(target) == "old"
        raise KeyboardInterrupt
    assert text_of(target) == "old"
    with whole(target) as path:
        fill(path, "new")
    assert text_of(target) == "new"
    assert list(target.parent.iterdir()) == [target]


@BOTH
def test_of_two_writers_the_last_to_finish_is_what_stays(whole, tmp_path):
    target = tmp_path / "target"
    with whole(target) as first:
        fill(first, "first")
        with whole(target) as second:
            assert text_of(first) == "first"
            fill(second, "second")
        assert text_of(target) == "second"
    assert text_of(target) == "first"
    assert list(tmp_path.iterdir()) == [target]


def killed(whole, target):
    with whole(target) as path:
        fill(path, "half")
        os.kill(os.getpid(), signal.SIGKILL)


@BOTH
def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(whole, tmp_path):
    target = tmp_path / "target [1]*"  # a name that a glob would read otherwise
    with whole(target) as living:
        fill(living, "living")
        process = processes.Process(target=killed, args=(whole, target))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) == 2 and not target.exists()
        with whole(tmp_path / "target [1]* too") as other:
            fill(other, "other")
        assert len(list(tmp_path.glob("*.partial"))) == 2  # they are not of that target
        with whole(target) as next_one:
            fill(next_one, "next")
        assert [living.parent] == list(tmp_path.glob("*.partial"))
    assert text_of(target) == "living"
    assert not list(tmp_path.glob("*.partial"))


@BOTH
@pytest.mark.parametrize("step", range(1, 30))
def test_a_writer_that_is_killed_at_any_step_leaves_nothing_that_the_next_one_does_not_remove(whole, step, tmp_path):
    target = tmp_path / "target"

    def write():
        with whole(target) as path:
            fill(path, "killed")

    def killed_at_step():
        steps = []

        def hook(event, args):
            if args and str(tmp_path) in str(args[0]) and ".partial" in str(args[0]):
                steps.append(event)
                if len(steps) == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        write()
        os._exit(0)

    with whole(target) as path:
        fill(path, "before")
    process = processes.Process(target=killed_at_step)
    process.start()
    process.join()
    if process.exitcode == 0:
        assert step > 5, "too few steps were seen"
        return
    if target.exists():  # a folder is moved aside for a moment
        assert text_of(target) in ("before", "killed")
    with whole(target) as path:
        fill(path, "next")
    assert text_of(target) == "next"
    assert list(tmp_path.iterdir()) == [target]


@BOTH
def test_one_that_has_just_begun_is_not_lost_to_another_that_finds_it_without_a_lock(whole, tmp_path, monkeypatch):
    target, mkdir, disturbed = tmp_path / "target", Path.mkdir, []

    def mkdir_and_be_disturbed(self, *arguments, **options):
        mkdir(self, *arguments, **options)
        if self.suffix == ".partial" and not disturbed:
            disturbed.append(self)
            module._remove_abandoned(target)
            assert not self.exists()

    monkeypatch.setattr(Path, "mkdir", mkdir_and_be_disturbed)
    with whole(target) as path:
        fill(path, "new")
    assert disturbed and text_of(target) == "new"
    assert list(tmp_path.iterdir()) == [target]


@BOTH
def test_without_locks_nothing_is_removed_that_may_be_in_use(whole, tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOSYS, "this file system has no locks")

    monkeypatch.setattr(module.fcntl, "flock", unsupported)
    target = tmp_path / "target"
    with whole(target) as living:
        fill(living, "living")
        with whole(target) as other:
            fill(other, "other")
    assert text_of(target) == "living"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_take_its_place_leaves_the_former_one(tmp_path, monkeypatch):
    target, rename = tmp_path / "target", Path.rename
    with atomic_folder(target) as path:
        fill(path, "old")

    def fail(self, other):
        if Path(other) == target and self.name == target.name:
            raise OSError(errno.EIO, "broken")
        return rename(self, other)

    with pytest.raises(StudyError, match=f"^{target}: the disk does not work"), atomic_folder(target) as path:
        fill(path, "new")
        monkeypatch.setattr(Path, "rename", fail)
    assert text_of(target) == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["file", "link"])
def test_a_folder_takes_the_place_of_a_file_or_link(tmp_path, kind):
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    target.write_text("a file") if kind == "file" else target.symlink_to(elsewhere)
    with atomic_folder(target) as path:
        fill(path, "new")
    assert text_of(target) == "new" and not target.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "target"]
    assert (elsewhere / "kept").exists()


FILES, ROUNDS, WRITERS = 12, 40, 3


def write_many(whole, target, writer):
    for turn in range(ROUNDS):
        with whole(target) as path:
            if path.is_dir():
                for number in range(FILES):
                    (path / str(number)).write_text(f"{writer} {turn}")
            else:
                with path.open("w") as file:
                    for _ in range(FILES):
                        file.write(f"{writer} {turn}\n")
                        file.flush()


def seen(target):
    """What is at the target just now, each file of it; None where it changed meanwhile, or is not there."""
    try:
        opened = os.open(target, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # By what was opened: at its path there may be nothing for a moment.
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            found = []
            for name in os.listdir(opened):  # noqa: PTH208
                with open(os.open(name, os.O_RDONLY, dir_fd=opened)) as file:  # noqa: PTH123
                    found.append(file.read())
        else:
            with os.fdopen(os.dup(opened)) as file:
                found = file.read().splitlines()
        same = os.path.samestat(os.fstat(opened), target.stat())
    except FileNotFoundError:
        return None
    finally:
        os.close(opened)
    return found if same else None


@BOTH
def test_with_many_writers_a_reader_sees_one_of_them_whole_or_nothing(whole, tmp_path):
    target = tmp_path / "target"
    writers = [processes.Process(target=write_many, args=(whole, target, number)) for number in range(WRITERS)]
    for process in writers:
        process.start()
    looks = []
    while any(process.is_alive() for process in writers):
        looks.append(seen(target))
    for process in writers:
        process.join()
    assert [process.exitcode for process in writers] == [0] * WRITERS
    looks = [found for found in [*looks, seen(target)] if found is not None]
    assert looks
    assert {(len(found), len(set(found))) for found in looks} == {(FILES, 1)}
    assert list(tmp_path.iterdir()) == [target]

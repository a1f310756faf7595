"""Jobs end with the run that they belong to, however it ends, and write nothing after it."""

import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from projects import TINY
from retrieval_heads import runs
from retrieval_heads.atomic_write import atomic_file, atomic_folder
from retrieval_heads.errors import StudyError

WORKFLOW = Path(runs.__file__).parents[1]


@pytest.fixture(autouse=True)
def no_run(monkeypatch):
    """Each test has the runs that it begins and no others."""
    monkeypatch.delenv("RETRIEVAL_HEADS_RUN", raising=False)
    monkeypatch.setenv("RETRIEVAL_HEADS_BEGAN_WITH", "{}")
    yield
    runs.end()


def python(code, folder, **environment):
    """A program of its own that can import the package."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(WORKFLOW), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


BEGIN = """
from retrieval_heads import runs
import os, time
runs.begin()
print(os.environ["RETRIEVAL_HEADS_RUN"], flush=True)
time.sleep(600)
"""


@pytest.fixture
def run(tmp_path):
    """A run in a process of its own, and the file that its jobs look at."""
    process = python(BEGIN, tmp_path)
    process.file = process.stdout.readline().strip()
    yield process
    process.kill()
    process.communicate()


def kill(process):
    """End a process without a chance to do anything about it; it stays a zombie, as nobody has asked for its end."""
    process.kill()
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


class TestRun:
    @pytest.mark.parametrize("whole", [atomic_file, atomic_folder])
    def test_a_job_writes_as_long_as_its_run_lives(self, whole, run, tmp_path, monkeypatch):
        def write(text):
            with whole(tmp_path / "target") as made:
                (made / "part" if made.is_dir() else made).write_text(text)

        def written():
            return next(path for path in (tmp_path / "target" / "part", tmp_path / "target") if path.exists())

        monkeypatch.setenv("RETRIEVAL_HEADS_RUN", run.file)
        assert not runs.is_over()
        write("in time")
        kill(run)
        assert runs.is_over()
        with pytest.raises(StudyError, match=r"target: not written, .* is over; type its command again\.$"):
            write("too late")
        assert written().read_text() == "in time"
        assert not list(tmp_path.glob("*.partial"))

    def test_what_belongs_to_no_run_goes_on(self):
        assert not runs.is_over()

    def test_a_run_that_ends_in_order_leaves_nothing(self, run, tmp_path):
        runs.begin(tmp_path / ".snakemake")
        own = Path(os.environ["RETRIEVAL_HEADS_RUN"])
        assert own.exists() and not runs.is_over(), "a run is no job of its own"
        runs.end()
        assert not own.exists() and "RETRIEVAL_HEADS_RUN" not in os.environ
        os.environ["RETRIEVAL_HEADS_RUN"] = str(own)  # as a job has it that this run had started
        assert runs.is_over()

    def test_a_process_has_one_run_at_a_time(self, tmp_path):
        for name in ("one", "other"):
            runs.begin(tmp_path / name)
        assert [len(list((tmp_path / name / "runs").iterdir())) for name in ("one", "other")] == [0, 1]

    def test_a_file_system_without_locks_is_left_alone(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError("no locks here")

        monkeypatch.setattr(runs.fcntl, "flock", refuse)
        (tmp_path / "locks").mkdir()
        runs.begin(tmp_path)
        assert "RETRIEVAL_HEADS_RUN" not in os.environ and (tmp_path / "locks").exists()
        assert list((tmp_path / "runs").iterdir()) == []
        monkeypatch.setenv("RETRIEVAL_HEADS_RUN", __file__)
        assert not runs.is_over()


class TestLock:
    """Snakemake's lock of a working directory, which a killed run leaves."""

    @pytest.fixture
    def locks(self, tmp_path):
        (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
        (tmp_path / ".snakemake" / "locks" / "0.output.lock").write_text("made\n")
        return tmp_path / ".snakemake" / "locks"

    def test_that_of_a_killed_run_is_taken_away(self, locks, run):
        kill(run)
        runs.begin(locks.parent)
        assert not locks.exists()
        assert [str(file) for file in (locks.parent / "runs").iterdir()] == [os.environ["RETRIEVAL_HEADS_RUN"]]

    def test_that_of_a_live_run_stays(self, locks, run, tmp_path):
        killed = python(BEGIN, tmp_path)
        killed.stdout.readline()
        kill(killed)
        runs.begin(locks.parent)
        assert locks.exists(), "one was killed, but another lives"
        killed.communicate()

    def test_one_that_may_be_that_of_another_machine_stays(self, locks, run):
        kill(run)
        (locks.parent / "runs" / "elsewhere.abc").write_text("process 1\n")
        runs.begin(locks.parent)
        assert locks.exists()

    def test_one_of_which_nothing_is_known_stays(self, locks):
        runs.begin(locks.parent)
        assert locks.exists()

    def test_a_run_that_is_just_beginning_is_alive(self, locks):
        (locks.parent / "runs").mkdir()
        (locks.parent / "runs" / f"{platform.node()}.abc").touch()
        runs.begin(locks.parent)
        assert locks.exists()


JOB = """
import sys, time
from types import SimpleNamespace
from retrieval_heads import job
from retrieval_heads.atomic_write import atomic_file
job._CHECK_RUN_EVERY_S, job._CLEAR_UP_WITHIN_S = 0.05, 0.2
rule = SimpleNamespace(rule="make", wildcards=[], log=["job.log"], output=["made"])
with job.job(rule), atomic_file("made") as made:
    print("begun", flush=True)
    while True:
        try:
            time.sleep(0.05)
        except SystemExit:
            if sys.argv[1:] != ["deaf"]:
                raise
"""


class TestJob:
    def begun(self, folder, run, deaf=False):
        code = f"import sys; sys.argv[1:] = {['deaf'] if deaf else []}\n{textwrap.dedent(JOB)}"
        job = python(code, folder, RETRIEVAL_HEADS_RUN=run.file)
        assert job.stdout.readline() == "begun\n"
        return job

    def test_it_ends_when_its_run_is_killed_and_clears_up(self, run, tmp_path):
        job = self.begun(tmp_path, run)
        kill(run)
        said = job.communicate(timeout=60)[1]
        assert job.returncode == 128 + signal.SIGTERM
        assert said == "make: the run that this job belongs to is over, so the job ends\n"
        assert "is over, so the job ends" in (tmp_path / "job.log").read_text()
        assert not list(tmp_path.glob("made*"))

    def test_it_ends_where_it_cannot_clear_up(self, run, tmp_path):
        job = self.begun(tmp_path, run, deaf=True)
        kill(run)
        job.communicate(timeout=60)
        assert job.returncode == 1
        assert not (tmp_path / "made").exists()

    def test_it_clears_up_when_it_is_terminated(self, run, tmp_path):
        job = self.begun(tmp_path, run)
        job.terminate()
        assert job.communicate(timeout=60)[1] == ""
        assert job.returncode == 128 + signal.SIGTERM
        assert not list(tmp_path.glob("made*"))


class TestAsItBegan:
    def test_a_job_is_told_what_its_run_began_with(self):
        assert runs.as_it_began("results/one", lambda: {"haystack": "1"}, in_job=False) == {"haystack": "1"}
        assert runs.as_it_began("results/one", lambda: {"haystack": "2"}, in_job=True) == {"haystack": "1"}

    def test_another_run_finds_it_out_anew(self):
        runs.as_it_began("results/one", lambda: {"haystack": "1"}, in_job=False)
        assert runs.as_it_began("results/one", lambda: {"haystack": "2"}, in_job=False) == {"haystack": "2"}

    def test_a_job_that_is_not_told_finds_it_out(self):
        assert runs.as_it_began("results/one", lambda: {"haystack": "2"}, in_job=True) == {"haystack": "2"}

    def test_studies_of_one_run_are_kept_apart(self):
        for study, content in (("results/one", "1"), ("results/other", "2")):
            runs.as_it_began(study, lambda content=content: {"haystack": content}, in_job=False)
        assert runs.as_it_began("results/one", dict, in_job=True) == {"haystack": "1"}


TARGET = "results/tiny/documents.parquet"
BEGIN_WORK = "with job(snakemake), unchanged_files(snakemake):\n"
SLEEP = f"""{BEGIN_WORK}    import os, time
    from pathlib import Path
    if not Path("go-on").exists():
        Path("begun").write_text(str(os.getpid()))
        time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda by: by.name)
def test_jobs_end_with_a_workflow_that_alone_is_signalled_and_one_command_goes_on(project, by):
    project.change("workflow/scripts/write_documents.py", BEGIN_WORK, SLEEP)
    command = [TARGET, "--cores", "1", *TINY]
    workflow = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *command],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # What is started in the background ignores an interrupt, and is to be interrupted all the same.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    begun = project.path("begun")
    until(lambda: begun.exists() and begun.read_text())
    job = psutil.Process(int(begun.read_text()))
    workflow.send_signal(by)
    _, alive = psutil.wait_procs([job], timeout=20)
    assert not alive
    assert workflow.wait(60) != 0
    assert not project.path(TARGET).exists()
    assert not list(project.path("results").rglob("*.partial"))
    project.path("go-on").touch()
    project.snakemake(*command)
    assert project.path(TARGET).exists()

"""Jobs end with the run that they belong to, however it ends, and write nothing after it."""

import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

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
    runs._claims.clear()


def python(code, folder, **environment):
    """A program of its own that can import the package."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(WORKFLOW), **environment},
        stdin=subprocess.PIPE,
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
    # Not by its status: a process is a zombie as soon as its first thread has ended, and its locks go with the last.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


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
        runs.begin(tmp_path)
        assert "RETRIEVAL_HEADS_RUN" not in os.environ
        assert list((tmp_path / "runs").iterdir()) == []
        monkeypatch.setenv("RETRIEVAL_HEADS_RUN", __file__)
        assert not runs.is_over()


class TestBegin:
    """What a run that begins finds of those before it."""

    def test_one_that_was_killed_is_over_and_one_that_lives_goes_on(self, run, tmp_path):
        killed = python(BEGIN, tmp_path)
        over = Path(killed.stdout.readline().strip())
        kill(killed)
        assert over.exists()
        runs.begin(tmp_path / ".snakemake")
        assert not over.exists() and Path(run.file).exists()
        killed.communicate()

    def test_of_another_machine_only_the_file_tells(self, tmp_path, monkeypatch):
        elsewhere = tmp_path / ".snakemake" / "runs" / "elsewhere.abc"
        elsewhere.parent.mkdir(parents=True)
        elsewhere.write_text("process 1\n")
        runs.begin(tmp_path / ".snakemake")
        assert elsewhere.exists(), "it may live"
        runs.end()
        monkeypatch.setenv("RETRIEVAL_HEADS_RUN", str(elsewhere))
        assert not runs.is_over()
        elsewhere.unlink()  # as that machine does when it ends, or the next run there
        assert runs.is_over()

    def test_it_waits_for_a_job_that_puts_its_output_in_place(self, run, tmp_path, monkeypatch):
        job = python(PUBLISH, tmp_path, RETRIEVAL_HEADS_RUN=run.file)
        assert job.stdout.readline() == "publishing\n"
        kill(run)
        begun = python(BEGIN, tmp_path)
        time.sleep(0.5)
        assert begun.poll() is None and Path(run.file).exists()
        job.stdin.write("go on\n")
        assert job.communicate()[1] == ""
        begun.stdout.readline()
        assert not Path(run.file).exists() and (tmp_path / "made").exists()
        kill(begun)
        begun.communicate()

    def test_it_is_refused_while_such_a_job_is_stopped(self, run, tmp_path, monkeypatch):
        monkeypatch.setattr(runs, "_PUBLISH_WITHIN_S", 0.2)
        job = python(PUBLISH, tmp_path, RETRIEVAL_HEADS_RUN=run.file)
        assert job.stdout.readline() == "publishing\n"
        kill(run)
        job.send_signal(signal.SIGSTOP)
        with pytest.raises(StudyError, match=r"runs\.lock: a job of another run was stopped .*; continue or end it\.$"):
            runs.begin(tmp_path / ".snakemake")
        job.kill()
        job.communicate()
        runs.begin(tmp_path / ".snakemake")


PUBLISH = """
from pathlib import Path
from retrieval_heads import runs
with runs.publishing(Path("made")):
    print("publishing", flush=True)
    input()
    Path("made").touch()
"""


class TestOnANode:
    """On a cluster, a job's own Snakemake runs on its node, and belongs to the run that sent it there."""

    @pytest.fixture
    def node(self, run, tmp_path):
        code = f"{BEGIN.replace('begin()', 'begin(of_job=True)')}"
        process = python(code, tmp_path, RETRIEVAL_HEADS_RUN=run.file)
        process.files = process.stdout.readline().strip()
        yield process
        process.kill()
        process.communicate()

    @pytest.mark.parametrize("ends", ["run", "node"])
    def test_a_job_is_over_with_either(self, run, node, ends, monkeypatch):
        monkeypatch.setenv("RETRIEVAL_HEADS_RUN", node.files)
        assert not runs.is_over()
        kill({"run": run, "node": node}[ends])
        assert runs.is_over()

    def test_its_snakemake_ends_with_the_run(self, run, node):
        kill(run)
        assert node.wait(20) == 1

    def test_a_job_ends_its_snakemake_where_that_has_not_noticed_and_would_remove_its_output(self, run, node, tmp_path):
        job = TestJob().begun(tmp_path, node.files)
        node.send_signal(signal.SIGSTOP)
        kill(run)
        job.communicate(timeout=60)
        assert job.returncode == 128 + signal.SIGTERM
        assert node.wait(20) == -signal.SIGKILL

    def test_one_that_begins_late_makes_nothing(self, run, tmp_path, monkeypatch):
        monkeypatch.setenv("RETRIEVAL_HEADS_RUN", run.file)
        kill(run)
        with pytest.raises(StudyError, match=r"the run that sent this job is over, so nothing is made\.$"):
            runs.begin(tmp_path / ".snakemake", of_job=True)


CLAIM = """
import time
from pathlib import Path
from retrieval_heads import runs
runs.claim(Path("claims/tiny"), "results/tiny")
print("claimed", flush=True)
"""


class TestClaim:
    @pytest.fixture
    def other(self, tmp_path):
        process = python(f"{CLAIM}time.sleep(600)", tmp_path)
        assert process.stdout.readline() == "claimed\n"
        yield process
        process.kill()
        process.communicate()

    def claimed(self, tmp_path):
        said = python(CLAIM, tmp_path).communicate(timeout=60)
        return said == ("claimed\n", ""), said[1].strip().splitlines()[-1:]

    def test_two_runs_do_not_make_the_same(self, other, tmp_path):
        claimed, said = self.claimed(tmp_path)
        assert not claimed
        assert said == [
            f"retrieval_heads.errors.StudyError: results/tiny: another run makes this, process {other.pid} on "
            f"{platform.node()}, in {tmp_path}; wait for its end, or end it."
        ]

    @pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
    def test_a_claim_ends_with_its_run_however_that_ends(self, other, tmp_path, by):
        other.send_signal(by)
        other.wait()
        assert self.claimed(tmp_path) == (True, [])

    def test_a_run_that_ends_in_order_clears_it(self, tmp_path):
        assert self.claimed(tmp_path)[0]
        assert (tmp_path / "claims" / "tiny").read_text() == ""

    def test_one_run_may_claim_the_same_twice(self, tmp_path):
        for _ in range(2):
            runs.claim(tmp_path / "tiny", "results/tiny")

    def test_that_of_another_machine_holds_until_somebody_says_that_it_is_over(self, tmp_path):
        claim = tmp_path / "claims" / "tiny"
        claim.parent.mkdir()
        claim.write_text("process 1 on elsewhere, in /home/me\n")
        claimed, (said,) = self.claimed(tmp_path)
        assert not claimed
        assert said.endswith(
            "results/tiny: a run that makes this did not end in order, process 1 on elsewhere, in /home/me; "
            "make sure that it is over, and delete claims/tiny."
        )
        claim.unlink()
        assert self.claimed(tmp_path)[0]

    def test_that_of_a_path_which_is_no_text_is_told_too(self, tmp_path):
        claim = tmp_path / "claims" / "tiny"
        claim.parent.mkdir()
        claim.write_bytes("process 1 on elsewhere, in /home/Köln\n".encode("latin-1"))
        claimed, (said,) = self.claimed(tmp_path)
        assert not claimed and "did not end in order" in said and "K\\xf6ln" in said

    def test_without_locks_what_stands_in_it_decides(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError("no locks here")

        monkeypatch.setattr(runs.fcntl, "flock", refuse)
        runs.claim(tmp_path / "tiny", "results/tiny")
        runs._claims.clear()
        with pytest.raises(StudyError, match=rf"did not end in order, process {os.getpid()} on .*; make sure"):
            runs.claim(tmp_path / "tiny", "results/tiny")


JOB = """
import sys, time
from types import SimpleNamespace
from retrieval_heads import job
from retrieval_heads.atomic_write import atomic_file
job._CHECK_RUN_EVERY_S, job._CLEAR_UP_WITHIN_S = 0.05, 0.2
rule = SimpleNamespace(
    rule="make", wildcards={}, input=[], output=["made"], params={}, log=["job.log"],
    config={"results": ".", "study": "tiny"},
)
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
    def begun(self, folder, files, deaf=False):
        code = f"import sys; sys.argv[1:] = {['deaf'] if deaf else []}\n{textwrap.dedent(JOB)}"
        job = python(code, folder, RETRIEVAL_HEADS_RUN=files)
        assert job.stdout.readline() == "begun\n"
        return job

    def test_it_ends_when_its_run_is_killed_and_clears_up(self, run, tmp_path):
        job = self.begun(tmp_path, run.file)
        kill(run)
        said = job.communicate(timeout=60)[1]
        assert job.returncode == 128 + signal.SIGTERM
        assert said == "make: the run that this job belongs to is over, so the job ends\n"
        assert "is over, so the job ends" in (tmp_path / "job.log").read_text()
        assert not list(tmp_path.glob("made*"))

    def test_it_ends_where_it_cannot_clear_up(self, run, tmp_path):
        job = self.begun(tmp_path, run.file, deaf=True)
        kill(run)
        job.communicate(timeout=60)
        assert job.returncode == 1
        assert not (tmp_path / "made").exists()

    def test_it_clears_up_when_it_is_terminated(self, run, tmp_path):
        job = self.begun(tmp_path, run.file)
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

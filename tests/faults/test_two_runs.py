"""What happens to a run that is not alone: another one of the same study, of the same folder, or one before it."""

import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

from projects import TINY, Project

pytestmark = pytest.mark.slow

TARGET = "results/tiny/documents.parquet"
# A job that waits until it is told to go on, before it begins its work.
WAIT = """
    import os, time
    from pathlib import Path
    Path("begun").write_text(str(os.getpid()))
    while not Path("go-on").exists():
        time.sleep(0.1)
"""


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.05)


def begin(project, *arguments):
    """Begin a run of Snakemake, and do not wait for it."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", *TINY, *arguments],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # What is started in the background ignores an interrupt, and is to be interrupted all the same.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )


@pytest.fixture
def waiting(project):
    """A run whose only job is under way and waits."""
    script = project.path("workflow", "scripts", "write_documents.py")
    before, begin_work, work = re.split(r"(^with job\(.*:\n)", script.read_text(), flags=re.MULTILINE)
    script.write_text(before + begin_work + WAIT + work)
    project.run = begin(project, "--", TARGET)
    begun = project.path("begun")
    until(lambda: begun.exists() and begun.read_text())
    project.job = psutil.Process(int(begun.read_text()))
    yield project
    for process in (project.run, project.job):
        if process.poll() is None if isinstance(process, subprocess.Popen) else process.is_running():
            process.kill()
    project.run.communicate()


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda by: by.name)
def test_jobs_end_with_a_workflow_that_alone_is_signalled_and_one_command_goes_on(waiting, by):
    waiting.run.send_signal(by)
    _, alive = psutil.wait_procs([waiting.job], timeout=20)
    assert not alive
    assert waiting.run.wait(60) != 0
    assert not waiting.path(TARGET).exists()
    assert not list(waiting.path("results").rglob("*.partial"))
    waiting.path("go-on").touch()
    waiting.snakemake("--cores", "1", *TINY, "--", TARGET)
    assert waiting.path(TARGET).exists()


def test_a_job_that_was_stopped_writes_nothing_once_a_new_run_has_begun(waiting):
    waiting.job.send_signal(signal.SIGSTOP)
    waiting.run.kill()
    waiting.run.wait()
    waiting.path("go-on").touch()
    waiting.snakemake("--cores", "1", *TINY, "--", TARGET)
    made = waiting.path(TARGET).stat()
    waiting.job.send_signal(signal.SIGCONT)
    _, alive = psutil.wait_procs([waiting.job], timeout=20)
    assert not alive
    now = waiting.path(TARGET).stat()
    assert (now.st_ino, now.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert not list(waiting.path("results").rglob("*.partial"))


def test_of_two_runs_of_one_study_the_second_is_refused_by_one_sentence(waiting):
    said = waiting.snakemake("--cores", "1", *TINY, "--", TARGET, succeed=False)
    (sentence,) = [line for line in said.splitlines() if "another run" in line]
    assert sentence.startswith("results/tiny: another run makes this, process ")
    assert sentence.endswith(f"in {waiting.folder}; wait for its end, or end it.")
    assert "unlock" not in said and "Traceback" not in said
    assert "write_documents" in waiting.plan(*TINY), "what makes nothing is not refused"
    waiting.path("go-on").touch()
    waiting.run.communicate(timeout=120)
    assert waiting.run.returncode == 0


def test_a_run_from_another_folder_does_not_make_the_same_study(waiting, tmp_path, planted_folder):
    other = Project.new(tmp_path / "other", planted_folder)
    results = waiting.path("results")
    asked = ["--config", f"results={results}", "--until", "write_documents"]
    said = other.snakemake("--cores", "1", *TINY, *asked, succeed=False)
    assert f"{results}/tiny: another run makes this, process " in said and f"in {waiting.folder};" in said


def test_two_studies_at_once_in_one_folder_get_what_each_gets_alone(project, tmp_path, planted_folder):
    def of(study, seed):
        return ["--config", f"study={study}", f"seed={seed}", "--until", "build_prompts"]

    studies = {"tiny": 1, "other": 2}
    both = [begin(project, *of(study, seed)) for study, seed in studies.items()]
    said = [run.communicate(timeout=300)[0] for run in both]
    assert [run.returncode for run in both] == [0, 0], said
    made = {}
    for study, seed in studies.items():
        alone = Project.new(tmp_path / study, planted_folder)
        alone.snakemake("--cores", "1", *TINY, *of(study, seed))
        made[study] = {
            path.relative_to(alone.folder): path.read_bytes()
            for path in alone.path("results", study).rglob("*.parquet")
        }
        assert len(made[study]) == 3
        for path, content in made[study].items():
            assert project.path(path).read_bytes() == content
    assert len(list(project.path("results").rglob("*.parquet"))) == 6


MODEL = f"""from retrieval_heads.job import job
with job(snakemake):
{WAIT}
    Path(snakemake.output[0]).mkdir()
"""


def preparing(folder, planted_folder):
    """A copy of the project whose study prepares its model."""
    made = Project.new(folder, planted_folder)
    made.change("config/tiny.yaml", "path: .cache/planted-model", "gguf: small.gguf")
    made.path("workflow", "scripts", "prepare_model.py").write_text(MODEL)
    made.path("small.gguf").write_text("GGUF one")
    return made


def test_two_studies_do_not_prepare_one_model_at_once(tmp_path, planted_folder):
    shared = ["--config", f"results={tmp_path / 'results'}"]
    first, second = (preparing(tmp_path / name, planted_folder) for name in ("one", "two"))
    run = begin(first, *shared, "--until", "prepare_model")
    until(first.path("begun").exists)
    other = [*shared, "study=other", "--cores", "1", *TINY, "--until", "prepare_model"]
    said = second.snakemake(*other, succeed=False)
    assert f"{tmp_path / 'results' / 'models' / 'planted-'}" in said and "another run makes this" in said
    first.path("go-on").touch()
    assert run.wait(120) == 0
    second.snakemake(*other)
    assert not second.path("begun").exists(), "the model is there"


def test_two_studies_do_not_prepare_one_model_anew_at_once(tmp_path, planted_folder):
    project = preparing(tmp_path, planted_folder)
    project.path("go-on").touch()
    project.snakemake("--cores", "1", *TINY, "--until", "prepare_model")
    project.path("go-on").unlink()
    project.path("begun").unlink()
    project.path("workflow", "scripts", "prepare_model.py").write_text(f"{MODEL}    made = 'otherwise'\n")
    # The first study has begun, and works on something else yet.
    project.path("workflow", "scripts", "write_documents.py").write_text(MODEL)
    before = ["--prioritize", "results/tiny/documents.parquet"]
    run = begin(project, *before, "--until", "prepare_model", "write_documents")
    until(project.path("begun").exists)
    assert list(project.path("results", "models").glob("planted-*")), "it is there, and stale"
    other = ["--config", "study=other", "--cores", "1", *TINY, "--until", "prepare_model"]
    said = project.snakemake(*other, succeed=False)
    assert "results/models/planted-" in said and "another run makes this" in said
    run.kill()
    run.communicate()

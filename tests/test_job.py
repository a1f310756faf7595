import logging
import multiprocessing
import os
import platform
import re
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from snakemake.iocontainers import Wildcards

from hostile_text import COMMANDS
from retrieval_heads import job as job_module
from retrieval_heads.errors import StudyError
from retrieval_heads.job import finished_units, job, killed_jobs, progress, report_share
from retrieval_heads.logs import record
from retrieval_heads.plain_text import printable

MAKES = r"=== makes \[.*\]\n"
ENDED = r"=== ended \S+, after [\d.]+ s, exit "
HINT = "out of memory: lower compute.cache_tokens and compute.batch_tokens in the config"


@pytest.fixture(autouse=True)
def own_logging():
    """A job sets up logging for its whole process; put back what was there."""
    root, log = logging.getLogger(), job_module.log
    before = root.handlers[:], root.level, log.handlers[:], log.level, warnings.showwarning
    factory = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(factory)
    for handler in {*root.handlers, *log.handlers} - {*before[0], *before[2]}:
        handler.close()
    logging.captureWarnings(False)
    root.handlers[:], root.level, log.handlers[:], log.level, warnings.showwarning = before


@pytest.fixture
def rule(tmp_path):
    made = [tmp_path / "tiny" / "scores" / name for name in ("one, two.parquet", "three.parquet")]
    made[0].parent.mkdir(parents=True)
    for file in made:
        file.write_bytes(b"rows")
    return SimpleNamespace(
        rule="score_heads",
        wildcards=Wildcards(fromdict={"model": "small", "length": 512}),
        input=[],
        output=[str(file) for file in made],
        params={},
        log=[str(tmp_path / "logs" / "score_heads" / "small.log")],
        config={"results": str(tmp_path), "study": "tiny"},
        folder=tmp_path / "logs",
    )


def log_of(rule):
    logging.shutdown([lambda handler=handler: handler for handler in logging.getLogger().handlers])
    with open(rule.log[0]) as file:  # noqa: PTH123
        return file.read()


def run(rule, work):
    """Run a job; its exit code, 0 when it ends well."""
    try:
        with job(rule):
            work()
    except SystemExit as end:
        return end.code
    return 0


def fail(error):
    raise error


class TestLog:
    def test_it_goes_to_the_file_and_the_screen(self, rule, capsys):
        assert run(rule, lambda: job_module.log.info("read %d prompts", 7)) == 0
        assert " INFO retrieval_heads: read 7 prompts\n" in log_of(rule)
        assert capsys.readouterr().err == "score_heads small 512: read 7 prompts\n"

    def test_what_it_quotes_commands_no_terminal(self, rule, capsys):
        assert run(rule, lambda: job_module.log.warning("%s: no such file", COMMANDS)) == 0
        for said in (log_of(rule), capsys.readouterr().err):
            assert printable(COMMANDS) in said and all(line.isprintable() for line in said.splitlines())

    def test_what_it_quotes_is_not_taken_for_what_it_tells_of_the_job(self, rule):
        told = "=== ended 2026-01-01T00:00:00+00:00, after 1.0 s, exit 0"
        assert run(rule, lambda: fail(ValueError(f"a name of two lines\n{told}"))) == 1
        assert f"\n {told}\n" in log_of(rule) and f"\n{told}" not in log_of(rule)
        assert record(rule.log[0]) is None

    def test_libraries_that_show_their_own_log_command_no_terminal(self, rule, capsys):
        elsewhere = logging.getLogger("elsewhere")
        elsewhere.addHandler(shown := logging.StreamHandler(sys.stderr))
        try:
            assert run(rule, lambda: elsewhere.warning("a tokenizer of class %s", COMMANDS)) == 0
        finally:
            elsewhere.removeHandler(shown)
        assert capsys.readouterr().err == f"a tokenizer of class {printable(COMMANDS)}\n"

    def test_other_libraries_and_warnings_go_to_the_file_alone(self, rule, capsys):
        def work():
            logging.getLogger("elsewhere").warning("something odd")
            logging.getLogger("elsewhere").info("nothing odd")
            warnings.warn("deprecated thing", stacklevel=1)

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            assert run(rule, work) == 0
        written = log_of(rule)
        assert "WARNING elsewhere: something odd" in written and "deprecated thing" in written
        assert "nothing odd" not in written
        assert capsys.readouterr().err == ""

    def test_a_new_run_begins_a_new_log(self, rule):
        run(rule, lambda: job_module.log.info("first"))
        run(rule, lambda: job_module.log.info("second"))
        assert "second" in log_of(rule) and "first" not in log_of(rule)
        assert "=== attempt 1," in log_of(rule)
        assert [file.name for file in Path(rule.log[0]).parent.iterdir()] == ["small.log"]

    @pytest.mark.parametrize(
        "end", [StudyError("no such file."), ZeroDivisionError("by nought"), KeyboardInterrupt()], ids=repr
    )
    def test_a_retry_keeps_what_the_attempts_before_said(self, rule, end):
        def work(said, error=None):
            job_module.log.info(said)
            if error is not None:
                raise error

        for said in ("first", "second"):
            with suppress(ZeroDivisionError, KeyboardInterrupt):
                run(rule, lambda said=said: work(said, end))
            Path(rule.log[0]).unlink()  # as Snakemake does before a retry
        run(rule, lambda: work("third"))
        written = log_of(rule)
        parts = re.split(r"^=== attempt (\d), .*\n", written, flags=re.MULTILINE)
        assert parts[:2] == ["", "1"] and parts[3::2] == ["2", "3"]
        for part, said in zip(parts[2::2], ("first", "second", "third"), strict=True):
            assert [word for word in ("first", "second", "third") if f": {word}\n" in part] == [said]
        run(rule, lambda: work("fourth"))
        assert "third" not in log_of(rule)

    def test_half_a_character_of_an_attempt_that_was_killed_stops_no_other(self, rule):
        attempts = Path(rule.log[0]).with_name("small.log.attempts")
        attempts.parent.mkdir(parents=True, exist_ok=True)
        attempts.write_bytes("=== attempt 1, process 1\nKöln".encode()[:-3])
        assert killed_jobs([rule.folder], 0) == [Path(rule.log[0])]
        assert run(rule, lambda: None) == 0
        assert "=== attempt 2," in log_of(rule)

    def test_the_log_of_an_attempt_that_was_killed_is_kept_and_the_next_one_says_so(self, rule, capsys):
        def killed():
            with job(rule):
                job_module.log.info("so far")
                os.kill(os.getpid(), signal.SIGKILL)

        process = multiprocessing.get_context("fork").Process(target=killed)
        process.start()
        process.join()
        began = Path(rule.log[0]).stat().st_mtime
        assert killed_jobs([rule.folder], began) == [Path(rule.log[0])]
        assert killed_jobs([rule.folder], began + 1) == []  # another run's
        Path(rule.log[0]).unlink()
        run(rule, lambda: job_module.log.info("done"))
        said = "the attempt before: it was killed, for it ended without a word; if nobody did that, memory was full: "
        assert f"score_heads small 512: {said}lower compute.cache_tokens" in capsys.readouterr().err
        first = rf"attempt 1,.*\n{MAKES}.*: so far\n"
        pattern = rf"{first}=== attempt 2,.*\n{MAKES}.*: {re.escape(said)}.*\n.*: done\n{ENDED}0\n$"
        assert re.search(pattern, log_of(rule))
        assert killed_jobs([rule.folder], 0) == []

    @pytest.mark.parametrize(
        "end", [StudyError("no such file."), ZeroDivisionError(), KeyboardInterrupt(), SystemExit(3)], ids=repr
    )
    def test_an_attempt_that_could_say_how_it_ended_was_not_killed(self, rule, capsys, end):
        with suppress(ZeroDivisionError, KeyboardInterrupt):
            run(rule, lambda: fail(end))
        assert killed_jobs([rule.folder], 0) == []
        run(rule, lambda: None)
        assert "killed" not in capsys.readouterr().err

    def test_a_log_outlives_what_snakemake_does_before_a_retry(self, tmp_path):
        rule = 'config |= {"results": ".", "study": "tiny"}\n'
        rule += 'rule make:\n    output: "made"\n    log: "logs/make.log"\n    script: "make.py"\n'
        (tmp_path / "Snakefile").write_text(rule)
        (tmp_path / "make.py").write_text(
            "from pathlib import Path\n"
            "from retrieval_heads.errors import StudyError\n"
            "from retrieval_heads.job import job, log\n"
            "with job(snakemake):\n"
            "    if not Path('tried').exists():\n"
            "        Path('tried').touch()\n"
            "        raise StudyError('once wrong.')\n"
            "    log.info('then right')\n"
            "    Path('made').touch()\n"
        )
        run = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", "--retries", "1"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(job_module.__file__).parents[1])},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        written = (tmp_path / "logs" / "make.log").read_text()
        assert re.search(
            rf"attempt 1,.*\n{MAKES}.*: once wrong\.\n{ENDED}1\n=== attempt 2,.*\n{MAKES}.*: then right\n{ENDED}0\n$",
            written,
        )
        assert [file.name for file in (tmp_path / "logs").iterdir()] == ["make.log"]


class TestRecord:
    def test_it_tells_where_and_when_a_job_made_what(self, rule, tmp_path):
        rule.output = [str(tmp_path / name) for name in ("one, two.parquet", "three.parquet")]
        before = datetime.now().astimezone().replace(microsecond=0)

        def work():
            job_module.log.info("=== attempt of a text to look like one")
            for path in rule.output:
                Path(path).touch()

        assert run(rule, work) == 0
        log_of(rule)
        told = record(rule.log[0])
        assert told.host == platform.node() and told.outputs == tuple(rule.output)
        begun, ended = datetime.fromisoformat(told.begun), datetime.fromisoformat(told.ended)
        assert before <= begun <= ended <= datetime.now().astimezone() and 0 <= told.seconds < 60

    def test_it_is_of_the_attempt_that_ended_well(self, rule, tmp_path):
        run(rule, lambda: fail(StudyError("once wrong.")))
        assert record(rule.log[0]) is None
        Path(rule.log[0]).unlink()
        rule.output = rule.output[1:]
        run(rule, lambda: None)
        assert record(rule.log[0]).outputs == tuple(rule.output)

    @pytest.mark.parametrize("told", [b"[", b"{}", b"[1]", b"\xff", b""])
    def test_a_log_that_is_damaged_tells_nothing(self, rule, told):
        run(rule, lambda: None)
        log = Path(rule.log[0])
        log.write_bytes(re.sub(rb"(?<=^=== makes ).*", lambda _: told, log.read_bytes(), flags=re.MULTILINE))
        assert record(log) is None

    @pytest.mark.parametrize(
        ("end", "code"),
        [
            (None, 0),
            (StudyError("no such file."), 1),
            (ZeroDivisionError("by nought"), 1),
            (SystemExit(3), 3),
            (KeyboardInterrupt(), 130),
        ],
        ids=repr,
    )
    def test_the_log_tells_how_a_job_ended(self, rule, end, code):
        with suppress(ZeroDivisionError, KeyboardInterrupt):
            run(rule, lambda: None if end is None else fail(end))
        assert re.search(rf"{ENDED}{code}\n$", log_of(rule))


class TestFailure:
    def test_a_study_error_is_one_sentence_and_code_1(self, rule, capsys):
        assert run(rule, lambda: fail(StudyError("prompts.haystack: 100% wrong; add prose."))) == 1
        assert capsys.readouterr().err == "score_heads small 512: prompts.haystack: 100% wrong; add prose.\n"
        written = log_of(rule)
        assert "ERROR retrieval_heads: prompts.haystack: 100% wrong; add prose." in written
        assert "Traceback" not in written

    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
            RuntimeError("MPS backend out of memory (MPS allocated: 8 GB)"),
            RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
            MemoryError(),
            np._core._exceptions._ArrayMemoryError((2**20, 2**20), np.dtype(float)),
        ],
        ids=["cuda", "mps", "cpu", "python", "numpy"],
    )
    def test_out_of_memory_says_what_to_lower(self, rule, capsys, error):
        assert run(rule, lambda: fail(error)) == 1
        shown = capsys.readouterr().err
        assert shown.startswith(f"score_heads small 512: {HINT}") and shown.count("\n") == 1
        assert "Traceback" in log_of(rule) and HINT in log_of(rule)

    def test_other_errors_are_told_with_where_they_come_from(self, rule, capsys):
        assert run(rule, lambda: fail(ZeroDivisionError("by nought"))) == 1
        for said in (log_of(rule), capsys.readouterr().err):
            assert "Traceback" in said and "ZeroDivisionError: by nought" in said
            assert HINT not in said

    @pytest.mark.parametrize("kind", [ZeroDivisionError, StudyError, OSError])
    def test_what_an_error_quotes_commands_no_terminal(self, rule, capsys, kind):
        assert run(rule, lambda: fail(kind(COMMANDS))) == 1
        for said in (log_of(rule), capsys.readouterr().err):
            assert printable(COMMANDS) in said and all(line.isprintable() for line in said.splitlines())

    def test_an_interruption_is_passed_on(self, rule):
        with pytest.raises(KeyboardInterrupt), job(rule):
            fail(KeyboardInterrupt())

    def test_an_exit_keeps_its_code(self, rule):
        assert run(rule, lambda: sys.exit(3)) == 3


class TestProgress:
    @pytest.fixture
    def clock(self, monkeypatch):
        now = SimpleNamespace(time=100.0)
        monkeypatch.setattr(job_module.time, "monotonic", lambda: now.time)
        return now

    @pytest.fixture
    def said(self, clock, caplog):
        caplog.set_level(logging.INFO, "retrieval_heads")
        return caplog

    def test_it_counts_what_is_done_and_estimates_the_rest(self, clock, said):
        with progress(8, "documents"):
            for _ in range(8):
                with finished_units(1):
                    clock.time += 4
        assert said.messages == [
            "8 documents",
            "3 of 8 documents, 12 s so far, about 20 s left",
            "6 of 8 documents, 24 s so far, about 8 s left",
            "8 of 8 documents, 32 s so far, about 0 s left",
        ]

    def test_a_batch_is_done_when_all_of_it_is(self, clock, said):
        with progress(12, "documents"):
            for batch, seconds in ((9, 90), (3, 30)):
                with finished_units(batch):
                    clock.time += seconds
        assert said.messages[1:] == [
            "9 of 12 documents, 90 s so far, about 30 s left",
            "12 of 12 documents, 120 s so far, about 0 s left",
        ]

    def test_within_a_long_batch_it_tells_how_far_that_is(self, clock, said):
        with progress(10, "documents"):
            with finished_units(5):
                for tenth in range(1, 11):
                    clock.time += 6
                    report_share(tenth / 10)
            with finished_units(5):
                clock.time += 6
                report_share(0.1)
        assert said.messages[1:-1] == [
            "0 of 10 documents, 12 s so far, about 108 s left",
            "0 of 10 documents, 24 s so far, about 96 s left",
            "0 of 10 documents, 36 s so far, about 84 s left",
            "0 of 10 documents, 48 s so far, about 72 s left",
            "0 of 10 documents, 60 s so far, about 60 s left",
        ]

    def test_what_failed_counts_for_nothing(self, clock, said):
        with progress(4, "documents"):
            with pytest.raises(MemoryError), finished_units(4):
                clock.time += 20
                report_share(0.5)
                raise MemoryError
            for _ in range(2):
                with finished_units(2):
                    clock.time += 20
        assert said.messages[1:] == [
            "0 of 4 documents, 20 s so far, about 20 s left",
            "2 of 4 documents, 40 s so far, about 40 s left",
            "4 of 4 documents, 60 s so far, about 0 s left",
        ]

    def test_quick_work_is_told_at_its_beginning_and_end(self, said):
        with progress(1000, "documents"):
            for _ in range(1000):
                with finished_units(1):
                    report_share(0.5)
        assert said.messages == ["1000 documents", "1000 of 1000 documents, 0 s so far, about 0 s left"]

    def test_work_that_nobody_watches_is_done_in_silence(self, clock, said):
        for _ in range(2):
            with finished_units(1):
                clock.time += 60
                report_share(0.5)
        assert said.messages == []

    def test_it_reaches_the_log_of_the_job(self, rule, capsys):
        def work():
            with progress(2, "prompts"), finished_units(2):
                pass

        assert run(rule, work) == 0
        assert "2 of 2 prompts" in log_of(rule)
        assert "score_heads small 512: 2 of 2 prompts" in capsys.readouterr().err

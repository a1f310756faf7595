"""What every job does around its work: a log, progress with an estimate, one clear sentence when it fails."""

import json
import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from retrieval_heads import making, manifests, runs
from retrieval_heads.errors import StudyError, disk_trouble, machine_trouble
from retrieval_heads.logs import ATTEMPT, ENDED, MAKES, Plain, PlainRecord, read_log, screen
from retrieval_heads.plain_text import printable

log = logging.getLogger("retrieval_heads")

_REPORT_EVERY_S = 10
KILLED = (
    "it was killed, for it ended without a word; if nobody did that, memory was full: lower compute.cache_tokens and "
    "compute.batch_tokens in the config, or give the job a larger machine."
)
"""What is said of an attempt that failed and could not say so."""
_CHECK_RUN_EVERY_S = 1
_CLEAR_UP_WITHIN_S = 5  # once the run is over


@contextmanager
def job(snakemake) -> Iterator[None]:
    """Run a script's work: log to the file that its rule declares; show progress, or why it failed, on screen.

    What it reads must be as it was made, and what it has made gets its manifests (:mod:`retrieval_heads.manifests`).

    A job ends with its run (:mod:`retrieval_heads.runs`), and on SIGTERM it clears up what it was writing.

    Before a job begins, Snakemake deletes the log of the attempt before. So attempts write a second file,
    ``{log}.attempts``, which the next one puts at the head of its log, and which is deleted when one ends well. Lines
    that begin with ``===`` tell where and when each began, what it makes, and how it ended.
    """
    begun = time.monotonic()
    label = " ".join([snakemake.rule, *map(str, snakemake.wildcards)])
    to_screen = screen(f"{label}: %(message)s")
    log_file = Path(snakemake.log[0])
    attempts = log_file.with_name(f"{log_file.name}.attempts")
    try:
        said_before = _begin_logs(log_file, attempts, list(snakemake.output))
        files = [_LogFile(file, encoding="utf-8") for file in (log_file, attempts)]
    except OSError as error:
        if (trouble := disk_trouble(error, log_file)) is None:
            raise
        print(printable(f"{label}: {trouble}"), file=sys.stderr)
        sys.exit(1)
    for file in files:
        file.setFormatter(Plain("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=files, force=True)
    logging.captureWarnings(True)
    logging.setLogRecordFactory(PlainRecord)
    log.setLevel(logging.INFO)
    log.addHandler(to_screen)
    if said_before and _was_killed(said_before):
        log.warning("the attempt before: %s", KILLED)
    try:
        with _ending_with_its_run(), making.by(snakemake):
            read = manifests.check_inputs(snakemake)
            yield
            manifests.write(snakemake, read)
    except StudyError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception as error:
        if (trouble := machine_trouble(error)) is None:
            log.exception("failed")
        else:
            logging.getLogger().exception("failed")
            log.error("%s", trouble)
        sys.exit(1)
    finally:
        _end_logs(log_file, attempts, time.monotonic() - begun)
    attempts.unlink(missing_ok=True)


@contextmanager
def _ending_with_its_run() -> Iterator[None]:
    """End this process when its run is over; by an exception in its main thread, so that work folders are removed."""
    done = threading.Event()

    def end_when_over() -> None:
        while not runs.is_over():
            if done.wait(_CHECK_RUN_EVERY_S):
                return
        log.error("the run that this job belongs to is over, so the job ends")
        runs.leave()
        os.kill(os.getpid(), signal.SIGTERM)
        if not done.wait(_CLEAR_UP_WITHIN_S):
            os._exit(1)

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    watch = threading.Thread(target=end_when_over, daemon=True)
    watch.start()
    try:
        yield
    finally:
        done.set()
        watch.join()
        signal.signal(signal.SIGTERM, before)


class _Progress:
    """How much of some work is done, and when that was last reported."""

    def __init__(self, total: int, what: str):
        self.total, self.what = total, what
        self.done, self.under_way, self.share_under_way = 0, 0, 0.0
        self.start = self.reported = time.monotonic()
        log.info("%d %s", total, what)

    def report(self) -> None:
        """Log it, unless that was done a moment ago."""
        now, done = time.monotonic(), self.done + self.share_under_way * self.under_way
        if done and (now - self.reported >= _REPORT_EVERY_S or self.done == self.total):
            self.reported = now
            left = (now - self.start) / done * (self.total - done)
            log.info(
                "%d of %d %s, %.0f s so far, about %.0f s left",
                self.done, self.total, self.what, now - self.start, left,
            )  # fmt: skip


_work: _Progress | None = None


@contextmanager
def progress(total: int, what: str) -> Iterator[None]:
    """Log every few seconds how much of some work is done, and how long the rest takes at the rate so far.

    Code inside says what is done, with :func:`finished_units` and :func:`report_share`, however deep it is called.

    Parameters
    ----------
    total : the units of work, such as documents, each of which takes about as long.
    what : they are.
    """
    global _work
    before, _work = _work, _Progress(total, what)
    try:
        yield
    finally:
        _work = before


@contextmanager
def finished_units(number: int) -> Iterator[None]:
    """Count so many units of work as done once this ends well."""
    if (work := _work) is None:
        yield
        return
    work.under_way, work.share_under_way = number, 0.0
    try:
        yield
        work.done += number
    finally:
        work.under_way = 0
    work.report()


def report_share(share: float) -> None:
    """Say what share is done of the units that are under way, from 0 to 1."""
    if _work is not None:
        _work.share_under_way = share
        _work.report()


class _LogFile(logging.FileHandler):
    """A log that says once, on the screen, that it cannot be written. The job goes on, as it is for its output."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # its name in the standard library
        """Say what is wrong, in place of a traceback for each line."""
        error = sys.exc_info()[1]
        if error is None or (trouble := disk_trouble(error, Path(self.baseFilename))) is None:
            super().handleError(record)
        elif not self._told:
            self._told = True
            print(printable(trouble), file=sys.stderr)


def killed_jobs(folders: Iterable[str | Path], since: float) -> list[Path]:
    """The logs of jobs whose latest attempt failed and could not say so, since something killed them.

    Parameters
    ----------
    folders : with logs, of which no job is running.
    since : when the run began, in seconds since 1970.
    """
    every = sorted(file for folder in folders for file in Path(folder).rglob("*.attempts"))
    recent = [file for file in every if file.stat().st_mtime >= since]
    return [file.with_suffix("") for file in recent if _was_killed(read_log(file))]


def _was_killed(said: str) -> bool:
    """Whether the last of the attempts that failed did not say how it ended."""
    return f"\n{ENDED}" not in said[said.rfind(ATTEMPT) :]


def _begin_logs(log_file: Path, attempts: Path, outputs: list[str]) -> str:
    """Start both logs with those of the attempts that failed before, which are returned, and with the lines that head
    this one."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    former = read_log(attempts) if attempts.exists() else ""
    number = 1 + sum(line.startswith(ATTEMPT) for line in former.splitlines())
    begun = f"{ATTEMPT}{number}, process {os.getpid()} on {platform.node()}, {_now()}\n"
    for file in (log_file, attempts):
        # A new file: a job whose run is over may still write into the former one.
        file.unlink(missing_ok=True)
        file.write_text(f"{former}{begun}{MAKES}{json.dumps(outputs)}\n", encoding="utf-8")
    return former


def _end_logs(log_file: Path, attempts: Path, seconds: float) -> None:
    """Say in both logs when and how this attempt ends, from the exception that is under way if there is one."""
    match sys.exc_info()[1]:
        case None:
            code = 0
        case SystemExit(code=int(code)):
            pass
        case KeyboardInterrupt():
            code = 128 + signal.SIGINT
        case _:
            code = 1
    for file in (log_file, attempts):
        # A disk that is full stops no job that has made its output.
        with suppress(OSError), file.open("a", encoding="utf-8") as opened:
            opened.write(f"{ENDED}{_now()}, after {seconds:.1f} s, exit {code}\n")


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")

"""What every job does around its work: a log, progress with an estimate, one clear sentence when it fails."""

import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval_heads import manifests, runs
from retrieval_heads.errors import StudyError, is_out_of_memory

log = logging.getLogger("retrieval_heads")

_REPORT_EVERY_S = 10
_ATTEMPT = "=== attempt "
_CHECK_RUN_EVERY_S = 1
_CLEAR_UP_WITHIN_S = 5  # once the run is over


@contextmanager
def job(snakemake) -> Iterator[None]:
    """Run a script's work: log to the file that its rule declares; show progress, or why it failed, on screen.

    What it reads must be as it was made, and what it has made gets its manifests (:mod:`retrieval_heads.manifests`).

    A job ends with its run (:mod:`retrieval_heads.runs`), and on SIGTERM it clears up what it was writing.

    Before a job begins, Snakemake deletes the log of the attempt before. So attempts write a second file,
    ``{log}.attempts``, which the next one puts at the head of its log, and which is deleted when one ends well.
    """
    log_file = Path(snakemake.log[0])
    attempts = log_file.with_name(f"{log_file.name}.attempts")
    _begin_logs(log_file, attempts)
    files = [logging.FileHandler(file, encoding="utf-8") for file in (log_file, attempts)]
    screen = logging.StreamHandler(sys.stderr)
    label = " ".join([snakemake.rule, *map(str, snakemake.wildcards)])
    screen.setFormatter(logging.Formatter(f"{label}: %(message)s"))
    for file in files:
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=files, force=True)
    logging.captureWarnings(True)
    log.setLevel(logging.INFO)
    log.addHandler(screen)
    try:
        with _ending_with_its_run():
            read = manifests.check_inputs(snakemake)
            yield
            manifests.write(snakemake, read)
    except StudyError as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception as error:
        logging.getLogger().exception("failed")
        if not is_out_of_memory(error):
            raise
        log.error(
            "out of memory: lower compute.cache_tokens and compute.batch_tokens in the config, "
            "or give the job a larger machine."
        )
        sys.exit(1)
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


def _begin_logs(log_file: Path, attempts: Path) -> None:
    """Start both logs with those of the attempts that failed before, and with a line that heads this one."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    former = attempts.read_text(encoding="utf-8") if attempts.exists() else ""
    number = 1 + sum(line.startswith(_ATTEMPT) for line in former.splitlines())
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    begun = f"{former}{_ATTEMPT}{number}, process {os.getpid()} on {platform.node()}, {now}\n"
    for file in (log_file, attempts):
        file.write_text(begun, encoding="utf-8")

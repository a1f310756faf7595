"""What every job does around its work: a log, progress with an estimate, one clear sentence when it fails."""

import gc
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval_heads.errors import StudyError

log = logging.getLogger("retrieval_heads")

_EVERY_S = 10


@contextmanager
def job(snakemake) -> Iterator[None]:
    """Run a script's work: log to the file that its rule declares; show progress, or why it failed, on screen."""
    file = logging.FileHandler(_made(snakemake.log[0]), mode="w", encoding="utf-8")
    screen = logging.StreamHandler(sys.stderr)
    label = " ".join([snakemake.rule, *map(str, snakemake.wildcards)])
    screen.setFormatter(logging.Formatter(f"{label}: %(message)s"))
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[file], force=True)
    logging.captureWarnings(True)
    log.setLevel(logging.INFO)
    log.addHandler(screen)
    # What is loaded by now stays: statsmodels would have it searched for garbage at each of many corrections.
    gc.freeze()
    try:
        yield
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


def shard(wildcards) -> tuple[int, int]:
    """Which shard a job is, counted from 0, and of how many: ``1-of-4`` is the first."""
    number, _, shards = wildcards.shard.partition("-of-")
    return int(number) - 1, int(shards)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the memory of the machine or of its GPU is used up."""
    signs = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in signs)


def progress(items: Iterable, total: int, what: str) -> Iterator:
    """Pass items through, and say every few seconds how many are done and how long the rest will take."""
    start = said = time.monotonic()
    log.info("%d %s", total, what)
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said >= _EVERY_S or done == total:
            said = now
            left = (now - start) / done * (total - done)
            log.info("%d of %d %s, %.0f s so far, about %.0f s left", done, total, what, now - start, left)


def _made(file: str) -> Path:
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

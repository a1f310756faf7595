"""How logs are written, and what that of a job tells of the job itself, in lines that begin with ``===``; :mod:`job`
writes them."""

import json
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from retrieval_heads.plain_text import printable_lines

ATTEMPT = "=== attempt "
"""Begins the first line of an attempt, which tells its number, its process, the machine and the time."""

MAKES = "=== makes "
"""Begins the second, which tells its outputs, as JSON."""

ENDED = "=== ended "
"""Begins its last, which tells the time, the seconds that it took and its exit status."""


@dataclass(frozen=True)
class Record:
    """What the log of a job that ended well tells of its last attempt.

    Parameters
    ----------
    host : the machine's name.
    begun, ended : in ISO 8601, with the distance to UTC.
    seconds : from the one to the other.
    outputs : what it made, by their paths in the folder from which Snakemake was started.
    """

    host: str
    begun: str
    ended: str
    seconds: float
    outputs: tuple[str, ...]


_RECORD = re.compile(
    rf"^{ATTEMPT}\d+, process \d+ on (?P<host>.*), (?P<begun>\S+)\n{MAKES}(?P<outputs>.*)\n(?:(?!{ATTEMPT}).*\n)*?"
    rf"{ENDED}(?P<ended>\S+), after (?P<seconds>[\d.]+) s, exit 0\n\Z",
    re.MULTILINE,
)


def read_log(log_file: str | Path) -> str:
    """The text of a log; a job that was killed, or a disk that was full, may have left half a character."""
    return Path(log_file).read_text(encoding="utf-8", errors="replace")


def record(log_file: str | Path) -> Record | None:
    """What a job's log tells of the attempt that ended well; None where none did, or where that cannot be read."""
    found = _RECORD.search(read_log(log_file))
    try:
        outputs = json.loads(found["outputs"]) if found else None
    except ValueError:
        outputs = None
    if not found or not isinstance(outputs, list) or not all(isinstance(output, str) for output in outputs):
        return None
    return Record(found["host"], found["begun"], found["ended"], float(found["seconds"]), tuple(outputs))


class Plain(logging.Formatter):
    """Writes lines of a log, of tracebacks too, in which what users, files and models say commands no terminal and is
    not taken for what a log tells of its job."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines."""
        return printable_lines(super().format(record)).replace("\n===", "\n ===")


class PlainRecord(logging.LogRecord):
    """The same of what any library says, which may show its log on the screen by itself."""

    def getMessage(self) -> str:  # noqa: N802  # its name in the standard library
        """The lines, without a traceback."""
        return printable_lines(super().getMessage())


def screen(form: str = "%(message)s") -> logging.Handler:
    """What shows a log on the screen in such lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Plain(form))
    return handler

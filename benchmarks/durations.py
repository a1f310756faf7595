"""A plugin of pytest that keeps how long each test took that passed, for mutation.py."""

import json
from pathlib import Path

import pytest

FILE = Path(".cache/mutation/durations.json")
_taken: dict[str, float] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add up the parts of a test."""
    if report.passed:
        _taken[report.nodeid] = _taken.get(report.nodeid, 0.0) + report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write them, where all reports come together."""
    if not hasattr(session.config, "workerinput"):
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(json.dumps(_taken), encoding="utf-8")

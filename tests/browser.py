"""A browser, where there is one, and what it makes of files."""

import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="needs a browser")


def dumped(file: Path) -> str:
    """A page, or a drawing, as a browser has it once all is loaded and its scripts have run."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [f"--user-data-dir={file.parent / 'profile'}", "--virtual-time-budget=10000", "--dump-dom"]
    run = subprocess.run([BROWSER, *options, file.as_uri()], capture_output=True, text=True, timeout=120)
    return run.stdout

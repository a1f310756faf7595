"""A browser, where there is one, and what it makes of files."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_BROWSER = pytest.mark.skipif(BROWSER is None, reason="needs a browser")

WATCH = """<script>
const seen = { refused: [], failed: [] };
document.addEventListener("securitypolicyviolation", (event) => seen.refused.push(event.blockedURI));
addEventListener("error", (event) => seen.failed.push(event.message));
</script>"""
"""Before all else in a page, has ``seen`` tell what the browser refuses to fetch, and what goes wrong."""


def dumped(file: Path, *options: str) -> str:
    """A page, or a drawing, as a browser has it once all is loaded and its scripts have run."""
    return _run(file, "--virtual-time-budget=10000", "--dump-dom", *options)


def titled(file: Path, *options: str) -> Any:
    """What the scripts of a page tell in its title, as JSON."""
    title = re.search(r"<title>(.*?)</title>", dumped(file, *options), flags=re.DOTALL)
    return json.loads(html.unescape(title[1]))


def photographed(file: Path, picture: Path, *options: str) -> None:
    """Write how a page, or a drawing, looks."""
    _run(file, f"--screenshot={picture}", *options)


def _run(file: Path, *options: str) -> str:
    """What a browser that opens a file prints."""
    always = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    always.append(f"--user-data-dir={file.parent / 'profile'}")
    command = [BROWSER, *always, *options, file.as_uri()]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

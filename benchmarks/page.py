"""How large the page of the findings is, by part, and how long a browser takes to open it.

Run from anywhere, with a browser on the machine: python benchmarks/page.py [PAGE ...], by default the default study's.

Each page is opened several times, each time in a browser that has just been started. Prints a table in Markdown; times
are medians, from the request of the page until its text can be read, until all is drawn for the first time, and until
scripts, map and figures are done.
"""

import html
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PAGES, RUNS = ["results/smollm2/findings.html"], 5
PARTS = {
    "figures": r'src="data:[^"]*"',
    "data of the map": r'<script type="application/json".*?</script>',
    "tables": r"<table.*?</table>",
    "scripts and style": r"<(script|style)(?! type=.application).*?</\1>",
}
WATCH = """<script>
addEventListener("load", () => {
  const { domInteractive, loadEventStart } = performance.getEntriesByType("navigation")[0];
  const painted = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? null;
  document.title = JSON.stringify([domInteractive, painted, loadEventStart]);
});
</script>"""
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def opened(page: Path) -> list[float | None]:
    """Seconds until the page can be read, is painted, and is done."""
    with tempfile.TemporaryDirectory() as folder:
        watched = Path(folder, "page.html")
        watched.write_text(page.read_text(encoding="utf-8").replace("<style>", f"{WATCH}<style>", 1), encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        options += [f"--user-data-dir={folder}/profile", "--window-size=1280,860", "--dump-dom"]
        command = [BROWSER, *options, watched.as_uri()]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    title = html.unescape(re.search(r"<title>(.*?)</title>", done.stdout, flags=re.DOTALL)[1])
    return [None if value is None else value / 1000 for value in json.loads(title)]


def main() -> None:
    """Print the table."""
    if BROWSER is None:
        sys.exit("No browser found: install Chromium, or Chrome.")
    print(f"| Page | MB | {' | '.join(f'of it {part}' for part in PARTS)} | read | drawn | done |")
    print("| --- |" + " ---: |" * (len(PARTS) + 4))
    for page in map(Path, sys.argv[1:] or PAGES):
        text = page.read_text(encoding="utf-8")
        sizes = [len(text), *(sum(len(m[0]) for m in re.finditer(p, text, flags=re.DOTALL)) for p in PARTS.values())]
        times = zip(*(opened(page) for _ in range(RUNS)), strict=True)
        seconds = [statistics.median(known) if (known := [t for t in each if t]) else None for each in times]
        cells = [f"{size / 1e6:.2f}" for size in sizes] + ["" if s is None else f"{s:.2f} s" for s in seconds]
        print(f"| {page} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

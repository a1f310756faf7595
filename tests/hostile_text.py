"""Text that does something where it is taken for more than text: attacks, and a browser that tells which succeed."""

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

COMMANDS = "\x1b[31mred\x1b]0;title\x07\rover\x08\x9b2J\u202eturned\u2066\u2028line\x00end"
"""Colours, a terminal's title, what goes back and clears, and what turns the direction of writing."""

ELSEWHERE = "http://127.0.0.1:{port}"
"""Where attacks would have a browser ask; nobody else is asked, so what is asked there was fetched."""

ATTACKS = {
    "script": "<script>hacked=1</script>",
    "end of a script": "</script><script>hacked=1</script>",
    "script within a comment": "<!--<script>",
    "handler": "<img src=x onerror=hacked=1>",
    "attribute": "\" onfocus=hacked=1 autofocus tabindex=0 x='\" onload='hacked=1' x='",
    "drawing": f"</svg><svg onload=hacked=1><image href={ELSEWHERE}/drawing />",
    "style": f"</style><style>@import url({ELSEWHERE}/style)</style>",
    "title": "</title></textarea></noscript><script>hacked=1</script>",
    "CDATA": "]]><script>hacked=1</script><![CDATA[>",
    "template": "{{ 7 * 7 }} {% raw %} ${7 * 7} <%= 7 %> {model} %s",
    "Vega": f'{{"$schema": "vega", "data": {{"url": "{ELSEWHERE}/vega"}}}}',
    "entities": "&lt;b&gt;bold&lt;/b&gt; &#36;1 &amp;amp;",
    "mathematics": r"$\frac{1}{ \(x\) \[y\] $$z_1$$",
    "link": f"[here](javascript:hacked=1) <javascript:hacked=1> [data](data:text/html,x) <{ELSEWHERE}/link>",
    "image": f"![see]({ELSEWHERE}/image) <img src={ELSEWHERE}/picture>",
    "heading": "# heading, *strong* __strong__ ~~gone~~ `code` | cell",
    "item": "1. item",
    "rule of reST": "`here <javascript:hacked=1>`_ |image| name_ **strong**",
}
"""Kind → text. Where one of them is taken for more than text, ``hacked`` is set, or something is fetched or missing."""

_WATCH = """<script>
const seen = { refused: [], failed: [] };
document.addEventListener("securitypolicyviolation", (event) => seen.refused.push(event.blockedURI));
addEventListener("error", (event) => seen.failed.push(event.message));
</script>"""

_TELL = """<script type="module">
const wait = (time) => new Promise((done) => setTimeout(done, time));
const all = (selector) => [...document.querySelectorAll(selector)];
await wait(700);
all("details").forEach((each) => { each.open = true; });
all(".cells").forEach((each) => each.dispatchEvent(new KeyboardEvent("keydown", { key: "Home", bubbles: true })));
all("[onfocus], [autofocus], input, select").forEach((each) => each.focus());
await wait(200);
seen.hacked = typeof hacked === "undefined" ? null : hacked;
const shown = document.body.cloneNode(true);
shown.querySelectorAll("script, style").forEach((each) => each.remove());
seen.text = shown.textContent;
seen.links = all("a[href], area[href], [src], [action], [data]")
  .map((each) => each.getAttribute("href") ?? each.getAttribute("src") ?? "other")
  .filter((address) => !/^(#|https:\\/\\/arxiv\\.org\\/abs\\/|data:image\\/svg\\+xml)/.test(address));
const told = document.createElement("pre");
told.id = "told";
told.textContent = JSON.stringify(seen);
document.body.replaceChildren(told);
</script>"""


@contextmanager
def listening() -> Iterator[tuple[dict[str, str], list[str]]]:
    """The attacks, with the address of a server of our own, and what that is asked for meanwhile."""
    asked: list[str] = []

    class Notes(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # its name in the standard library
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Notes) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            port = str(server.server_port)
            yield {kind: attack.replace("{port}", port) for kind, attack in ATTACKS.items()}, asked
        finally:
            server.shutdown()


def in_browser(page: str, folder: Path) -> dict:
    """What a page does in a browser, when its parts are opened, pointed at and gone to.

    Returns
    -------
    ``hacked``, None where no attack ran; ``text``, all that it says; ``refused`` and ``failed``, what the browser
    refused to fetch and what went wrong; ``links``, the addresses that are neither the page's own nor a paper's.
    """
    page = page.replace("<head>", f"<head>{_WATCH}", 1)
    assert _WATCH in page
    (folder / "page.html").write_text(page.rpartition("</body>")[0] + _TELL + "</body></html>", encoding="utf-8")
    found = re.search(r'<pre id="told">(.*?)</pre>', dumped(folder / "page.html"), re.DOTALL)
    assert found, "the page's own scripts did not run to their end"
    return json.loads(html.unescape(found[1]))


def dumped(file: Path) -> str:
    """A file as a browser has it once all is loaded."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [f"--user-data-dir={file.parent / 'profile'}", "--virtual-time-budget=10000", "--dump-dom"]
    run = subprocess.run([BROWSER, *options, file.as_uri()], capture_output=True, text=True, timeout=120)
    return run.stdout


def squeezed(text: str) -> str:
    """A text with one space for whatever space it has."""
    return " ".join(text.split())

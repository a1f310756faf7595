"""Text that does something where it is taken for more than text: attacks, and a browser that tells which succeed."""

import copy
import html
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from browser import WATCH, dumped
from dotted import put
from retrieval_heads.errors import StudyError
from retrieval_heads.study.config import complete
from retrieval_heads.study.forms import schema

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

_TELL = """<script type="module">
const wait = (time) => new Promise((done) => setTimeout(done, time));
const all = (selector) => [...document.querySelectorAll(selector)];
await wait(700);
all("details").forEach((each) => { each.open = true; });
all(".cells").forEach((each) => each.dispatchEvent(new KeyboardEvent("keydown", { key: "Home", bubbles: true })));
all("[onfocus], [autofocus], input, select").forEach((each) => each.focus());
all("select").forEach((each) => {
  each.selectedIndex = each.options.length - 1;
  each.dispatchEvent(new Event("change"));
});
all("button").forEach((each) => each.click());
MORE
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


_RUN: dict[str, Any] = {
    "study": "hostile",
    "models": {"small": {"source": {"hub": "a/b", "revision": "c"}}},
    "documents": {"source": "file", "file": "table.csv", "answers": {}, "passages": {}, "twins": {}},
    "questions": {
        "inc_state": {"text": "Where?", "type": "state", "category": "places"},
        "inc_year": {"text": "When?", "type": "year", "category": "numbers"},
        "hq_state": {"text": "Where else?", "type": "state", "category": "places"},
    },
    "prompts": {
        "context_lengths": [512],
        "variants": {"plain": {}, "terse": {"text": {}, "answer_prefix": {}}},
    },
    "methods": {"wu24": {}, "qrhead": {}, "again": {"method": "qrhead", "label": "Again", "outlier_sd": 3}},
    "ablation": {
        "levels": [5],
        "interventions": {"everywhere": {}, "reading": {"scope": "suffix"}},
    },
    "yardstick": {},
    "controls": {"transfer": {}, "specificity": {}, "looks": {}},
    "imports": {"theirs": {"file": "list.json", "model": "small"}},
    "analysis": {"resamples": 200},
}
_PUBLISHED: dict[str, Any] = {
    "study": "hostile",
    "published": {"folder": "theirs"},
    "models": {"small": {}},
    "methods": {"wu24": {}},
    "questions": {"inc_state": {"text": "Where?", "type": "state"}},
    "prompts": {"context_lengths": [512]},
}


def _from(source: dict, documents: dict) -> dict[str, Any]:
    models, variants = {"small": {"source": source}}, {"plain": {}, "terse": {"answer_prefix": ""}}
    prompts = {**_RUN["prompts"], "variants": variants}
    return {**_RUN, "models": models, "documents": documents, "prompts": prompts, "imports": {}}


CONFIGS = (
    _RUN,
    _from({"gguf": "model.gguf"}, {"source": "generator", "train": 8, "test": 8}),
    _from({"package": "a", "file": "b"}, {"source": "edgar_corpus", "sections": "a", "ground_truth": "b.csv"}),
    _from({"path": "model"}, {"source": "generator", "train": 8, "test": 8}),
    _PUBLISHED,
)
"""Studies of every kind, with every section, and with every source of models and of documents."""


def keys_of_text(rules: dict, config: dict, path: tuple = (), but: str = "") -> Iterator[tuple[str | int, ...]]:
    """The keys of a config that take text, from its schema; 0 is an item of a list.

    Where a config has names of its own, it is the last one there is; elsewhere such names are those of questions.

    Parameters
    ----------
    but : a format of the schema whose keys are left out.
    """
    kinds, forms = rules.get("type", ()), rules.get("oneOf", ())
    if "string" in ([kinds] if isinstance(kinds, str) else kinds) and not {"enum"} & {*rules}:
        yield from [path] if not but or rules.get("format") != but else ()
    name = next(reversed(found), "inc_state") if isinstance(found := _at(config, path), dict) else "inc_state"
    inside = [((key,), rule) for key, rule in rules.get("properties", {}).items()]
    inside += [((name,), rule) for rule in rules.get("patternProperties", {}).values()]
    inside += [((name,), rules.get("additionalProperties")), ((0,), rules.get("items")), *(((), one) for one in forms)]
    for key, rule in inside:
        if isinstance(rule, dict):
            yield from keys_of_text(rule, config, path + key, but)


def _at(config: Any, path: tuple) -> Any:
    for key in path:
        config = config.get(key) if isinstance(config, dict) else None
    return config


def with_text(config: dict, path: tuple, text: str) -> dict:
    """A copy of a config with a text at a key, in a list of its own where its place is one of a list."""
    made = copy.deepcopy(config)
    *within, last = path
    if isinstance(_at(made, path), dict):
        raise TypeError("a section is no text")
    put(made, within if last == 0 else path, [text] if last == 0 else text)
    return made


def hostile_config(config: dict, attacks: Mapping[str, str], but: str = "") -> tuple[dict, dict[tuple, str]]:
    """A config with attacks at all its keys that take some, and what stands at each of them.

    Parameters
    ----------
    but : a format of the schema whose keys are left as they are.
    """
    made, taken, turn = config, {}, cycle(attacks.values())
    keys = {*keys_of_text(schema(), config, but=but), ("methods", "again", "label")}
    # What lies deeper first, lest a text takes the place of a section.
    for path in sorted(keys, key=lambda path: (-len(path), *map(str, path))):
        texts = [f"{next(turn)} {next(turn)}", *attacks.values()]
        for text in [*texts, *(f"{text} {{question}}" for text in texts)]:
            # What is no text, or within a text, takes none here.
            with suppress(StudyError, TypeError):
                tried = with_text(made, path, text)
                complete(copy.deepcopy(tried))
                made, taken[path] = tried, text
                break
    return made, taken


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


def in_browser(page: str, folder: Path, more: str = "") -> dict:
    """What a page does in a browser, when its parts are opened, pointed at and gone to.

    Parameters
    ----------
    more : what else is done with it, as a script, which may add to ``seen``.

    Returns
    -------
    ``hacked``, None where no attack ran; ``text``, all that it says; ``refused`` and ``failed``, what the browser
    refused to fetch and what went wrong; ``links``, the addresses that are neither the page's own nor a paper's.
    """
    page = page.replace("<head>", f"<head>{WATCH}", 1)
    assert WATCH in page
    (folder / "page.html").write_text(
        page.rpartition("</body>")[0] + _TELL.replace("MORE", more) + "</body></html>", encoding="utf-8"
    )
    found = re.search(r'<pre id="told">(.*?)</pre>', dumped(folder / "page.html"), re.DOTALL)
    assert found, "the page's own scripts did not run to their end"
    return json.loads(html.unescape(found[1]))


def squeezed(text: str) -> str:
    """A text with one space for whatever space it has."""
    return " ".join(text.split())


def harmless(seen: dict, asked: list[str]) -> None:
    """What a page did was none of the attacks'."""
    assert seen["hacked"] is None
    assert (seen["refused"], seen["failed"], seen["links"], asked) == ([], [], [], [])


def markdown_page(text: str) -> str:
    """What readers of Markdown, as those of repositories are, make of a text."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return f"<!doctype html><html><head></head><body>{reader.render(text)}</body></html>"

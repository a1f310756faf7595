"""Files of configs that are wrong as files, and commands that are wrong."""

import json
from pathlib import Path

from bad_input_case import Case

TINY = (Path(__file__).parents[2] / "config" / "tiny.yaml").read_text(encoding="utf-8")
_FILE = "config/wrong.yaml"

FILES = [
    Case("a config that is not there", None, f"{_FILE}:", "check the path"),
    Case("a config in Latin-1", "study: Münster".encode("latin-1"), f"{_FILE}:", "save it as such"),
    Case("a config in UTF-16", TINY.encode("utf-16"), f"{_FILE}:", "save it as such"),
    Case("a config that is no text", bytes(range(256)), f"{_FILE}:", "save it as such"),
    Case("a config that refers to all of itself", f"{TINY}\ncompute: &a {{again: *a}}".encode(), "config:", "take out"),
    Case("a config nested beyond all measure", b"[" * 10**5, f"{_FILE}:", "correct it"),
]
"""Each has the bytes of a file at which Snakemake itself ends with a traceback; ``check`` does not."""

_ALIASES = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]\n" for n in range(9))
"""Nine lines that are a thousand million values with aliases written out."""

READ_BY_SNAKEMAKE = [
    Case("a config in an empty file", b"", "config:", "README"),
    Case("a config of null", b"null", "config:", "README"),
    Case("a config that is a list of keys", b"- study\n- seed", "config:", "README"),
    Case("a config that is a sentence", b"the default one", "config:", "README"),
    Case("a tab before a key", b"study:\n\ta: 1", f"{_FILE}:", "takes no tabs"),
    Case("a sign that no text has", b"study: a\0b", f"{_FILE}:", "correct it"),
    Case("a JSON config that ends early", b'{"study": "tiny", "models": {', f"{_FILE}:", "correct it"),
    Case("a config that would run a program", b"study: !!python/object:os.system x", f"{_FILE}:", "correct it"),
    Case("a key that is there twice", f"{TINY}\nseed: 2\n".encode(), f"{_FILE}:", "keep one of them"),
    Case("a key that is there twice in JSON", b'{"study": "a", "study": "b"}', f"{_FILE}:", "keep one of them"),
    Case("half a character in JSON", json.dumps({"study": "\ud800"}).encode(), "study:|config", "correct"),
    Case("a key in Unicode's look-alike", f"{TINY}\nѕeed: 2\n".encode(), "ѕeed:", "did you mean seed|known here"),
    Case("aliases beyond all measure", f"{TINY}\n{_ALIASES}".encode(), f"{_FILE}:", "write fewer"),
    Case("two documents in one file", f"{TINY}\n---\nstudy: b\n".encode(), f"{_FILE}:", "correct it"),
]
"""Each has the bytes of a file at which both give one sentence."""

_TINY = ["--configfile", "config/tiny.yaml"]


def _command(kind: str, arguments: list[str], fix: str) -> Case:
    return Case(kind, arguments, "", fix)


COMMANDS: list[Case] = [
    _command("two configs in one command", [*_TINY, "config/own-data.yaml"], "give one file"),
    _command("a key on the command line that is misspelt", [*_TINY, "--config", "sead=2"], "did you mean seed"),
    _command("a path on the command line as a study", [*_TINY, "--config", "study=../x"], "does not match"),
    _command("a word on the command line as a number", [*_TINY, "--config", "seed=one"], "not of type 'integer'"),
    _command("half a section on the command line", [*_TINY, "--config", "prompts={"], "not of type 'object'"),
    _command("a number that the shell left in quotes", [*_TINY, "--config", "documents={train: 0}"], "without quotes"),
    _command("a target that is none", ["nosuch", *_TINY], "nosuch"),
    _command("a target of another study", ["results/other/findings.html", *_TINY], "results/other/findings.html"),
    _command("a mode of no kind", [*_TINY, "--config", 'ablation={"mode":"one"}'], "is not one of"),
    _command("a device of no kind", [*_TINY, "--config", 'compute={"device":"gpu"}'], "write auto"),
    _command("results in a file", [*_TINY, "--config", "results=Snakefile"], "choose another folder|move it away"),
]
"""Each has the arguments of ``snakemake``."""

COMPARISONS: list[Case] = [
    Case("a comparison of a folder that is not there", ["compare", "gone", "gone"], "gone:", "no such folder"),
    Case("a comparison of what is no study", ["compare", "config", "config"], "config:", "run the study again"),
    Case("a comparison of a file", ["compare", "Snakefile", "Snakefile"], "Snakefile:", "no such folder"),
    Case("a check of a folder", ["check", "config"], "config:", "check the path"),
]
"""Each has the arguments of ``retrieval-heads``."""

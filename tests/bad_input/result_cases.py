"""Results of others and of older versions that are wrong, and what Python programs hand in."""

import json
from typing import Any

from bad_input_case import Case

RANKING: dict[str, Any] = {
    "question": "place",
    "total_tokens": 512,
    "samples_processed": 9,
    "head_rankings": [{"head": "L0H1", "score": 0.5, "rank": 1}, {"head": "L1H0", "score": 0.25, "rank": 2}],
}
ABLATION: dict[str, Any] = {
    "baseline": {"accuracy": 0.9, "correct": 9, "total": 10},
    "top_heads_ablations": [{"num_heads": 1, "accuracy": 0.6, "correct": 6, "total": 10}],
    "random_heads_ablations": [{"num_heads": 1, "accuracy": 0.8, "correct": 8, "total": 10}],
}


def _ranking(kind: str, key: str, value: Any, fix: str) -> Case:
    return Case(kind, ("rankings", key, value), ".*tokens_512.json:", fix)


def _ablation(kind: str, key: str, value: Any, fix: str) -> Case:
    return Case(kind, ("ablations", key, value), ".*tokens_512.json:", fix)


PUBLISHED_FILES = [
    _ranking("a published list of another question", "question", "year", "place as the file's path says"),
    _ranking("a published list at another length", "total_tokens", 1024, "512 as the file's path says"),
    _ranking("a published list of no heads", "head_rankings", [], "should list heads"),
    _ranking("a published list that is missing", "head_rankings", ..., "is missing"),
    _ranking("a published list of words", "head_rankings", ["L0H1"], "a list of objects"),
    _ranking("a published head of another form", "head_rankings.0.head", "0-1", "a name like L14H31"),
    _ranking("a published head that no model has", "head_rankings.0.head", "L999H9", r"models\.small\.grid"),
    _ranking("a published head that is there twice", "head_rankings.0.head", "L1H0", "each once"),
    _ranking("a published score in words", "head_rankings.0.score", "high", "a finite number"),
    _ranking("a published score that is no number", "head_rankings.0.score", float("nan"), "a finite number"),
    _ranking("published ranks with a hole", "head_rankings.1.rank", 3, "ranks"),
    _ranking("published ranks against their scores", "head_rankings.1.score", 0.75, "falling scores"),
    _ranking("more published samples than there were", "head_rankings.0.num_samples", 10, "at most"),
    _ablation("a published baseline that is missing", "baseline", ..., "is missing"),
    _ablation("more published answers than questions", "baseline.correct", 11, "from 0 to total"),
    _ablation("a published accuracy of other counts", "baseline.accuracy", 0.8, "9 / 10"),
    _ablation(
        "published totals that differ",
        "random_heads_ablations.0",
        {"num_heads": 1, "accuracy": 0.5, "correct": 20, "total": 40},
        "should be 10",
    ),
    _ablation("more published heads than are listed", "top_heads_ablations.0.num_heads", 3, "at most 2"),
    _ablation("a published size in words", "random_heads_ablations.0.num_heads", "one", "whole number"),
]
"""Each has the kind of file, a dotted key in it, and its value."""

LISTS = [
    Case("an imported list that is empty", "", ".*list.json:", "get the list of heads anew"),
    Case("an imported list of nothing", "{}", ".*list.json:", "should be an object such as"),
    Case("an imported list that is a list", '["0-1"]', ".*list.json:", "should be an object such as"),
    Case("an imported list with a head twice", '{"0-1": 1, "0-1": 2}', ".*list.json:", "keep one"),
    Case("an imported head of another form", '{"L0H1": 1}', ".*list.json:", "such as 16-19"),
    Case("an imported head with a zero before it", '{"00-1": 1}', ".*list.json:", "such as 16-19"),
    Case("an imported score in words", '{"0-1": "high"}', ".*list.json:", "finite number"),
    Case("an imported score that is no number", '{"0-1": NaN}', ".*list.json:", "finite number"),
    Case("an imported score beyond all numbers", '{"0-1": 1e999}', ".*list.json:", "finite number"),
    Case("an imported head without a score", '{"0-1": []}', ".*list.json:", "finite number"),
    Case("an imported score that is yes", '{"0-1": [true]}', ".*list.json:", "finite number"),
    Case("an imported head of another model", '{"5-0": 1}', ".*list.json:", "under imports"),
    Case("an imported list nested without end", '{"0-1": ' + "[" * 10**5, ".*list.json:", "anew"),
]
"""Each has the text of a file."""


def _item(kind: str, entries: str, fix: str) -> Case:
    return Case(kind, entries, ".*facts.yaml:", fix)


ITEMS = [
    _item("items that are no YAML", "- {text: [", "correct it"),
    _item("no items", "", "write some"),
    _item("an item that is a text", "- What is DNA?", "item 1 should have text"),
    _item("an item without an answer", "- {text: A, answer_prefix: ''}", "item 1 should have text"),
    _item("an item with a key that is none", "- {text: A, answer_prefix: '', answer: b, hint: c}", "item 1"),
    _item("an item whose answer is a number", "- {text: A, answer_prefix: '', answer: 4}", "in quotes"),
    _item("an item whose answer is empty", "- {text: A, answer_prefix: '', answer: ' '}", "write one"),
    _item("other answers of an item in one text", "- {text: A, answer_prefix: '', answer: b, accepted: bc}", "list"),
    _item("an item that is there twice", 2 * "- {text: A, answer_prefix: '', answer: b}\n", "keep one"),
]
"""Each has the text of a file."""

FINDINGS = [
    Case("findings that are no JSON", "{", ".*findings.json:", "run the study again"),
    Case("findings that are a list", "[]", ".*findings.json:", "run the study again"),
    Case("findings of an older version", '{"format": 0}', ".*findings.json:", "this version reads"),
    Case("findings of a later version", '{"format": 99}', ".*findings.json:", "this version reads"),
    Case("findings that lack most", '{"format": 1}', ".*findings.json:", "run the study again"),
    Case("findings whose config is a list", ("config", []), r".*findings.json: \$\.config", "run the study again"),
    Case("findings of a config without models", ("config", {}), r".*findings.json: \$\.config", "run the study"),
    Case("findings of a top set in words", ("config.analysis.top_k", "5"), r".*findings.json: \$\.config", "again"),
    Case("findings of ablation that is none", ("config.ablation", 0.5), r".*findings.json: \$\.config", "again"),
    Case("findings of a model of no heads", ("models.small.heads", 0), r".*findings.json: \$\.models", "again"),
    Case("findings without claims", ("claims", None), r".*findings.json: \$\.claims", "run the study again"),
    Case("a claim that is a text", ("claims", ["so it is"]), r".*findings.json: \$\.claims", "run the study again"),
    Case("labels that are numbers", ("labels.model.small", 3), r".*findings.json: \$\.labels", "again"),
    Case("findings with half a character", '{"study": "\\ud800"}', ".*findings.json:", "run the study again"),
]
"""Each has the text of the file, or a dotted key in it with its value."""

HANDED_IN = [
    Case("a number of heads in words", ("top_heads", {"k": "3"}), "k:", "by one"),
    Case("two and a half heads", ("top_heads", {"k": 2.5}), "k:", "by one"),
    Case("yes as a number of heads", ("top_heads", {"k": True}), "k:", "by one"),
    Case("more heads than are ranked", ("top_heads", {"k": 21}), ".*parquet:", "give k from 1 to 20"),
    Case("no method at all", ("top_heads", {"method": None}), ".*parquet:", "give one of wu24"),
    Case("a length in quotes", ("top_heads", {"context_length": "512"}), ".*parquet:", "give one of 512"),
    Case("a variant that was not asked", ("top_heads", {"variant": "terse"}), ".*parquet:", "give one of plain"),
    Case("half a layer of a head", ("ablated", [(0.5, 1)]), "heads:", "say layer and head by one"),
    Case("a head by its name", ("ablated", ["L0H1"]), "heads:", r"such as \(2, 1\)"),
    Case("a head of two letters", ("ablated", ["01"]), "heads:", r"such as \(2, 1\)"),
    Case("a head of three numbers", ("ablated", [(0, 1, 2)]), "heads:", r"such as \(2, 1\)"),
    Case("a layer in place of a head", ("ablated", [1]), "heads:", r"such as \(2, 1\)"),
    Case("yes as a layer", ("ablated", [(True, 1)]), "heads:", "say layer and head by one"),
    Case("a head before the first", ("ablated", [(0, -1)]), "heads:", "ranked in this model"),
    Case("a handed-in method that is none", ("make_methods", {"magic": {}}), "methods.magic:", "there are"),
    Case("a handed-in parameter that is none", ("make_methods", {"wu24": {"spam": 1}}), "methods.wu24.spam:", "span"),
    Case("a handed-in value that is none", ("make_methods", {"wu24": {"span": "x"}}), "methods.wu24.span:", "one of"),
    Case("no documents to score", ("score_heads", []), "documents:", "read_documents"),
]
"""Each has the function and what it is handed."""


def as_text(given: Any, findings: dict) -> str:
    """The text of a findings.json that is wrong, from one that is right."""
    if isinstance(given, str):
        return given
    (key, value), findings = given, json.loads(json.dumps(findings))
    *path, last = key.split(".")
    inner = findings
    for part in path:
        inner = inner[part]
    inner[last] = value
    return json.dumps(findings)

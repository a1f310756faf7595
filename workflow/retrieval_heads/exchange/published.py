"""Rankings and ablations that others made: a folder of JSON files → the rankings and ablation_summary tables.

The folder holds one file of each kind for each configuration::

    rankings/{method}/{model}/{question}/tokens_{length}.json
    ablations/{method}/{model}/{question}/tokens_{length}.json

Functions take a study's config and read ``published``, the names of ``models``, ``methods`` and ``questions``, and
``prompts.context_lengths`` of it; and the ``grid`` of models, where there is one. A file that is not there is a hole
in the study; one that is there must be sound.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import pandas as pd

from retrieval_heads.analysis.rankings import placed
from retrieval_heads.errors import StudyError
from retrieval_heads.job import log
from retrieval_heads.reading import read_json
from retrieval_heads.study.dimensions import PLAIN, PUBLISHED
from retrieval_heads.tables.ablation_summary import ABLATION_SUMMARY
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.rankings import RANKINGS

_RANKINGS, _ABLATIONS = "rankings", "ablations"
_LAYOUT = "{}/METHOD/MODEL/QUESTION/tokens_LENGTH.json"
_HEAD = re.compile(r"L([0-9]{1,4})H([0-9]{1,4})")
_LARGEST = 2**31 - 1
# No model comes near: a layer or head beyond is a slip of the pen, unless the config's grid has it.
_MOST = 512
# An accuracy is written with all its digits, so that it differs from its fraction by rounding alone.
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class _Configuration:
    """One cell of the study's grid, by the names that the config uses."""

    method: str
    model: str
    question: str
    length: int


def check(config: Mapping) -> None:
    """Refuse a folder without rankings or ablations, and what the study asks for but no ranking has.

    Raises
    ------
    StudyError
        with the key in the config, and where files are expected.
    """
    folder = Path(config["published"]["folder"])
    found = {}
    for kind in (_RANKINGS, _ABLATIONS):
        expected = f"files are expected as {folder / _LAYOUT.format(kind)}"
        if not (folder / kind).is_dir():
            raise StudyError(f"published.folder: there is no folder {folder / kind}; {expected}.")
        found[kind] = [where for where, file in _grid(config, kind) if file.is_file()]
        if not found[kind]:
            raise StudyError(
                f"published.folder: {folder / kind} has no file that this study asks for; {expected}, with other names "
                "than the config's under published.names."
            )
    # With nothing at all, a value would drop out of figures and findings without a word.
    for section, part in (("methods", "method"), ("models", "model"), ("questions", "question")):
        for name in config[section]:
            if all(getattr(where, part) != name for where in found[_RANKINGS]):
                pattern = _LAYOUT.format(_RANKINGS).replace(part.upper(), _published_name(config, name))
                raise StudyError(
                    f"{section}.{name}: there is no ranking for it, as {folder / pattern}; give its name in the "
                    f"published results under published.names, or take it out of {section}."
                )
    for length in config["prompts"]["context_lengths"]:
        if all(where.length != length for where in found[_RANKINGS]):
            pattern = _LAYOUT.format(_RANKINGS).replace("LENGTH", str(length))
            raise StudyError(
                f"prompts.context_lengths: there is no ranking at {length}, as {folder / pattern}; take it out."
            )


def files(config: Mapping) -> list[str]:
    """The files there are for the study's configurations."""
    return [str(file) for kind in (_RANKINGS, _ABLATIONS) for _, file in _grid(config, kind) if file.is_file()]


def convert(config: Mapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read published results, check them, and log what is missing and what is left aside.

    Published controls are one draw of any heads of the model for each method's top set: ``matching`` is ``none`` and
    ``draw`` 0. Heads are taken to be ablated by ``mode`` zero in all tokens.

    Returns
    -------
    The rankings table and the ablation_summary table. Published scores decide which heads tie; nothing tells
    ``score_sd``. Sets were ablated as large as they are said to be, wherever ties end a top set.

    Raises
    ------
    StudyError
        with the file that is malformed or contradicts its name or another file, and what was expected.
    """
    _tell_of_others(config)
    listed = {where: (content, list(_ranking(where, content))) for where, content in _contents(config, _RANKINGS)}
    grids = {model: _grid_of(model, config, listed) for model in config["models"]}
    ablation, baselines = [], {}
    for where, content in _contents(config, _ABLATIONS):
        counts = _counts(content.part("baseline"))
        place = (where.model, where.question, where.length)
        if place not in baselines:
            baselines[place] = content.file, counts
            ablation.append(_summary_row(where, counts, source="baseline", method=None, k=0))
        elif counts != (known := baselines[place])[1]:
            raise content.wrong(
                f"baseline has {counts[0]} of {counts[1]} correct and should be {known[1][0]} of {known[1][1]} "
                f"as in {known[0]}"
            )
        everywhere = prod(grids[where.model])
        ranked = len(listed[where][1]) if where in listed else everywhere
        for list_, most, kind in (
            ("top_heads_ablations", ranked, {"source": "method"}),
            ("random_heads_ablations", everywhere, {"source": "random", "matching": "none", "draw": 0}),
        ):
            levels = content.parts(list_)
            sizes = [level.whole("num_heads", 1) for level in levels]
            content.require_once(list_, "num_heads", sizes)
            for k, level in zip(sizes, levels, strict=True):
                if k > most:
                    whose = "its ranking lists" if most < everywhere else f"{where.model} has"
                    raise level.wrong(
                        f"{level.place}.num_heads is {k} and should be at most {most}, as {whose} no more"
                    )
                if (found := _counts(level))[1] != counts[1]:
                    raise level.wrong(f"{level.place}.total is {found[1]} and should be {counts[1]}, as in baseline")
                ablation.append(_summary_row(where, found, k=k, **kind))
    rankings = [row for _, rows in listed.values() for row in rows]
    return (
        placed(pd.DataFrame(rankings, columns=RANKINGS.columns).astype({"score_sd": float})),
        pd.DataFrame(ablation, columns=ABLATION_SUMMARY.columns).astype({"draw": "Int32", "matched": float}),
    )


@dataclass(frozen=True)
class _Part:
    """An object in a JSON file. A value is taken from it only if it is what it should be."""

    file: Path
    place: str
    values: Mapping

    def wrong(self, fault: str) -> StudyError:
        return StudyError(f"{self.file}: {fault}; correct the file, or take it away to leave its configuration out.")

    def take(self, key: str, expected: str, fits: Callable[..., object]) -> Any:
        """The value of a key, if it fits."""
        name = f"{self.place}.{key}".removeprefix(".")
        if key not in self.values:
            raise self.wrong(f"{name} is missing and should be {expected}")
        if not fits(value := self.values[key]):
            raise self.wrong(f"{name} is {_short(value)} and should be {expected}")
        return value

    def whole(self, key: str, least: int) -> int:
        return self.take(
            key, f"a whole number from {least}", lambda value: type(value) is int and least <= value <= _LARGEST
        )

    def number(self, key: str) -> float:
        # Python reads NaN, Infinity and 1e999 from JSON; none of them is within bounds.
        return self.take(key, "a finite number", lambda value: type(value) in (int, float) and -1e300 <= value <= 1e300)

    def part(self, key: str) -> "_Part":
        value = self.take(key, "an object", lambda value: isinstance(value, dict))
        return _Part(self.file, f"{self.place}.{key}".removeprefix("."), value)

    def parts(self, key: str) -> list["_Part"]:
        list_ = self.take(
            key,
            "a list of objects",
            lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value),
        )
        return [_Part(self.file, f"{self.place}{key}[{place}]", item) for place, item in enumerate(list_)]

    def require_once(self, list_: str, key: str, values: Iterable) -> None:
        """Refuse a list in which two parts have the same value of a key."""
        seen = set()
        for value in values:
            if value in seen:
                raise self.wrong(f"{list_} has {key} {value} twice and should have each once")
            seen.add(value)


def _published_name(config: Mapping, name: str) -> str:
    return config["published"]["names"].get(name, name)


def _grid(config: Mapping, kind: str) -> Iterator[tuple[_Configuration, Path]]:
    """Every configuration of the study with its file of a kind, there or not."""
    folder = Path(config["published"]["folder"]) / kind
    lengths = config["prompts"]["context_lengths"]
    for model, method, question, length in product(config["models"], config["methods"], config["questions"], lengths):
        method_, model_, question_ = (_published_name(config, name) for name in (method, model, question))
        yield (
            _Configuration(method, model, question, length),
            folder / method_ / model_ / question_ / f"tokens_{length}.json",
        )


def _contents(config: Mapping, kind: str) -> Iterator[tuple[_Configuration, _Part]]:
    """Every configuration that has a file of a kind, with the file's content."""
    for where, file in _grid(config, kind):
        if not file.is_file():
            log.warning("%s: no such file; its configuration is left out", file)
            continue
        values = read_json(file, "get the published results anew")
        content = _Part(file, "", values if isinstance(values, dict) else {})
        if values is not content.values:
            raise content.wrong(f"the content is {_short(values)} and should be an object")
        for key, expected in (("question", _published_name(config, where.question)), ("total_tokens", where.length)):
            if key in values:
                content.take(key, f"{expected} as the file's path says", lambda value, is_=expected: value == is_)
        yield where, content


def _tell_of_others(config: Mapping) -> None:
    folder = Path(config["published"]["folder"])
    asked = {file for kind in (_RANKINGS, _ABLATIONS) for _, file in _grid(config, kind)}
    there = {file for kind in (_RANKINGS, _ABLATIONS) for file in (folder / kind).rglob("*") if file.is_file()}
    if others := sorted(there - asked):
        log.warning("%s: files that this study does not ask for: %d, such as %s", folder, len(others), others[0])


def _grid_of(model: str, config: Mapping, listed: Mapping[_Configuration, tuple[_Part, list[dict]]]) -> tuple[int, int]:
    """A model's layers, and heads in each, against which all of its rankings are held.

    The config may give it; else a ranking of all heads shows it; else it goes up to the highest that are listed.
    """
    contents = [found for where, found in listed.items() if where.model == model]
    highest = [tuple(max(row[key] for row in rows) + 1 for key in ("layer", "head")) for _, rows in contents]
    whole = [grid for grid, (_, rows) in zip(highest, contents, strict=True) if prod(grid) == len(rows)]
    if given := config["models"][model].get("grid"):
        (layers, heads), source = given, f"that models.{model}.grid gives"
    elif whole:
        (layers, heads), source = max(whole, key=prod), f"that other rankings of {model} list in full"
    else:
        layers = heads = _MOST
        source = f"that a model is taken to have at most, unless models.{model}.grid is given"
    for content, rows in contents:
        for row in rows:
            if row["layer"] >= layers or row["head"] >= heads:
                name = head_name(row["layer"], row["head"])
                raise content.wrong(
                    f"head_rankings has head {name}, which is beyond the {layers} layers of {heads} heads {source}"
                )
    if not given and not whole and contents:
        layers, heads = (max(numbers) for numbers in zip(*highest, strict=True))
        log.warning(
            "%s: no ranking lists all heads, so %d layers of %d heads are taken, up to the highest that are listed; "
            "models.%s.grid can say it better",
            *(model, layers, heads, model),
        )
    return layers, heads


def _ranking(where: _Configuration, content: _Part) -> Iterator[dict]:
    """The rows of one ranking, by rank."""
    listed = content.parts("head_rankings")
    if not listed:
        raise content.wrong("head_rankings is empty and should list heads")
    processed = content.whole("samples_processed", 1) if "samples_processed" in content.values else _LARGEST
    rows: list[dict[str, Any]] = []
    for head in listed:
        name = head.take("head", "a name like L14H31", lambda value: isinstance(value, str) and _HEAD.fullmatch(value))
        samples = (
            head.whole("num_samples", 0) if "num_samples" in head.values else content.whole("samples_processed", 1)
        )
        if samples > processed:
            raise head.wrong(
                f"{head.place}.num_samples is {samples} and should be at most samples_processed, {processed}"
            )
        layer, number = map(int, _HEAD.findall(name)[0])
        rows.append(
            {
                "model": where.model,
                "method": where.method,
                "question": where.question,
                "context_length": where.length,
                "variant": PLAIN,
                "layer": layer,
                "head": number,
                "score": head.number("score"),
                "rank": head.whole("rank", 1),
                "n_samples": samples,
            }
        )
    content.require_once("head_rankings", "head", [f"L{row['layer']}H{row['head']}" for row in rows])
    rows.sort(key=lambda row: row["rank"])
    scores = [row["score"] for row in rows]
    if [row["rank"] for row in rows] != list(range(1, len(rows) + 1)) or scores != sorted(scores, reverse=True):
        raise content.wrong(f"the ranks in head_rankings should be 1 to {len(rows)} in the order of falling scores")
    yield from rows


def _counts(part: _Part) -> tuple[int, int]:
    """Prompts answered correctly, and all prompts."""
    total = part.whole("total", 1)
    correct = part.take(
        "correct",
        f"a whole number from 0 to total, {total}",
        lambda value: type(value) is int and 0 <= value <= total,
    )
    share = correct / total
    part.take(
        "accuracy",
        f"{correct} / {total} = {share:g}",
        lambda value: type(value) in (int, float) and share - _TOLERANCE <= value <= share + _TOLERANCE,
    )
    return correct, total


def _summary_row(where: _Configuration, counts: tuple[int, int], *, k: int, **head_set: object) -> dict:
    correct, total = counts
    return {
        "model": where.model,
        "question": where.question,
        "context_length": where.length,
        "variant": PLAIN,
        "method": where.method,
        **head_set,
        "k": k,
        "size": k,
        "intervention": PUBLISHED,
        "mode": "zero",
        "scope": "all",
        "accuracy": correct / total,
        "correct": correct,
        "total": total,
    }


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]} …"

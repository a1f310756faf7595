"""A study's config: its schema, its defaults, and what a schema cannot say."""

import copy
import difflib
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, validators

from retrieval_heads.errors import StudyError
from retrieval_heads.plugins import method_parameters, names
from retrieval_heads.reading import read_yaml, require_single_keys
from retrieval_heads.study.scopes import SCOPES

_HERE = Path(__file__).parent


@cache
def schema() -> dict:
    """The JSON schema of a config."""
    return read_yaml(_HERE / "config.schema.yaml", "get the project anew")


def require_one_file(files: Sequence[str | Path]) -> None:
    """Refuse a config of several files, and a file that has a key twice.

    Snakemake merges several into one, in which nothing tells what came from where, and keeps the last of two values.

    Raises
    ------
    StudyError
        with the files, or with file and key.
    """
    if len(files) > 1:
        raise StudyError(
            f"--configfile: {', '.join(map(str, files))} would be mixed into one study; give one file, and single keys "
            "with --config."
        )
    for file in files:
        require_single_keys(os.path.relpath(file))


def complete(config: dict) -> dict:
    """A config with all defaults filled in, checked.

    Raises
    ------
    StudyError
        with the key that is wrong and what to write instead.
    """
    config = _dates_as_text(config)
    _require_plain(config)
    _require_valid(config, schema())
    _require_one_form(config.get("ablation", {}))
    _fill(config, schema())
    if not config["published"]:
        _require_offered(config["ablation"])
        _name_interventions(config["ablation"])
    _check_values(config)
    if not config["published"]:
        _check_model_values(config)
    return config


def interventions(config: Mapping) -> dict[str, dict]:
    """The interventions of a complete config, each with all that holds for it; none where results are published."""
    return {} if config["published"] else config["ablation"]["interventions"]


def ablated_lengths(config: Mapping, name: str | None = None) -> list[int]:
    """The context lengths at which heads are ablated, by one intervention or by any."""
    chosen = interventions(config) if name is None else {name: interventions(config)[name]}
    every = config["prompts"]["context_lengths"]
    found = {length for one in chosen.values() for length in one["context_lengths"] or every}
    # What is no length of the study comes last, to be refused.
    return [length for length in every if length in found] + sorted(found.difference(every))


def head_sets(config: dict, name: str) -> int:
    """How many sets of heads an intervention ablates for a question at each length, one of them without any head."""
    one = interventions(config)[name]
    return 1 + len(config["methods"]) * len(one["levels"]) * (1 + sum(one["random_draws"].values()))


def unablated_documents(config: dict, length: int) -> tuple[int | None, str]:
    """How many test documents the whole model is asked about at a context length, None for all, and the key that says
    so: as many as the intervention that asks about most of them.
    """
    asked = {
        name: math.inf if one["documents"] is None else one["documents"]
        for name, one in interventions(config).items()
        if length in ablated_lengths(config, name)
    }
    most = max(asked, key=lambda name: asked[name])
    return interventions(config)[most]["documents"], f"ablation.interventions.{most}.documents"


# JSON takes 512.0 for an integer; file names and ranges do not.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)
_FORMATS = FormatChecker(())


def _dates_as_text(value: Any) -> Any:
    """A copy of a config with the dates that YAML reads as the text that stands there."""
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    return value.isoformat() if type(value) is date else value


@_FORMATS.checks("date", raises=StudyError)
def _is_date(value: object) -> bool:
    """Whether text is a day of the calendar."""
    if isinstance(value, str):
        try:
            date.fromisoformat(value)
        except ValueError:
            raise StudyError("is no date of the calendar; write one as 2024-07-26") from None
    return True


@_FORMATS.checks("path", raises=StudyError)
def _is_path(value: object) -> bool:
    """Whether a path, as Snakemake and Python take it, is the one that is meant."""
    if not isinstance(value, str):
        return True
    if not value or value != value.strip() or not value.isprintable():
        raise StudyError("is empty, or has spaces around it or a line break in it; correct the path")
    if value.startswith("~") or re.search(r"\$\{?\w", value):
        whole = os.path.expandvars(os.path.expanduser(value))  # noqa: PTH111 – that of Path fails for unknown users
        raise StudyError(f"is taken letter by letter; write {whole if whole != value else 'the whole path'}")
    if set(value) & set("{}"):
        raise StudyError("has braces, in which Snakemake expects wildcards; give a path without")
    if any(len(part.encode()) > 255 for part in value.split("/")):
        raise StudyError("has a name of more than 255 bytes, which no file may have; shorten it")
    return True


@_FORMATS.checks("text", raises=StudyError)
def _is_text(value: object) -> bool:
    """Whether text that a model reads or writes has the line breaks that it seems to have."""
    # Names such as \nabla and \theta are left alone.
    if isinstance(value, str) and (literal := re.search(r"\\[nrt](?![A-Za-z])", value)):
        raise StudyError(
            f"has a backslash and a letter in it; write {literal[0]} between double quotes, not single ones"
        )
    return True


def _require_plain(value: object, where: str = "") -> None:
    """Refuse what no schema can speak of: keys that are no text, numbers that are not finite, and broken characters."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise StudyError(f"{where}{key}: YAML reads this key as no text; put it in quotes or rename it.")
            _require_plain(item, f"{where}{key}.")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            _require_plain(item, f"{where}{place}.")
    elif isinstance(value, int | float):
        # An integer may be too large for any calculation.
        if not abs(value) < 2**63 or not math.isfinite(value):
            raise StudyError(f"{where[:-1]}: {str(value)[:20]} is no finite number of a usual size; write one.")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise StudyError(f"{where[:-1]}: {value!r:.60} has a character that is none; correct it.") from error


def _require_valid(config: object, rules: dict) -> None:
    errors = sorted(_Validator(rules, format_checker=_FORMATS).iter_errors(config), key=_order)
    if errors:
        raise StudyError(_sentence(errors[0], config))


def _rules_for_methods(chosen: Iterable[str]) -> dict:
    """The schema of a config as far as it is about the parameters of methods, which their files declare."""
    rules = {name: {"additionalProperties": False, "properties": method_parameters(name)} for name in chosen}
    return {"properties": {"methods": {"properties": rules}}}


def _fill(value: object, rule: dict, more: Iterable[dict] = ()) -> None:
    """Fill in a schema's defaults, but for keys that further schemas of the same shape forbid."""
    if isinstance(value, dict):
        more = [*more, *_branches(value, rule)]
        for key, sub in rule.get("properties", {}).items():
            more_sub = [other["properties"][key] for other in more if key in other.get("properties", {})]
            if any("not" in other for other in more_sub):
                continue
            if "default" in sub:
                value.setdefault(key, copy.deepcopy(sub["default"]))
            if key in value:
                _fill(value[key], sub, more_sub)
        if isinstance(extra := rule.get("additionalProperties"), dict):
            for item in value.values():
                _fill(item, extra, [other["additionalProperties"] for other in more if "additionalProperties" in other])


def _require_one_form(ablation: dict) -> None:
    """Refuse a mode or scope beside the interventions, each of which has its own."""
    if ablation.get("interventions"):
        for key in ("mode", "scope"):
            if key in ablation:
                raise StudyError(f"ablation.{key}: each of ablation.interventions has its own; write it there.")


def _require_offered(ablation: dict) -> None:
    """Refuse a mode that no file in ``ablation/replacements`` has the name of, and a scope that is none of SCOPES."""
    offered = {"mode": names("ablation.replacements"), "scope": list(SCOPES)}
    named = {f"ablation.interventions.{name}": one for name, one in ablation["interventions"].items()}
    for where, one in (named or {"ablation": ablation}).items():
        for key, known in offered.items():
            if one[key] not in known:
                raise StudyError(f"{where}.{key}: {one[key]} is not offered; write one of {', '.join(known)}.")


def _name_interventions(ablation: dict) -> None:
    """Write out the interventions: the one of mode and scope, and what each takes from all of them."""
    mode, scope = ablation.pop("mode"), ablation.pop("scope")
    if not ablation["interventions"]:
        ablation["interventions"] = {f"{mode}_{scope}": {"mode": mode, "scope": scope, "documents": None}}
    for one in ablation["interventions"].values():
        for key in ("levels", "context_lengths"):
            one.setdefault(key, copy.copy(ablation[key]))
        one["random_draws"] = ablation["random_draws"] | one.get("random_draws", {})
    ablation["headline"] = ablation["headline"] or next(iter(ablation["interventions"]))


def _branches(value: dict, rule: dict) -> Iterator[dict]:
    """What a schema's conditions ask of a value besides."""
    for condition in (rule, *rule.get("allOf", ())):
        if "if" in condition:
            yield condition.get("then" if _Validator(condition["if"]).is_valid(value) else "else", {})


def _order(error) -> tuple:
    """The most telling error first: a wrong source of documents, which decides what other keys mean; a key without
    meaning, since another is then missing; an unknown key, since the one it was meant for is then missing too.
    """
    path = list(map(str, error.path))
    unknown = error.validator == "additionalProperties"
    return path != ["documents", "source"], error.validator != "not", path, not unknown, error.message


# Keys of former versions, and what holds in their place.
_FORMER = {"generation.min_recall": "the type of a question alone decides what answers it"}


def _sentence(error, config: Any) -> str:
    where, value = ".".join(str(part) for part in error.absolute_path), error.instance
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in value if key not in known)
        key = ".".join(filter(None, (where, str(unknown))))
        if key in _FORMER:
            return f"{key}: this key is gone, as {_FORMER[key]}; take it out."
        close = difflib.get_close_matches(unknown, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known here are {', '.join(known) or 'none'}."
        return f"{key}: no such key in the config; {hint}"
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return f"{'.'.join(filter(None, (where, missing)))}: this key is missing from the config; add it."
    if error.validator == "oneOf":
        # Where a form's keys are all there, its value is at fault.
        for number, form in enumerate(error.validator_value):
            if isinstance(value, dict) and set(value) == set(form["required"]):
                return _sentence(next(inner for inner in error.context if inner.schema_path[0] == number), config)
        forms = "; ".join(
            "{" + ", ".join(f"{key}: …" for key in form["required"]) + "}" for form in error.validator_value
        )
        return f"{where}: {value} is no source of models; write one of {forms}."
    if error.validator == "not":
        if config.get("published"):
            return f"{where}: this key has no meaning where results are published; take it out."
        if error.absolute_path[0] != "documents":
            return f"{where}: this key has no meaning where models are run; take it out."
        source = config["documents"].get("source", "generator")
        return f"{where}: this key has no meaning for source {source}; take it out or change documents.source."
    if error.validator == "format":
        return f"{where}: {value!r:.80} {error.cause}."
    if error.validator == "type" and isinstance(value, str) and (meant := _as_number(value)) is not None:
        # YAML reads 1e-3 as text too.
        return f"{where}: {error.message}; write {meant!r}, without quotes."
    message = error.message if len(error.message) < 200 else f"{error.message[:80]} … {error.message[-80:]}"
    return f"{where or 'config'}: {message}; see config/README.md for what it may be."


def _as_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return None if not math.isfinite(number) else int(number) if number.is_integer() else number


def _check_values(config: dict) -> None:
    for name in config["methods"]:
        if name not in (known := names("methods")):
            raise StudyError(f"methods.{name}: no such method; there are {', '.join(known)}.")
    if config["study"].casefold() == "models":
        raise StudyError("study: models is the folder of prepared models; choose another name.")
    _require_valid(config, _rules_for_methods(config["methods"]))
    for section in ("models", "questions"):
        _require_distinct(section, config[section])
    for name, entry in config["imports"].items():
        model = entry.setdefault("model", next(iter(config["models"])) if len(config["models"]) == 1 else None)
        if model not in config["models"]:
            which = "this key is missing" if model is None else f"{model} is no model of this study"
            raise StudyError(f"imports.{name}.model: {which}; write one of {', '.join(config['models'])}.")
    if config["published"]:
        _check_published_names(config)


def _require_distinct(section: str, names: Iterable[str]) -> None:
    """Refuse names that are one for a file system without capital letters."""
    first: dict[str, str] = {}
    for name in names:
        if (other := first.setdefault(name.casefold(), name)) != name:
            raise StudyError(f"{section}.{name}: some file systems take it for {other}; give it another name.")


def _check_published_names(config: dict) -> None:
    sections, given = ("methods", "models", "questions"), config["published"]["names"]
    for name in given:
        if not any(name in config[section] for section in sections):
            raise StudyError(
                f"published.names.{name}: this config has no such method, model or question; correct the name."
            )
    for section in sections:
        first: dict[str, str] = {}
        for name in config[section]:
            if (other := first.setdefault(folder := given.get(name, name), name)) != name:
                raise StudyError(
                    f"published.names: {other} and {name} of {section} would both be read from {folder}; "
                    "give each its own."
                )


def _check_model_values(config: dict) -> None:
    reserved = {"doc_id", "split", "text", "source"} | {f"{key}_start" for key in config["questions"]}
    for key in config["questions"]:
        if key in reserved:
            raise StudyError(f"questions.{key}: this name is a column of the documents table; choose another.")
    for split in ("train", "test"):
        if config["documents"].get(split) == 0:
            raise StudyError(f"documents.{split}: the {split} split is empty; give at least 1 document.")
    for columns in ("answers", "passages"):
        for key in config["documents"].get(columns, {}):
            if key not in config["questions"]:
                raise StudyError(f"documents.{columns}.{key}: this config asks no such question; correct the name.")
    budget = config["prompts"]["suffix_budget"]
    for length in config["prompts"]["context_lengths"]:
        if length <= budget:
            raise StudyError(
                f"prompts.context_lengths: {length} leaves no room for a context beside "
                f"prompts.suffix_budget ({budget}); give longer ones."
            )
    _check_interventions(config)


def _check_interventions(config: dict) -> None:
    given, headline = interventions(config), config["ablation"]["headline"]
    _require_distinct("ablation.interventions", given)
    if headline not in given:
        raise StudyError(f"ablation.headline: {headline} is no intervention; write one of {', '.join(given)}.")
    tests = config["documents"].get("test")
    for name, one in given.items():
        for length in ablated_lengths(config, name):
            if length not in config["prompts"]["context_lengths"]:
                raise StudyError(
                    f"{key_path(config, name, 'context_lengths')}: {length} is none of prompts.context_lengths; "
                    "add it there, to have its heads ranked."
                )
        if tests is not None and one["documents"] is not None and one["documents"] > tests:
            raise StudyError(
                f"ablation.interventions.{name}.documents: {one['documents']} is more than the {tests} of "
                "documents.test; give fewer, or null for all."
            )
    if (level := config["analysis"]["level"]) is not None and level not in given[headline]["levels"]:
        where = key_path(config, headline, "levels")
        raise StudyError(f"analysis.level: {level} heads are not ablated; choose one of {where}.")


def key_path(config: dict, name: str, key: str) -> str:
    """The key that an intervention has something from: its own, or that of all of them."""
    own = interventions(config)[name][key] != config["ablation"][key]
    return f"ablation.interventions.{name}.{key}" if own else f"ablation.{key}"

"""The forms of a config: which keys it has, by its kind of study and its sources, and what their values may be.

A study either runs its models or takes published results. ``config.schema.yaml`` has the keys of both, and marks those
that only one kind has. What may be added as a file adds itself: types of answers, sources of documents and of models,
and methods with their parameters.
"""

import os
import re
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from retrieval_heads import plugins
from retrieval_heads.errors import StudyError
from retrieval_heads.reading import read_yaml

RUN, PUBLISHED = "run", "published"
_MEANINGLESS = {
    RUN: "has no meaning where models are run; take it out.",
    PUBLISHED: "has no meaning where results are published; take it out.",
}


_OF_EVERY_METHOD = {
    "context_lengths": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "integer"}},
}
"""The keys that each entry of a config's ``methods`` may have beside the method's parameters."""


@cache
def schema() -> dict:
    """The JSON schema of all keys that a config may have, those of all files of the package included.

    Where a key takes one of several forms, they stand under ``oneOf``: the keys of each source of documents (beside
    ``documents.source``) and of models.
    """
    rules = read_yaml(Path(__file__).with_name("config.schema.yaml"), "get the project anew")
    shared = rules.pop("$defs")
    documents, model = rules["properties"]["documents"], rules["properties"]["models"]["additionalProperties"]
    documents["oneOf"] = _forms("data.documents", shared)
    model["properties"]["source"]["oneOf"] = _forms("model.sources", shared)
    rules["properties"]["methods"]["properties"] = {
        name: {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                key: {**rule, "only": RUN} for key, rule in (plugins.parameters(file) | _OF_EVERY_METHOD).items()
            },
        }
        for name, file in plugins.files("methods").items()
    }
    return _with_names(rules)


def form_of(config: dict) -> dict:
    """The JSON schema of one config: the keys of its kind of study, and of its source of documents.

    Under ``meaningless`` a section has the keys that others of its kind have, each with the end of a sentence that
    says why it has not.
    """
    kind = RUN if config.get("published") is None else PUBLISHED
    form = _of_kind(schema(), kind)
    if kind == RUN and isinstance(given := config.get("methods"), dict):
        _take_methods(form["properties"]["methods"]["properties"], given)
    if (documents := form["properties"].get("documents")) is not None:
        given = config.get("documents")
        source = given.get("source") if isinstance(given, dict) else None
        _take_source(documents, source or documents["properties"]["source"]["default"])
    return form


def errors(value: object, rules: dict) -> Iterable[ValidationError]:
    """What a JSON schema says against a value, with the formats of config.schema.yaml."""
    return _Validator(rules, format_checker=_FORMATS).iter_errors(value)


def _forms(kind: str, shared: dict) -> list[dict]:
    """A form for each file of a kind, of its KEYS; those without a default are required."""
    forms = []
    for name, file in plugins.files(kind).items():
        keys = {key: _dereferenced(rule, shared) for key, rule in plugins.constants(file)["KEYS"].items()}
        required = [key for key, rule in keys.items() if "default" not in rule]
        forms.append({"title": name, "additionalProperties": False, "required": required, "properties": keys})
    return forms


def _dereferenced(rule: dict, shared: dict) -> dict:
    return shared[rule["$ref"].removeprefix("#/$defs/")] if "$ref" in rule else rule


def _with_names(rules: Any) -> Any:
    """A copy in which the folder under ``plugin`` has become the names of its files."""
    if isinstance(rules, list):
        return [_with_names(rule) for rule in rules]
    if not isinstance(rules, dict):
        return rules
    made = {key: _with_names(rule) for key, rule in rules.items() if key != "plugin"}
    return {"enum": plugins.names(rules["plugin"]), **made} if "plugin" in rules else made


def _of_kind(rules: dict, kind: str) -> dict:
    """A copy without the keys of the other kind of study."""
    made = dict(rules)
    if "properties" in rules:
        keys = {key: rule for key, rule in rules["properties"].items() if rule.get("only", kind) == kind}
        made["properties"] = {key: _of_kind(rule, kind) for key, rule in keys.items()}
        made["required"] = [key for key in rules.get("required", ()) if key in keys]
        made["meaningless"] = {key: _MEANINGLESS[kind] for key in rules["properties"] if key not in keys}
    if isinstance(entries := rules.get("additionalProperties"), dict):
        made["additionalProperties"] = _of_kind(entries, kind)
    return made


def _take_source(documents: dict, source: object) -> None:
    """Put the keys of a source into the schema of a config's documents; none for a source that is unknown."""
    for form in documents.pop("oneOf"):
        if form["title"] == source:
            documents["properties"] |= form["properties"]
            documents["required"] = form["required"]
        else:
            why = f"has no meaning for source {source}; take it out or change documents.source."
            documents["meaningless"] |= dict.fromkeys(form["properties"], why)


def _take_methods(known: dict, given: dict) -> None:
    """Put the methods that have a name of the config's choice into the schema of its methods."""
    files = dict(known)
    for name, entry in given.items():
        if name in files or not isinstance(entry, dict) or "method" not in entry:
            continue
        method = entry["method"]
        file = files.get(method) if isinstance(method, str) else None
        known[name] = {
            "type": "object",
            # Of what is no method no parameter is known.
            "additionalProperties": file is None,
            "required": [] if file is None else ["label"],
            "properties": {
                "method": {"enum": list(files)},
                "label": {"type": "string", "format": "label"},
                **(file or {}).get("properties", {}),
            },
        }


# JSON takes 512.0 for an integer; file names and ranges do not.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)
_FORMATS = FormatChecker(())


@_FORMATS.checks("date", raises=StudyError)
def _is_date(value: object) -> bool:
    """Whether text is a day of the calendar."""
    if isinstance(value, str):
        try:
            date.fromisoformat(value)
        except ValueError:
            raise StudyError("is no date of the calendar; write one as 2024-07-26") from None
    return True


def path_means_more(path: str) -> str | None:
    """What a path would mean beyond itself to Snakemake or to a terminal, as the end of a sentence, if anything."""
    if set(path) & set("{}"):
        return "has braces, in which Snakemake expects wildcards"
    if set(path) & set("<>"):
        return "has < or >, which Snakemake's report takes for markup"
    if not path.isprintable():
        return "has a character that cannot be seen, or that commands a terminal"
    return None


@_FORMATS.checks("path", raises=StudyError)
def _is_path(value: object) -> bool:
    """Whether a path, as Snakemake and Python take it, is the one that is meant."""
    if not isinstance(value, str):
        return True
    if not value or value != value.strip() or set(value) & set("\t\n\r"):
        raise StudyError("is empty, or has spaces around it or a line break in it; correct the path")
    if value.startswith("~") or re.search(r"\$\{?\w", value):
        meant = os.path.expandvars(os.path.expanduser(value))  # noqa: PTH111 – that of Path fails for unknown users
        raise StudyError(f"is taken letter by letter; write {meant if meant != value else 'the whole path'}")
    if (meaning := path_means_more(value)) is not None:
        raise StudyError(f"{meaning}; give a path without")
    if any(len(part.encode()) > 255 for part in value.split("/")):
        raise StudyError("has a name of more than 255 bytes, which no file may have; shorten it")
    return True


@_FORMATS.checks("label", raises=StudyError)
def _is_label(value: object) -> bool:
    """Whether text can be shown as a name."""
    if isinstance(value, str) and set(value) & set("\t\n\r"):
        raise StudyError("has a tab or line break in it, and is shown within sentences; write it in one line")
    if isinstance(value, str) and not value.strip():
        raise StudyError("shows nothing; write words, or take the key out")
    if isinstance(value, str) and value.startswith("_"):
        raise StudyError("begins with an underscore, which keys of figures leave out; begin it otherwise")
    return True


@_FORMATS.checks("device", raises=StudyError)
def _is_device(value: object) -> bool:
    """Whether text names a device of torch on which models run, whose own check would take seconds."""
    if isinstance(value, str) and not re.fullmatch(r"auto|(cpu|cuda|mps|xpu|hpu|npu|mtia|xla)(:\d{1,4})?", value):
        raise StudyError("is no device of torch that models run on; write auto, cpu, cuda, cuda:1 or mps")
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

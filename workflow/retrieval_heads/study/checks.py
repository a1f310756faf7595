"""What no schema can say of a config: values that do not go together, and what YAML makes of a slip of the pen."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from retrieval_heads.errors import StudyError
from retrieval_heads.reading import require_single_keys
from retrieval_heads.study.controls import CONTROLS, control
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.interventions import ablated_lengths, ablated_methods, interventions, key_path
from retrieval_heads.study.method_entries import file_of
from retrieval_heads.study.methods import RIVALS
from retrieval_heads.study.yardstick import yardstick


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


def require_plain(value: object, where: str = "") -> None:
    """Refuse what no schema can speak of: keys that are no text, numbers that are not finite, and broken characters."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise StudyError(f"{where}{key}: YAML reads this key as no text; put it in quotes or rename it.")
            require_plain(item, f"{where}{key}.")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            require_plain(item, f"{where}{number}.")
    elif isinstance(value, int | float):
        # An integer may be too large for any calculation.
        if not abs(value) < 2**63 or not math.isfinite(value):
            raise StudyError(f"{where[:-1]}: {str(value)[:20]} is no finite number of a usual size; write one.")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise StudyError(f"{where[:-1]}: {value!r:.60} has a character that is none; correct it.") from error


def check_values(config: dict) -> None:
    """Refuse values of a completed config that do not go together, or whose names could not be told apart.

    Raises
    ------
    StudyError
        with the key, and what to write instead.
    """
    if config["study"].casefold() == "models":
        raise StudyError("study: models is the folder of prepared models; choose another name.")
    for section in ("models", "questions"):
        _require_distinct(section, config[section])
    for name, entry in config["imports"].items():
        model = entry.get("model")
        if model not in config["models"]:
            which = "this key is missing" if model is None else f"{model} is no model of this study"
            raise StudyError(f"imports.{name}.model: {which}; write one of {', '.join(config['models'])}.")
    if config["published"]:
        _check_published_names(config)
    else:
        _check_model_values(config)


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
    reserved = {"doc_id", "split", "text", "source"} | {
        f"{key}_{what}" for key in config["questions"] for what in ("start", "twin")
    }
    for name in config["methods"]:
        if name in RIVALS:
            raise StudyError(f"methods.{name}: rankings are held against one of this name; choose another.")
    for key in config["questions"]:
        if key in reserved:
            raise StudyError(f"questions.{key}: this name is a column of the documents table; choose another.")
    for split in ("train", "test"):
        if config["documents"].get(split) == 0:
            raise StudyError(f"documents.{split}: the {split} split is empty; give at least 1 document.")
    for columns in ("answers", "passages", "twins"):
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
    _check_variants(config["prompts"]["variants"])
    _check_methods(config)
    _check_interventions(config)
    _check_yardstick(config)
    _check_controls(config)


def _check_methods(config: dict) -> None:
    trains = config["documents"].get("train")
    for name, entry in config["methods"].items():
        if file_of(name, entry) == "core":
            _check_core(config, name, trains)
        documents = entry.get("documents", 0)
        if trains is not None and documents > trains:
            raise StudyError(
                f"methods.{name}.documents: {documents} is more than the {trains} of documents.train; give fewer."
            )


def _check_core(config: dict, name: str, trains: int | None) -> None:
    if config["prompts"]["haystack"] != "documents":
        raise StudyError(
            f"methods.{name}: it compares documents, and this haystack is prose; set prompts.haystack to documents, or "
            "leave the method out."
        )
    if trains is not None and trains < 3:
        raise StudyError(
            f"methods.{name}: it needs two whole documents beside the needle, and documents.train is {trains}; give at "
            "least 3, or leave the method out."
        )


def _check_variants(variants: dict) -> None:
    _require_distinct("prompts.variants", variants)
    if variants.get(PLAIN) != {}:
        raise StudyError(
            f"prompts.variants: {PLAIN} is what prompts says; begin with {PLAIN}: {{}}, then give others what differs."
        )


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
        for method in ablated_methods(config, name):
            if method not in config["methods"]:
                raise StudyError(
                    f"{key_path(config, name, 'methods')}: {method} is none of methods; add it there, to have heads "
                    "ranked by it."
                )
        if tests is not None and one["documents"] is not None and one["documents"] > tests:
            raise StudyError(
                f"ablation.interventions.{name}.documents: {one['documents']} is more than the {tests} of "
                "documents.test; give fewer, or null for all."
            )
    if (level := config["analysis"]["level"]) is not None and level not in given[headline]["levels"]:
        where = key_path(config, headline, "levels")
        raise StudyError(f"analysis.level: {level} heads are not ablated; choose one of {where}.")


def _check_yardstick(config: dict) -> None:
    if (one := yardstick(config)) is None:
        return
    tests = config["documents"].get("test")
    if tests is not None and one["documents"] is not None and one["documents"] > tests:
        raise StudyError(
            f"yardstick.documents: {one['documents']} is more than the {tests} of documents.test; give fewer, or null "
            "for all."
        )
    for key, offered, kind in (
        ("questions", list(config["questions"]), "no question of this study"),
        ("context_lengths", config["prompts"]["context_lengths"], "none of prompts.context_lengths"),
    ):
        for value in one[key]:
            if value not in offered:
                raise StudyError(f"yardstick.{key}: {value} is {kind}; choose from {', '.join(map(str, offered))}.")


def _check_controls(config: dict) -> None:
    tests = config["documents"].get("test")
    offered = {
        "methods": (list(config["methods"]), "none of methods"),
        "questions": (list(config["questions"]), "no question of this study"),
        "context_lengths": (config["prompts"]["context_lengths"], "none of prompts.context_lengths"),
    }
    for name in CONTROLS:
        if (one := control(config, name)) is None:
            continue
        documents = one.get("documents")
        if tests is not None and documents is not None and documents > tests:
            raise StudyError(
                f"controls.{name}.documents: {documents} is more than the {tests} of documents.test; give fewer, or "
                "null for all."
            )
        for key, (known, kind) in offered.items():
            for value in one.get(key, ()):
                if value not in known:
                    choices = ", ".join(map(str, known))
                    raise StudyError(f"controls.{name}.{key}: {value} is {kind}; choose from {choices}.")
    if (one := control(config, "compensation")) is not None:
        _check_compensation(config, one)


def _check_compensation(config: dict, one: dict) -> None:
    every, where = interventions(config), "controls.compensation"
    offered = [name for name, given in every.items() if given["scope"] == "suffix"]
    if not one["interventions"]:
        raise StudyError(
            f"{where}: it takes heads that are ablated in question and answer, and no intervention is of scope suffix; "
            "add one to ablation.interventions, or leave the control out."
        )
    for name in one["interventions"]:
        if name not in offered:
            kind = f"of scope {every[name]['scope']}" if name in every else "no intervention"
            raise StudyError(f"{where}.interventions: {name} is {kind}; choose from {', '.join(offered)}.")
    ablated = {method for name in one["interventions"] for method in ablated_methods(config, name)}
    for method in one["methods"]:
        if method not in ablated:
            raise StudyError(
                f"{where}.methods: none of its interventions ablates the heads of {method}; choose from "
                f"{', '.join(sorted(ablated))}."
            )

"""What no schema can say of a config: values that do not go together, and what YAML makes of a slip of the pen."""

import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from retrieval_heads.errors import StudyError
from retrieval_heads.plain_text import commanding
from retrieval_heads.reading import require_single_keys
from retrieval_heads.study.controls import CONTROLS, control
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.interventions import (
    ablated_lengths,
    ablated_methods,
    ablated_variants,
    interventions,
    key_path,
)
from retrieval_heads.study.method_entries import file_of, ranks_at
from retrieval_heads.study.methods import RIVALS, methods_at
from retrieval_heads.study.modes import twin_modes
from retrieval_heads.study.twice import require_once
from retrieval_heads.study.variants import variant_lengths, variants
from retrieval_heads.study.yardstick import yardstick

_TAKEN = {"models": "prepared models", "comparisons": "comparisons of studies"}
"""Folders that lie beside those of studies, each with what it holds."""

REFERENCE = r"\{(?:figure|table):\w+\}"
"""By what texts of the findings refer to a figure or table; no text of a config has it."""

_PLAIN_IS_MISSING = f"{PLAIN} is missing, which figures and findings are about; add it."


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
    """Refuse what no schema can speak of: keys that are no text, numbers that are not finite, characters that are
    broken or command what shows them, and what findings would take for a reference of theirs."""
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
        if (sign := commanding(value)) is not None:
            raise StudyError(f"{where[:-1]}: it has {sign!r} in it, which commands what shows it; take that out.")
        if reference := re.search(REFERENCE, value):
            raise StudyError(
                f"{where[:-1]}: it has {reference[0]} in it, by which findings refer to their own; write it otherwise."
            )


def check_values(config: dict) -> None:
    """Refuse values of a completed config that do not go together, or whose names could not be told apart.

    Raises
    ------
    StudyError
        with the key, and what to write instead.
    """
    if what := _TAKEN.get(config["study"].casefold()):
        raise StudyError(f"study: {config['study'].casefold()} is the folder of {what}; choose another name.")
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
    require_once(config)


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
        if config["documents"].get(split) == 1 and config["prompts"]["haystack"] == "documents":
            raise StudyError(
                f"documents.{split}: a document's haystack is the others of its split, and there are none; give at "
                "least 2, or a folder of prose as prompts.haystack."
            )
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
    _check_variants(config["prompts"]["variants"], config["questions"])
    _check_methods(config)
    _check_interventions(config)
    _check_yardstick(config)
    _check_parts_of_variants(config)
    _check_ranked_lengths(config)
    _check_controls(config)


def _check_methods(config: dict) -> None:
    trains, lengths = config["documents"].get("train"), config["prompts"]["context_lengths"]
    for name, entry in config["methods"].items():
        for length in entry.get("context_lengths") or ():
            if length not in lengths:
                raise StudyError(
                    f"methods.{name}.context_lengths: {length} is none of prompts.context_lengths; choose from "
                    f"{', '.join(map(str, lengths))}."
                )
        if file_of(name, entry) == "core":
            _check_core(config, name, trains)
        documents = entry.get("documents", 0)
        if trains is not None and documents > trains:
            raise StudyError(
                f"methods.{name}.documents: {documents} is more than the {trains} of documents.train; give fewer."
            )


def _check_ranked_lengths(config: dict) -> None:
    for variant in variants(config):
        where = "prompts" if variant == PLAIN else f"prompts.variants.{variant}"
        for length in variant_lengths(config, variant):
            if not methods_at(config, length, variant):
                raise StudyError(
                    f"{where}.context_lengths: no method ranks heads at {length}; take it out, or add it to the "
                    "context_lengths of a method."
                )


def _check_parts_of_variants(config: dict) -> None:
    """A variant may be ranked at some lengths and by some methods alone, if no more is ablated or measured in it."""
    held = yardstick(config) or {"variants": [], "context_lengths": []}
    for variant, given in config["prompts"]["variants"].items():
        ablating = [name for name in interventions(config) if variant in ablated_variants(config, name)]
        needed: dict[str, set] = {
            "methods": {method for name in ablating for method in ablated_methods(config, name)},
            "context_lengths": {length for name in ablating for length in ablated_lengths(config, name)}
            | set(held["context_lengths"] if variant in held["variants"] else ()),
        }
        offered: dict[str, list] = {
            "methods": list(config["methods"]),
            "context_lengths": config["prompts"]["context_lengths"],
        }
        for key, known in offered.items():
            where = f"prompts.variants.{variant}.{key}"
            for value in given.get(key) or ():
                if value not in known:
                    kind = "none of methods" if key == "methods" else "none of prompts.context_lengths"
                    raise StudyError(f"{where}: {value} is {kind}; choose from {', '.join(map(str, known))}.")
            for value in known:
                if given.get(key) and value in needed[key] and value not in given[key]:
                    raise StudyError(
                        f"{where}: it lacks {value}, for which heads are ablated or measured in this variant; add it, "
                        "or leave the variant out of ablation.variants and yardstick.variants."
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


def _check_variants(variants: dict, questions: dict) -> None:
    _require_distinct("prompts.variants", variants)
    if variants.get(PLAIN) != {}:
        raise StudyError(
            f"prompts.variants: {PLAIN} is what prompts says; begin with {PLAIN}: {{}}, then give others what differs."
        )
    for name, given in variants.items():
        for key in ("text", "answer_prefix"):
            for question in given[key] if isinstance(given.get(key), dict) else ():
                if question not in questions:
                    raise StudyError(
                        f"prompts.variants.{name}.{key}.{question}: this config asks no such question; choose from "
                        f"{', '.join(questions)}."
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
        for variant in ablated_variants(config, name):
            if variant not in config["prompts"]["variants"]:
                raise StudyError(
                    f"{key_path(config, name, 'variants')}: {variant} is none of prompts.variants; choose from "
                    f"{', '.join(config['prompts']['variants'])}."
                )
        if PLAIN not in ablated_variants(config, name):
            raise StudyError(f"{key_path(config, name, 'variants')}: {_PLAIN_IS_MISSING}")
        for method in ablated_methods(config, name):
            if method not in config["methods"]:
                raise StudyError(
                    f"{key_path(config, name, 'methods')}: {method} is none of methods; add it there, to have heads "
                    "ranked by it."
                )
            for length in ablated_lengths(config, name):
                if not ranks_at(config["methods"][method], length):
                    raise StudyError(
                        f"methods.{method}.context_lengths: it lacks {length}, where "
                        f"{key_path(config, name, 'methods')} has its heads ablated; add it, or name the methods there "
                        "without this one."
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
        ("variants", list(config["prompts"]["variants"]), "none of prompts.variants"),
    ):
        for value in one[key]:
            if value not in offered:
                raise StudyError(f"yardstick.{key}: {value} is {kind}; choose from {', '.join(map(str, offered))}.")
    if PLAIN not in one["variants"]:
        raise StudyError(f"yardstick.variants: {_PLAIN_IS_MISSING}")


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
    _check_transfer(config)
    _check_specificity(config)
    _check_compensation(config)


def _check_transfer(config: dict) -> None:
    """Its heads are those that an intervention ablates, in question and answer alone."""
    if (one := control(config, "transfer")) is None:
        return
    every, name, key = interventions(config), one["intervention"], "controls.transfer"
    fitting = [other for other, way in every.items() if way["scope"] == "suffix"]
    if not fitting:
        raise StudyError(
            f"{key}.intervention: none of ablation.interventions has scope suffix; add one, or take the control out."
        )
    if name not in fitting:
        raise StudyError(
            f"{key}.intervention: {name} is no intervention in scope suffix; choose from {', '.join(fitting)}."
        )
    if len(config["questions"]) < 2:
        raise StudyError(f"{key}: a single question has no other's heads; ask several, or take the control out.")
    offered = {
        "level": ([one["level"]], every[name]["levels"]),
        "methods": (one["methods"], ablated_methods(config, name)),
        "context_lengths": (one["context_lengths"], ablated_lengths(config, name)),
    }
    for part, (chosen, known) in offered.items():
        for value in chosen:
            if value not in known:
                choices = ", ".join(map(str, known))
                raise StudyError(
                    f"{key}.{part}: {value} is none of what the intervention {name} ablates; choose from {choices}."
                )


def _check_specificity(config: dict) -> None:
    """Items have no twin, and what is lost of them is held against what an intervention takes from the prompts."""
    if (one := control(config, "specificity")) is None:
        return
    name, every = one["intervention"], interventions(config)
    twinless = [key for key, how in every.items() if how["mode"] not in twin_modes()]
    if name not in twinless:
        why = f"{name} is no intervention" if name not in every else f"{name} takes outputs from a twin"
        why = "none has scope suffix and needs no twin" if name is None else why
        choice = f"name one of {', '.join(twinless)}" if twinless else "add one of mode zero to ablation.interventions"
        raise StudyError(f"controls.specificity.intervention: {why}, and facts and sums have no twin; {choice}.")
    offered = {
        "methods": ablated_methods(config, name),
        "levels": every[name]["levels"],
        "context_lengths": ablated_lengths(config, name),
    }
    for key, known in offered.items():
        for value in one[key]:
            if value not in known:
                raise StudyError(
                    f"controls.specificity.{key}: {value} is none of those that {name} ablates; choose from "
                    f"{', '.join(map(str, known))}."
                )


def _check_compensation(config: dict) -> None:
    """Its heads and sets are those that interventions ablate, in question and answer alone."""
    if (one := control(config, "compensation")) is None:
        return
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

"""A study's config: its schema, its defaults, and what a schema cannot say."""

import copy
import difflib
import json
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, validators

from retrieval_heads.declared import require_parameters
from retrieval_heads.documents import document_source
from retrieval_heads.errors import StudyError
from retrieval_heads.folder import names
from retrieval_heads.haystack import DOCUMENTS
from retrieval_heads.identity import model_content, model_folder
from retrieval_heads.loading import require_quantizer, require_trusted
from retrieval_heads.model_sources import source_module

_HERE = Path(__file__).parent


@cache
def schema() -> dict:
    """The JSON schema of a config."""
    return yaml.safe_load((_HERE / "schemas" / "config.schema.yaml").read_text())


def complete(config: dict) -> dict:
    """A config with all defaults filled in, checked.

    Raises
    ------
    StudyError
        with the key that is wrong and what to write instead.
    """
    config = copy.deepcopy(config)
    _require_text_keys(config)
    errors = sorted(_Validator(schema()).iter_errors(config), key=_order)
    if errors:
        raise StudyError(_sentence(errors[0], config))
    _fill(config, schema())
    _check_values(config)
    if not config["published"]:
        _check_model_values(config)
    return config


def ablated_lengths(config: dict) -> list[int]:
    """The context lengths at which heads are ablated."""
    return config["ablation"]["context_lengths"] or config["prompts"]["context_lengths"]


def head_sets(config: dict) -> int:
    """How many sets of heads are cut for a question at each length: top and random ones, and none for the baseline."""
    ablation = config["ablation"]
    draws = ablation["random_draws"]["matched"] + ablation["random_draws"]["unmatched"]
    return 1 + len(config["methods"]) * len(ablation["levels"]) * (1 + draws)


def check_surroundings(config: dict, packages: bool = True) -> None:
    """Check what a config names outside itself: documents, folders, models, results and lists of others, room to write.

    Parameters
    ----------
    packages : whether jobs see the Python packages that this process sees, as they do without conda environments.

    Raises
    ------
    StudyError
        with the key that names what is missing or does not fit.
    """
    results = Path(config["results"])
    existing = next(path for path in (results, *results.resolve().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise StudyError(f"results: cannot write to {results}; choose another folder.")
    if config["published"]:
        # Imported here, as it imports pandas, which no other study needs outside its jobs.
        from retrieval_heads import published

        published.check(config)
        _check_imports(config, {})
        return
    if (haystack := config["prompts"]["haystack"]) != DOCUMENTS and not Path(haystack).is_dir():
        raise StudyError(f"prompts.haystack: there is no folder {haystack}; check the path.")
    document_source(config).check(config, packages)
    grids = {}
    for name, model in config["models"].items():
        source = model["source"]
        if packages or "package" not in source:
            source_module(source).check(source, f"models.{name}")
        require_quantizer(f"models.{name}", model.get("quantization"), config["compute"]["device"], packages)
        # The content of a local folder is not asked for here, as it does not decide where the folder is.
        content = None if "path" in source else model_content(source, results, packages)
        folder = model_folder(name, source, content, results)
        if (grid := _check_model(config, name, folder)) is not None:
            grids[name] = grid
        if packages and (folder / "config.json").is_file():
            require_trusted(folder, f"models.{name}", model["trust_remote_code"])
    _check_imports(config, grids)


# JSON takes 512.0 for an integer; file names and ranges do not.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


def _require_text_keys(value: object, where: str = "") -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise StudyError(f"{where}{key}: YAML reads this key as no text; put it in quotes or rename it.")
            _require_text_keys(item, f"{where}{key}.")


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


def _sentence(error, config: dict) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(unknown, known, 1)
        hint = f"did you mean {close[0]}?" if close else f"known here are {', '.join(known)}."
        return f"{'.'.join(filter(None, (where, str(unknown))))}: no such key in the config; {hint}"
    if error.validator == "required":
        missing = error.message.split("'")[1]
        return f"{'.'.join(filter(None, (where, missing)))}: this key is missing from the config; add it."
    if error.validator == "oneOf":
        forms = "; ".join(
            "{" + ", ".join(f"{key}: …" for key in form["required"]) + "}" for form in error.validator_value
        )
        return f"{where}: {error.instance} is no source of models; write one of {forms}."
    if error.validator == "not":
        if not config.get("published"):
            source = config["documents"].get("source", "generator")
            return f"{where}: this key has no meaning for source {source}; take it out or change documents.source."
        return f"{where}: this key has no meaning where results are published; take it out."
    return f"{where or 'config'}: {error.message}; see config/README.md for what it may be."


def _check_values(config: dict) -> None:
    for name in config["methods"]:
        if name not in (known := names("methods")):
            raise StudyError(f"methods.{name}: no such method; there are {', '.join(known)}.")
    if config["study"] == "models":
        raise StudyError("study: models is the folder of prepared models; choose another name.")
    for name, given in config["methods"].items():
        require_parameters(name, given)
    for name, entry in config["imports"].items():
        model = entry.setdefault("model", next(iter(config["models"])) if len(config["models"]) == 1 else None)
        if model not in config["models"]:
            which = "this key is missing" if model is None else f"{model} is no model of this study"
            raise StudyError(f"imports.{name}.model: {which}; write one of {', '.join(config['models'])}.")
    if config["published"]:
        _check_published_names(config)


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
    for key in config["documents"].get("answers", {}):
        if key not in config["questions"]:
            raise StudyError(f"documents.answers.{key}: this config asks no such question; correct the name.")
    budget = config["prompts"]["suffix_budget"]
    for length in config["prompts"]["context_lengths"]:
        if length <= budget:
            raise StudyError(
                f"prompts.context_lengths: {length} leaves no room for a context beside "
                f"prompts.suffix_budget ({budget}); give longer ones."
            )
    for length in ablated_lengths(config):
        if length not in config["prompts"]["context_lengths"]:
            raise StudyError(
                f"ablation.context_lengths: {length} is none of prompts.context_lengths; "
                "add it there, to have its heads ranked."
            )
    if (level := config["analysis"]["level"]) is not None and level not in config["ablation"]["levels"]:
        raise StudyError(f"analysis.level: {level} heads are not ablated; choose one of ablation.levels.")


def _check_model(config: dict, name: str, folder: Path) -> tuple[int, int] | None:
    """Hold a study against the shape of a model, where a folder tells it already: layers, and heads in each."""
    if not (file := folder / "config.json").is_file():
        return None
    try:
        shape = json.loads(file.read_text())
    except ValueError as error:
        raise StudyError(f"{file}: not valid JSON; get the model of {name} anew.") from error
    shape = shape.get("text_config", shape)
    limit, heads = shape.get("max_position_embeddings"), shape.get("num_attention_heads")
    for length in config["prompts"]["context_lengths"]:
        if limit is not None and length > limit:
            raise StudyError(
                f"prompts.context_lengths: {length} is beyond the {limit} tokens of {name}; give shorter ones."
            )
    if heads is None or (layers := shape.get("num_hidden_layers")) is None:
        return None
    for level in config["ablation"]["levels"]:
        if level > heads * layers:
            raise StudyError(
                f"ablation.levels: {level} is more than the {heads * layers} heads of {name}; give smaller levels."
            )
    return layers, heads


def _check_imports(config: dict, grids: dict[str, tuple[int, int]]) -> None:
    """Read the imported lists, and hold them against the models whose layers and heads are known already."""
    if config["imports"]:
        # Imported here, as it imports pandas, which no other study needs outside its jobs.
        from retrieval_heads import imports

        for entry in config["imports"].values():
            heads, model = imports.read_list(entry["file"]), entry["model"]
            if model in grids:
                imports.require_within(entry["file"], heads, model, grids[model])

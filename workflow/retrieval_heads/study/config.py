"""A study's config as its stages read it: checked, with everything written out that it leaves to defaults."""

import copy
from collections.abc import Mapping
from datetime import date
from typing import Any

from retrieval_heads.errors import StudyError
from retrieval_heads.study.checks import check_values, require_plain
from retrieval_heads.study.controls import write_out_controls
from retrieval_heads.study.forms import errors, form_of, schema
from retrieval_heads.study.interventions import name_interventions, require_one_form
from retrieval_heads.study.refusals import most_telling, sentence
from retrieval_heads.study.yardstick import write_out_yardstick


def complete(config: dict) -> dict:
    """A config with all defaults filled in, checked.

    Raises
    ------
    StudyError
        with the key that is wrong and what to write instead.
    """
    try:
        config = _dates_as_text(config)
        require_plain(config)
    except RecursionError as error:
        raise StudyError("config: it is nested without an end; take out what refers to itself.") from error
    # Of what is no config at all the whole schema says so.
    form = form_of(config) if isinstance(config, dict) else schema()
    if (fault := most_telling(errors(config, form))) is not None:
        raise StudyError(sentence(fault))
    require_one_form(config.get("ablation", {}))
    _fill(config, form)
    if not config["published"]:
        name_interventions(config["ablation"])
        write_out_yardstick(config)
        write_out_controls(config)
    _name_the_only_model(config)
    check_values(config)
    return config


def require_methods(methods: Mapping[str, Mapping]) -> None:
    """Refuse methods that there are not, and values that their parameters do not take, without a whole config.

    Raises
    ------
    StudyError
        with the key that is wrong, as it stands in a config.
    """
    given = {"methods": dict(methods)}
    form = {"type": "object", "properties": {"methods": form_of(given)["properties"]["methods"]}}
    if (error := most_telling(errors(given, form))) is not None:
        raise StudyError(sentence(error))


def _dates_as_text(value: Any) -> Any:
    """A copy of a config with the dates that YAML reads as the text that stands there."""
    if isinstance(value, dict):
        return {key: _dates_as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(item) for item in value]
    return value.isoformat() if type(value) is date else value


def _fill(value: Any, rules: dict) -> None:
    """Fill in a schema's defaults."""
    if not isinstance(value, dict):
        return
    for key, rule in rules.get("properties", {}).items():
        if "default" in rule:
            value.setdefault(key, copy.deepcopy(rule["default"]))
        if key in value:
            _fill(value[key], rule)
    if isinstance(entry := rules.get("additionalProperties"), dict):
        for item in value.values():
            _fill(item, entry)


def _name_the_only_model(config: dict) -> None:
    """Give the imported lists that name no model that of the study, where it has one."""
    for entry in config["imports"].values():
        if len(config["models"]) == 1:
            entry.setdefault("model", next(iter(config["models"])))


def told(config: Mapping) -> dict[str, Any]:
    """A config with all defaults as the findings tell it, whatever the order of its sections: which versions of
    libraries were accepted is told by the tables."""
    found = {section: config[section] for section in sorted(config)}
    if not config["published"]:
        found["compute"] = {key: value for key, value in config["compute"].items() if key != "accept_versions"}
    return found

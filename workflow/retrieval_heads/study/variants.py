"""The variants of the prompts: named ways of asking the same, each a set of what differs from the plain one."""

from collections.abc import Mapping
from typing import Any

from retrieval_heads.study.dimensions import DIMENSION

_NO_SETTINGS = ("context_lengths", "variants")
"""What ``prompts`` has beside the settings that a single prompt is built by."""


def variants(config: Mapping) -> list[str]:
    """The variants of a complete config, the plain one first."""
    return DIMENSION["variant"].values(config)


def prompt_settings(config: Mapping, variant: str) -> dict[str, Any]:
    """What ``prompts`` says of a variant's prompts of any length: what is said for all, and what differs in it."""
    overrides = dict(config["prompts"]["variants"][variant])
    overrides.pop("answer_prefix", None)
    return {key: value for key, value in config["prompts"].items() if key not in _NO_SETTINGS} | overrides


def asked_questions(config: Mapping, variant: str) -> dict[str, dict[str, Any]]:
    """What a variant's prompts ask: each question's text, type and answer prefix.

    What is only shown, such as a label, is left out: another one asks nothing anew.
    """
    shared = {key: value for key, value in config["prompts"]["variants"][variant].items() if key == "answer_prefix"}
    return {
        name: {key: question[key] for key in ("text", "type", "answer_prefix")} | shared
        for name, question in config["questions"].items()
    }

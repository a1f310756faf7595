"""The variants of the prompts: named ways of asking the same, each a set of what differs from the plain one."""

from collections.abc import Mapping
from typing import Any

from retrieval_heads.study.dimensions import DIMENSION

_NO_SETTINGS = ("context_lengths", "variants", "methods")
"""What ``prompts`` and its variants have beside the settings that a single prompt is built by."""

_OF_QUESTIONS = ("text", "answer_prefix")
"""What a variant may override of the questions, all else being settings of prompts."""


def variants(config: Mapping) -> list[str]:
    """The variants of a complete config, the plain one first."""
    return DIMENSION["variant"].values(config)


def variant_lengths(config: Mapping, variant: str) -> list[int]:
    """The context lengths at which there are prompts of a variant, in the config's order."""
    every = config["prompts"]["context_lengths"]
    chosen = _given(config, variant).get("context_lengths") or every
    return [length for length in every if length in chosen]


def ranked_by(config: Mapping, variant: str) -> list[str]:
    """The methods by which heads are ranked in a variant, in the config's order."""
    chosen = _given(config, variant).get("methods") or config["methods"]
    return [name for name in config["methods"] if name in chosen]


def _given(config: Mapping, variant: str) -> Mapping[str, Any]:
    """What a config says of a variant; nothing where results are published, which have no variants."""
    return (config["prompts"].get("variants") or {}).get(variant, {})


def prompt_settings(config: Mapping, variant: str) -> dict[str, Any]:
    """What ``prompts`` says of a variant's prompts of any length: what is said for all, and what differs in it."""
    given = config["prompts"]["variants"][variant]
    overrides = {key: value for key, value in given.items() if key not in (*_OF_QUESTIONS, *_NO_SETTINGS)}
    return {key: value for key, value in config["prompts"].items() if key not in _NO_SETTINGS} | overrides


def asked_questions(config: Mapping, variant: str) -> dict[str, dict[str, Any]]:
    """What a variant's prompts ask: each question's text, type and answer prefix.

    What is only shown, such as a label, is left out: another one asks nothing anew.
    """
    given = config["prompts"]["variants"][variant]

    def overrides(question: str) -> dict[str, str]:
        """What the variant says for all questions, and what it says for this one."""
        said = {key: given[key] for key in _OF_QUESTIONS if key in given}
        own = {key: value.get(question) if isinstance(value, dict) else value for key, value in said.items()}
        return {key: value for key, value in own.items() if value is not None}

    return {
        name: {key: question[key] for key in ("text", "type", "answer_prefix")} | overrides(name)
        for name, question in config["questions"].items()
    }


def decoyed(config: Mapping, variant: str) -> bool:
    """Whether the haystack of a variant's prompts states the facts of somebody else too."""
    return bool(config["prompts"]["variants"][variant].get("decoy"))

"""What a config must not have twice: one thing under two names, which would confirm itself, and one label for two."""

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from retrieval_heads.errors import StudyError
from retrieval_heads.study.dimensions import described
from retrieval_heads.study.interventions import interventions
from retrieval_heads.study.method_entries import file_of, parameters_of
from retrieval_heads.study.methods import described_methods
from retrieval_heads.study.variants import asked_questions, decoyed, prompt_settings, variants

_LABELLED = ("model", "method", "question", "import")
"""What a config may label, by the names of :mod:`~retrieval_heads.study.dimensions`."""


def require_once(config: Mapping) -> None:
    """Refuse entries of a complete config that are the same under two names, or are shown by one label.

    Two rankings by one method agree, whatever it is worth, and a claim that holds in two variants needs two of them.

    Raises
    ------
    StudyError
        with the second of both.
    """
    for section, meant in _meant(config).items():
        first: dict[str, str] = {}
        for name, what in meant.items():
            if (other := first.setdefault(json.dumps(what, sort_keys=True, default=str), name)) != name:
                raise StudyError(
                    f"{section}.{name}: this is the same as {other}; say what differs, or take one of them out."
                )
    for section, labels in _labels(config).items():
        first = {}
        for name, label in labels.items():
            if (other := first.setdefault(label, name)) != name:
                raise StudyError(
                    f"{section}.{name}.label: {label} is what {other} is called; give each a label of its own."
                )


def _meant(config: Mapping) -> dict[str, dict[str, Any]]:
    """Section → name → all that tells an entry from others; where and how often it is measured does not."""
    lists = {name: (_path(entry["file"]), entry["model"]) for name, entry in config["imports"].items()}
    if config["published"]:
        return {"imports": lists}
    return {
        "models": {
            name: [
                {key: _path(value) if key in ("path", "gguf") else value for key, value in entry["source"].items()},
                *(entry.get(key) for key in ("dtype", "quantization")),
            ]
            for name, entry in config["models"].items()
        },
        "questions": {
            name: [
                [asked_questions(config, variant)[name] for variant in variants(config)],
                config["documents"].get("answers", {}).get(name),
            ]
            for name in config["questions"]
        },
        "methods": {name: [file_of(name, one), parameters_of(name, one)] for name, one in config["methods"].items()},
        "prompts.variants": {
            name: [_settings(config, name), asked_questions(config, name), decoyed(config, name)]
            for name in variants(config)
        },
        "ablation.interventions": dict(interventions(config)),
        "imports": lists,
    }


def _labels(config: Mapping) -> dict[str, dict[str, str]]:
    """Section → name → how readers are shown an entry."""
    found = {}
    for what in _LABELLED:
        section = f"{what}s"
        entries = described_methods(config) if what == "method" else config[section]
        found[section] = {
            name: " ".join((entry.get("label") or described(what).show(name)).split())
            for name, entry in entries.items()
        }
    return found


def _settings(config: Mapping, variant: str) -> dict[str, Any]:
    """What prompts of a variant are built by; only a chat template takes a date."""
    settings = prompt_settings(config, variant)
    return settings if settings["chat_template"] else settings | {"date": None}


def _path(value: str | Iterable[str]) -> str:
    """A path, however it is spelt."""
    return os.path.normpath(value) if isinstance(value, str) else str(value)

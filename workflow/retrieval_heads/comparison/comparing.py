"""Two studies held against each other."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retrieval_heads.comparison.claims import compare_claims
from retrieval_heads.comparison.rankings import compare_depths, compare_quality, compare_rankings
from retrieval_heads.comparison.results import Results, read

_UNSAID = ("study", "results")
"""Keys of a config that tell where results go, and nothing of what they are."""

_SAID = ("config", "seed")
"""Keys of what made results that the config tells too."""


@dataclass(frozen=True)
class Comparison:
    """What two studies have in common, and what differs.

    Parameters
    ----------
    a, b : the studies. Where each has one model, B's has the name of A's here.
    renamed : the names of these models in A and in B, where they differ.
    settings : dotted key of the config → its values in A and in B, where these differ; None where a study lacks it.
    made_with : the same of what made the results, such as ``models.small.torch``; nothing where a study does not tell.
    claims : from :func:`~retrieval_heads.comparison.claims.compare_claims`.
    rankings, depths, quality : from the functions of :mod:`~retrieval_heads.comparison.rankings`.
    """

    a: Results
    b: Results
    renamed: tuple[str, str] | None
    settings: Mapping[str, tuple[Any, Any]]
    made_with: Mapping[str, tuple[Any, Any]]
    claims: Mapping[str, Any]
    rankings: pd.DataFrame
    depths: pd.DataFrame
    quality: pd.DataFrame


def compare(a: str | Path, b: str | Path) -> Comparison:
    """Compare two finished studies.

    Claims and rankings are matched by the names of models, methods, questions, context lengths and variants. Models
    that have other names are matched where each study has one.

    Parameters
    ----------
    a, b : folders of results.

    Raises
    ------
    StudyError
        when one of them is not that of a finished study, or of another version.
    """
    one, other = read(a), read(b)
    renamed = None
    if len(one.models) == len(other.models) == 1 and one.models != other.models:
        renamed = one.models[0], other.models[0]
        other = other.with_model(one.models[0])
    return Comparison(
        one,
        other,
        renamed,
        _differences(one.config, other.config, _UNSAID),
        _differences(one.made_with, other.made_with, _SAID) if one.made_with and other.made_with else {},
        compare_claims(one.findings["claims"], other.findings["claims"]),
        compare_rankings(one, other),
        compare_depths(one, other),
        compare_quality(one, other),
    )


def as_json(found: Comparison) -> str:
    """A comparison for programs, as the text of a file."""
    studies = {
        name: {
            "folder": str(results.folder),
            "study": results.name,
            "code": results.findings["code"],
            "models": results.findings["models"],
        }
        for name, results in (("a", found.a), ("b", found.b))
    }
    tables = {name: _records(getattr(found, name)) for name in ("rankings", "depths", "quality")}
    data = {
        "format": 1,
        **studies,
        "renamed": dict(zip("ab", found.renamed, strict=True)) if found.renamed else None,
        "settings": _rows(found.settings),
        "made_with": _rows(found.made_with),
        "claims": found.claims,
        **tables,
    }
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _records(frame: pd.DataFrame) -> list[dict]:
    """Rows as objects, with null for what is not known."""
    return json.loads(frame.to_json(orient="records", double_precision=15))


def _rows(differences: Mapping[str, tuple[Any, Any]]) -> list[dict]:
    return [{"key": key, "a": a, "b": b} for key, (a, b) in differences.items()]


def _differences(a: Mapping, b: Mapping, but: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """Dotted key → its values in the one and in the other, where these differ, but for some keys."""
    of_a, of_b = (dict(_flat(one)) for one in (a, b))
    keys = [key for key in dict.fromkeys([*of_a, *of_b]) if key not in but]
    return {key: (of_a.get(key), of_b.get(key)) for key in keys if of_a.get(key) != of_b.get(key)}


def _flat(config: Mapping, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value

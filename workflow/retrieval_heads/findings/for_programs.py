"""The findings for programs: every claim with its numbers, as JSON of the form that findings.schema.json describes."""

import json
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from retrieval_heads.analysis.overlap import grids
from retrieval_heads.findings import claims
from retrieval_heads.findings.claims.outcome import Claim, Effect
from retrieval_heads.findings.json_schema import FORMAT
from retrieval_heads.findings.provenance import provenance
from retrieval_heads.findings.rendering import Findings, without_missing_references
from retrieval_heads.findings.sections import Tables
from retrieval_heads.study.dimensions import DIMENSION, PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import of_variant


def data(study: Study, tables: Tables, findings: Findings, code: str) -> dict[str, Any]:
    """The findings as objects, lists, texts and numbers alone.

    Parameters
    ----------
    study : the study.
    tables : those that the findings are put together from.
    findings : from :func:`retrieval_heads.findings.rendering.build`.
    code : the digest of the code that writes them (:func:`retrieval_heads.provenance.code_digest`).
    """
    tables = of_variant(tables, PLAIN)
    return {
        "format": FORMAT,
        "study": study.name,
        "title": findings.title,
        "code": code,
        "config": _plain(study.config),
        "made_with": provenance(study).data,
        "models": {
            model: {"layers": grid.layers, "heads": grid.heads, **_precision(study.model_runs.get(model, {}))}
            for model, grid in grids(tables["rankings"]).items()
        },
        "labels": {
            name: {str(value): study.label(name, value) for value in study.configured(name)} for name in DIMENSION
        },
        "answer": [_text(sentence) for sentence in findings.answer],
        "signs": [_text(claim.sentence) for claim in findings.signs],
        "sections": [
            {"key": section.key, "title": section.title, "part": part}
            for part, sections in findings.parts.items()
            for section in sections
        ],
        "claims": [
            {"section": section, **_claim(claim)}
            for section in claims.RULES
            for claim in claims.of_section(section, tables, study)
        ],
        "figures": _shown(findings, "figure"),
        "tables": _shown(findings, "table"),
    }


def as_json(found: Mapping[str, Any]) -> str:
    """What :func:`data` gives, as the text of a file."""
    return json.dumps(found, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _precision(run: Mapping[str, str]) -> dict[str, str]:
    return {name: run[name] for name in ("dtype", "device") if name in run}


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "rule": claim.rule,
        "of": _plain(claim.of),
        "statement": claim.statement,
        "outcome": str(claim.outcome),
        "effect": _effect(claim.effect),
        "sentence": _text(claim.sentence),
        "family": claim.family.statement if claim.family else None,
        "about": claim.about,
        "parts": [_claim(part) for part in claim.parts],
    }


def _effect(effect: Effect | None) -> dict[str, Any] | None:
    """An effect's numbers; ends and p that are not known are null, and so is an effect that has no value."""
    if effect is None or not math.isfinite(effect.value):
        return None
    return {
        "value": float(effect.value),
        "low": _number(effect.low),
        "high": _number(effect.high),
        "unit": effect.unit,
        "p": _number(effect.p),
        "none": float(effect.none),
    }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _text(sentence: str) -> str:
    """A sentence without references to figures and tables."""
    return without_missing_references(sentence, {})


def _shown(findings: Findings, word: str) -> list[dict[str, str]]:
    """The figures, or the tables, in their order: each where it stands in full, which is last."""
    places = {
        block.name: {"title": block.title, "section": section.key}
        for section in findings.sections
        for block in section.blocks
        if hasattr(block, "name") and hasattr(block, "title")
    }
    return [
        {"name": name, "label": label, "caption": findings.captions[name], **places[name]}
        for kind, name, label in ((*key.split(":"), label) for key, label in findings.labels.items())
        if kind == word
    ]


def _plain(value: Any) -> Any:
    """A value of the config, or of a dimension, as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return str(value)

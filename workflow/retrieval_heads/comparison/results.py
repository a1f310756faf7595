"""What is compared of a finished study: its findings for programs, and its tables of rankings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from retrieval_heads import tables
from retrieval_heads.analysis.overlap import grids
from retrieval_heads.errors import StudyError
from retrieval_heads.findings.reading import AGAIN, read_findings
from retrieval_heads.tables.heads import Grid


@dataclass(frozen=True)
class Results:
    """A finished study.

    Parameters
    ----------
    folder : of its results.
    findings : what its findings.json holds.
    rankings : the table of this name.
    quality, reliability : the tables ``ranking_quality`` and ``reliability``; without rows where the study has none.
    """

    folder: Path
    findings: Mapping[str, Any]
    rankings: pd.DataFrame
    quality: pd.DataFrame
    reliability: pd.DataFrame

    @property
    def name(self) -> str:
        """The study's."""
        return self.findings["study"]

    @property
    def config(self) -> Mapping[str, Any]:
        """The study's config, with all defaults filled in."""
        return self.findings["config"]

    @property
    def made_with(self) -> Mapping[str, Any]:
        """What made the results; empty in findings of an earlier version."""
        return self.findings.get("made_with", {})

    @property
    def models(self) -> list[str]:
        """The names of the models that have rankings."""
        return list(self.findings["models"])

    @property
    def grids(self) -> dict[str, Grid]:
        """The grid of heads of each model."""
        return grids(self.rankings)

    def label(self, dimension: str, value: object) -> str:
        """How a value of a dimension is shown."""
        return self.findings["labels"].get(dimension, {}).get(str(value), str(value))

    def with_model(self, name: str) -> "Results":
        """The same study of one model, with another name for it."""
        (model,) = self.models
        claims = [
            {**claim, "of": {**claim["of"], "model": name}} if "model" in claim["of"] else claim
            for claim in self.findings["claims"]
        ]
        runs = self.made_with.get("models", {})
        findings = {
            **self.findings,
            **({"made_with": {**self.made_with, "models": {name: runs.get(model, {})}}} if self.made_with else {}),
            "claims": claims,
            "models": {name: self.findings["models"][model]},
            "labels": {**self.findings["labels"], "model": {name: self.label("model", model)}},
            "config": {**self.config, "models": {name: self.config["models"].get(model)}},
        }
        named = {table: getattr(self, table).assign(model=name) for table in ("rankings", "quality", "reliability")}
        return replace(self, findings=findings, **named)


def read(folder: str | Path) -> Results:
    """Read what is compared of a finished study.

    Raises
    ------
    StudyError
        when the folder is missing, has no findings for programs, or has some of another version.
    """
    folder, findings = Path(folder), read_findings(folder)
    rankings, quality, reliability = (_table(folder, name) for name in ("rankings", "ranking_quality", "reliability"))
    if rankings.empty:
        raise StudyError(f"{folder}: has no rankings in tables/rankings.parquet; {AGAIN}.")
    return Results(folder, findings, rankings, quality, reliability)


def _table(folder: Path, name: str) -> pd.DataFrame:
    """A table of a study, without rows where it has none."""
    file, table = folder / "tables" / f"{name}.parquet", tables.by_name(name)
    return tables.read(file, table) if file.is_file() else table.empty()

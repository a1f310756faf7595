"""Rows by the grid of heads of their models: between other grids, other overlaps are due to chance."""

from dataclasses import replace
from functools import wraps

import pandas as pd

from retrieval_heads.analysis.shapes import results_by_grid
from retrieval_heads.findings.claims.outcome import Claim, Rule, Tables
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import listed
from retrieval_heads.tables import heads
from retrieval_heads.tables.heads import Grid

TABLES: dict[str, dict[str, int]] = {"effects": {}, "rankings": {}}


def by_grid(rows: pd.DataFrame) -> list[tuple[str, dict[str, int], pd.DataFrame]]:
    """Rows of each grid, with what a sentence and what ``Claim.of`` add to say which models they are about; with one
    grid, nothing."""
    grids = list(heads.by_grid(rows))
    if len(grids) == 1:
        return [("", {}, of_grid) for _, of_grid in grids]
    return [(f" in models of {grid} heads", grid._asdict(), of_grid) for grid, of_grid in grids]


def for_each_grid(rule: Rule) -> Rule:
    """A rule whose claims are about several models at once, as one that makes them for the models of each grid.

    No mean is over two grids. With one, the rule is as it is.
    """

    @wraps(rule)
    def of_each(tables: Tables, study: Study) -> list[Claim]:
        if len(parts := results_by_grid(tables, study.config["models"])) < 2:
            return rule(tables, study)
        return [_about(claim, study, grid, models) for grid, models, part in parts for claim in rule(part, study)]

    return of_each


def _about(claim: Claim, study: Study, grid: Grid | None, models: list[str]) -> Claim:
    """A claim that says which models it is about."""
    named = listed([study.label("model", model) for model in study.in_config_order("model", models)])
    return replace(
        claim,
        statement=f"{claim.statement} in {named}",
        sentence=f"In {named}: {claim.sentence}",
        family=claim.family and replace(claim.family, statement=f"{claim.family.statement} in {named}"),
        of={**claim.of, **({"model": models[0]} if len(models) == 1 else {"grid": str(grid)})},
    )

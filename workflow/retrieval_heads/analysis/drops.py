"""Drops of accuracy, configuration by configuration: their means with equal weight, and those of the units of tests."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import pandas as pd

from retrieval_heads.analysis.outcomes import BASELINE, Difference, HeadSet, Outcomes
from retrieval_heads.analysis.shapes import models_by_grid
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.mean_drops import MEAN_DROPS

_APART = (*INTERVENTION_COLUMNS, "variant")
"""No mean is over several values of these."""

_GROUPINGS = ("all", *(name for name in DIMENSIONS if name not in _APART), "category")
_KIND = ("source", "matching")
_KEY = (*INTERVENTION_COLUMNS, *CELL, "method", "k", "size", *_KIND)
"""What tells drops apart; the source is explained in :func:`drops_by_unit`."""


def mean_drops(
    outcomes: Outcomes, categories: Mapping[str, str], grids: Mapping[str, Grid] | None = None
) -> pd.DataFrame:
    """Mean drop over configurations of equal weight, for each value of each dimension and over all.

    By intervention, by variant of the prompts, and by the models' grid of heads: as many heads are another share of
    another grid.

    Parameters
    ----------
    categories : question → category.
    grids : model → its grid, as far as that is known.

    Returns
    -------
    The mean_drops table: at each level, and over all levels (k null). Standard deviations are population ones, over the
    configurations and levels that the mean is over.
    """
    by_grid = models_by_grid(grids or {}, outcomes.frame["model"])
    parts = [
        (grid, part, *_drops_table(part, categories))
        for grid, models in by_grid.items()
        for part in outcomes.of_models(models).split(_APART)
    ]
    found = []
    for grouping, by_level in product(_GROUPINGS, (True, False)):
        for grid, part, drops, table in parts:
            # Over all levels a set counts once, though it be the top set of several.
            rows = table if by_level else table.drop_duplicates([name for name in _KEY if name != "k"])
            by = [grouping, *_KIND, *(["k"] if by_level else [])]
            for (value, source, matching, *k), group in rows.groupby(by, dropna=False, sort=True):
                mean = part.mean([drops[i] for i in group.index])
                found.append(
                    {
                        **{name: part.values[name] for name in _APART},
                        **(grid._asdict() if grid else {}),
                        "grouping": grouping,
                        "value": str(value),
                        "k": k[0] if k else None,
                        "source": source,
                        "matching": matching if pd.notna(matching) else None,
                        "drop": mean.value,
                        "drop_low": mean.low,
                        "drop_high": mean.high,
                        "drop_sd": group["drop"].std(ddof=0),
                        "configurations": len(group.drop_duplicates(list(DIMENSIONS))),
                    }
                )
    frame = pd.DataFrame(found, columns=MEAN_DROPS.columns)
    return frame.astype({**dict.fromkeys(MEAN_DROPS.integers, "Int64"), "matching": object})


def drops_by_unit(outcomes: Outcomes) -> pd.DataFrame:
    """The drop of each configuration and level in each of the units that tests compare.

    Returns
    -------
    The columns of the intervention, the dimensions, k, size, source (method: the top heads; random: the mean over the
    draws; difference: how much more the top heads cost; equal: the top heads at the size of another top set), matching
    (of the random heads, else null), doc_id (null where the unit is the whole configuration) and drop.
    """
    rows = [
        {**row, "doc_id": unit, "drop": total / prompts}
        for part in outcomes.split(INTERVENTION_COLUMNS)
        for row, drop in _drops(part)
        for unit, total, prompts in zip(drop.units, drop.sums, drop.counts, strict=True)
    ]
    return pd.DataFrame(rows, columns=[*_KEY, "doc_id", "drop"]).sort_values([*_KEY, "doc_id"], ignore_index=True)


def at_equal_size(drops: pd.DataFrame, fixed: list[str], dimension: str, levels: Iterable[int]) -> pd.DataFrame:
    """Drops with top heads ablated, at sizes that all values of a dimension have in common.

    Parameters
    ----------
    drops : from :func:`drops_by_unit`, with a column for the dimension.
    fixed : the columns that, with the dimension, tell configurations apart.
    levels : up to which size, one comparison for each.

    Returns
    -------
    For each setting of the fixed columns and each level k, the rows of the largest size, up to k, at which every value
    that is there had heads ablated; k is the level.
    """
    drops = drops[drops["source"].isin(["method", "equal"])]
    # A set can be there as the top set of several levels, and as the one that is as large as another.
    drops = drops.drop_duplicates([*DIMENSIONS, "doc_id", "size"])
    # A value may have several configurations, as a category has questions: then each of them counts.
    compared = sorted({"question", dimension}.difference(fixed))
    cells = drops[[*fixed, *compared, "size"]].drop_duplicates()
    value, setting = cells.groupby(compared).ngroup(), [cells[name] for name in fixed]
    having = value.groupby([*setting, cells["size"]]).transform("nunique")
    common = cells[having == value.groupby(setting).transform("nunique")].sort_values("size")
    largest = [common[common["size"] <= k].drop_duplicates(fixed, keep="last").assign(k=k) for k in levels]
    # What is compared at one level is not compared again at the next.
    chosen = pd.concat([common.iloc[:0].assign(k=0), *largest]).drop_duplicates([*fixed, "size"])
    return drops.drop(columns="k").merge(chosen[[*fixed, "size", "k"]], on=[*fixed, "size"])


def _drops_table(outcomes: Outcomes, categories: Mapping[str, str]) -> tuple[list[Difference], pd.DataFrame]:
    """All drops under one intervention but those of source equal, and a table whose index counts them."""
    known = [(row, drop) for row, drop in _drops(outcomes) if row["source"] != "equal"]
    drops = [drop for _, drop in known]
    table = pd.DataFrame([row for row, _ in known], columns=_KEY).assign(drop=[drop.value for drop in drops], all="all")
    return drops, table.assign(category=table["question"].map(categories)).sort_values(list(_KEY))


def _drops(outcomes: Outcomes) -> Iterator[tuple[dict, Difference]]:
    """Each drop under one intervention, with what it is the drop of: a value for each name of the key."""
    for cell in outcomes.split(CELL):
        if BASELINE not in cell.sets:
            continue
        for top in cell.sets.of_source("method", "equal"):
            for source, matching, drop in _drops_of(cell, top):
                if drop.prompts:
                    row = {"method": top.method, "k": top.k, "size": int(cell.sets.sizes[top])}
                    yield {**cell.values, **row, "source": source, "matching": matching}, drop


def _drops_of(cell: Outcomes, top: HeadSet) -> Iterator[tuple[str, str | None, Difference]]:
    """The drop with a top set ablated, that with random heads in its place, and their difference."""
    yield top.source, None, cell.shared(baseline=BASELINE, ablated=top).difference("baseline", "ablated")
    if top.source == "method":
        for matching, draws in cell.sets.controls(top).items():
            random = cell.shared(baseline=BASELINE, random=draws).difference("baseline", "random")
            both = cell.shared(baseline=BASELINE, random=draws, ablated=top).difference("random", "ablated")
            yield from (("random", matching, random), ("difference", matching, both))

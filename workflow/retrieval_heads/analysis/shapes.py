"""Models of unequal shape: results by their grid of heads, and numbers of heads that are equal shares of each."""

from collections.abc import Iterable, Mapping

import pandas as pd

from retrieval_heads.analysis.overlap import grids
from retrieval_heads.tables.heads import GRID, Grid, of_grid

Tables = Mapping[str, pd.DataFrame]


def models_by_grid(known: Mapping[str, Grid], models: Iterable[str]) -> dict[Grid | None, list[str]]:
    """Models by their grids, which no mean is over two of; the one with fewer layers first.

    Parameters
    ----------
    known : from :func:`~retrieval_heads.analysis.overlap.grids`.
    models : which ones. Those without a ranking, as published results may have, come last, under None.
    """
    found: dict[Grid | None, list[str]] = {}
    for model in dict.fromkeys(models):
        found.setdefault(known.get(model), []).append(model)
    return dict(sorted(found.items(), key=lambda item: (item[0] is None, item[0] or ())))


def results_by_grid(tables: Tables) -> list[tuple[Grid | None, list[str], Tables]]:
    """The results of the models of each grid: the grid, the models, and the tables with what is about them.

    Parameters
    ----------
    tables : with the rankings table, without which no grid is known, and the effects table if there is one.
    """
    known = grids(tables["rankings"]) if "rankings" in tables else {}
    named = [model for name in ("rankings", "effects") if name in tables for model in tables[name]["model"].unique()]
    found = models_by_grid(known, named)
    if len(found) == 1:
        return [(grid, models, tables) for grid, models in found.items()]
    return [
        (grid, models, {name: _of_models(frame, grid, models) for name, frame in tables.items()})
        for grid, models in found.items()
    ]


def _of_models(frame: pd.DataFrame, grid: Grid | None, models: list[str]) -> pd.DataFrame:
    if set(GRID) <= set(frame.columns):
        return of_grid(frame, grid) if grid else frame[frame["layers"].isna()]
    return frame[frame["model"].isin(models)] if "model" in frame else frame


def equal_shares(number: int, totals: Mapping[str, int]) -> dict[str, int]:
    """How many heads of each model are as large a share of its heads as a number is of those of the model with most.

    Parameters
    ----------
    totals : model → the number of its heads.
    """
    most = max(totals.values())
    return {model: round(number * total / most) for model, total in totals.items()}


def at_equal_shares(rows: pd.DataFrame, totals: Mapping[str, int], column: str) -> pd.DataFrame:
    """Rows of several models at numbers of heads that are the same share of each, told by the model with most heads.

    A number that several numbers of that model come to (:func:`equal_shares`) stands for the nearest of them, and one
    that none comes to is left out.

    Parameters
    ----------
    totals : model → the number of its heads; rows of other models are left out.
    column : of the numbers, which are those of the model with most heads in the result.
    """
    most = max(totals.values())
    asked = sorted(rows.loc[rows["model"].map(totals) == most, column].dropna().unique())
    found = [rows.iloc[:0]]
    for model in totals:
        share = totals[model] / most
        # The farthest first, so that the nearest is kept.
        farthest_first = sorted(asked, key=lambda m: -abs(share * m - round(share * m)))
        same = {round(share * m): m for m in farthest_first}
        of_model = rows[rows["model"] == model]
        found.append(of_model.assign(**{column: of_model[column].map(same)}))
    return pd.concat(found).dropna(subset=column).astype({column: rows[column].dtype}).sort_index()

"""What is asked of the drops of accuracy: do they differ, and do random heads cost less?"""

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations, product

import pandas as pd

from retrieval_heads.analysis.drops import at_equal_size
from retrieval_heads.analysis.hypotheses._rows import paired_rows, test_row
from retrieval_heads.analysis.statistics import friedman
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS
from retrieval_heads.tables.tests import AGAINST_RANDOM, DROP

Unit = Callable[[str], tuple[list[str], str]]
"""Tells what the units of a comparison along a dimension are: the columns that name them, and a word."""

_COMPARED = (*(name for name in DIMENSIONS if name not in ("model", "variant")), "category")
"""What drops of models of one grid are compared along."""


def by_intervention(study: Study, drops: pd.DataFrame, unit: Unit) -> Iterator[dict]:
    """All tests of this file, for each way in which heads were ablated.

    Parameters
    ----------
    drops : from :func:`~retrieval_heads.analysis.drops.drops_by_unit`.
    unit : :meth:`~retrieval_heads.analysis.outcomes.Outcomes.unit` of the outcomes that the drops are of.
    """
    for values, rows in drops.groupby(list(INTERVENTION_COLUMNS), sort=True):
        compared = drops_along(study, rows, unit, _COMPARED)
        for row in (*compared, *top_against_random(study, rows, unit)):
            yield row | dict(zip(INTERVENTION_COLUMNS, values, strict=True))


def between_models(study: Study, drops: pd.DataFrame, unit: Unit) -> Iterator[dict]:
    """The tests between models, for each way in which heads were ablated.

    Parameters
    ----------
    drops : as for :func:`by_intervention`, but with sizes that are equal shares of each model's heads
        (:func:`~retrieval_heads.analysis.shapes.at_equal_shares`).
    """
    for values, rows in drops.groupby(list(INTERVENTION_COLUMNS), sort=True):
        for row in drops_along(study, rows, unit, ["model"]):
            yield row | dict(zip(INTERVENTION_COLUMNS, values, strict=True))


def drops_along(study: Study, drops: pd.DataFrame, unit: Unit, dimensions: Iterable[str]) -> Iterator[dict]:
    """Does the same ablation cost as much for every value of a dimension, or every category?

    Sets of unequal size are not the same ablation: each setting is compared at the largest size, up to the level, at
    which the heads of all that are compared were ablated.
    """
    drops = drops.assign(category=drops["question"].map(study.categories))
    of_methods = drops[drops["source"] == "method"]
    levels = sorted(of_methods["k"].unique())
    for k in (None, *levels):
        up_to = levels if k is None else [k]
        for dimension in dimensions:
            index, word = unit("question" if dimension == "category" else dimension)
            order = study.in_config_order(dimension, of_methods[dimension])
            means, sizes = _complete_units(drops, dimension, order, up_to, index)
            if len(order) > 2 and means.shape[1] == len(order) and len(means) > 1:
                yield test_row(DROP, dimension, friedman(means[order].to_numpy()), word, len(means), k=k) | sizes
            for a, b in combinations(order, 2):
                means, sizes = _complete_units(drops, dimension, [a, b], up_to, index)
                if means.shape[1] == 2:
                    differences = (means[a] - means[b]).to_numpy()
                    for row in paired_rows(study, DROP, dimension, differences, word, a=str(a), b=str(b), k=k):
                        yield row | sizes


def top_against_random(study: Study, drops: pd.DataFrame, unit: Unit) -> Iterator[dict]:
    """Do the top heads of a method cost more than random ones (a), in all models together and in each (b)?"""
    index, word = unit("method")
    # What is compared differs in its heads alone, so that their size is whatever the method gave.
    setting = list(dict.fromkeys([*index, *CELL]))
    for (matching, k), group in drops[drops["source"] == "difference"].groupby(["matching", "k"]):
        models, methods = (
            study.in_config_order("model", group["model"]),
            study.in_config_order("method", group["method"]),
        )
        for model, method in product((None, *models), methods):
            chosen = group[(group["method"] == method) & (True if model is None else group["model"] == model)]
            if len(chosen):
                differences = chosen.groupby(setting)["drop"].mean().groupby(level=index).mean().to_numpy()
                names = {"a": matching, "b": model, "method": method, "k": k}
                for row in paired_rows(study, AGAINST_RANDOM, "method", differences, word, **names):
                    yield row | _least_and_most(chosen["size"])


def _complete_units(
    drops: pd.DataFrame, dimension: str, compared: list, levels: list[int], index: list[str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Mean drop of each of the compared values in each unit, over the settings that were measured for all of them.

    A setting is what else tells drops apart, and the number of heads.

    Parameters
    ----------
    levels : up to which sizes.
    index : the columns that name a unit.

    Returns
    -------
    The drops, shape (units, values), and the least and most heads that were ablated.
    """
    fixed = [name for name in (*CELL, "method") if name != ("question" if dimension == "category" else dimension)]
    rows = at_equal_size(drops[drops[dimension].isin(compared)], fixed, dimension, levels)
    setting = list(dict.fromkeys([*index, *fixed, "k"]))
    complete = rows.pivot_table(index=setting, columns=dimension, values="drop", aggfunc="mean").dropna()
    sizes = rows.set_index(setting).loc[complete.index, "size"]
    return complete.groupby(level=index).mean(), _least_and_most(sizes) if len(complete) else {}


def _least_and_most(sizes: pd.Series) -> dict[str, int]:
    return {"size_least": int(sizes.min()), "size_most": int(sizes.max())}

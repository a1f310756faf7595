"""Heads that two models with equal grids of heads use differently."""

from collections.abc import Mapping
from itertools import combinations

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study

TITLE = "Heads whose rank differs most between two models"
SECTION = "model_differences"
TABLES = ("profiles",)
NEEDS = {"model": 2}

_HEADS = 10


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per method: the heads that differ most, their mean rank in each of the two models, and the difference."""
    ranked = head_profiles.select(tables["profiles"], "model")
    models = study.in_config_order("model", ranked["value"])
    for pair in combinations(models, 2):
        panels = list(_panels(tables["profiles"], study, pair, named=len(models) > 2))
        if panels:
            return _draw(study, pair, panels)
    return _layout.note("No two models have equal grids of heads and differ in the rank of one that matters.")


def _panels(table: pd.DataFrame, study: Study, pair: tuple[str, str], named: bool):
    names = " and ".join(study.label("model", model) for model in pair)
    for grid, method, _, rows in _head_lists.by_method(table, study, "model"):
        if set(pair) <= set(rows["value"]):
            k = study.specialist_k(grid.heads)
            found = head_profiles.differences(rows, *pair, k, _HEADS)
            if len(found):
                yield study.label("method", method) + (f": {names}" if named else ""), found, grid, rows, k


def _draw(study: Study, pair: tuple[str, str], panels: list) -> Figure:
    figure, axes = _head_lists.panels([title for title, *_ in panels], [list(found.index) for _, found, *_ in panels])
    for ax, (_, found, grid, rows, k) in zip(axes, panels, strict=True):
        heads = list(found.index)
        ax.hlines(range(len(heads)), found["rank_a"], found["rank_b"], color=_style.RANDOM, linewidth=1, zorder=1)
        for model in pair:
            of_model, label = rows[rows["value"] == model], study.label("model", model)
            _head_lists.draw_dots(ax, of_model, heads, _style.model_style(study, model), label=label)
        _head_lists.rank_axis(ax, grid.heads, [k])
        _head_lists.number_column(
            ax, [f"{round(change):+,}".replace("-", "−") for change in found["difference"]], "diff."
        )
    figure.supxlabel("Mean rank")
    _layout.legend(figure, **_head_lists.rare_key(figure))
    return figure

"""What ablating as many heads, or an equal share of them, costs in each model."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.configuration_drops import against_first_model, configurations
from retrieval_heads.analysis.overlap import unequal_totals
from retrieval_heads.analysis.shapes import at_equal_shares, equal_shares
from retrieval_heads.figures import _drop_strips, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY
from retrieval_heads.tables.select import at_level

TITLE = "Drop of accuracy in each model"
SECTION = "models"
TABLES = ("rankings", "effects", "mean_drops")
NEEDS = {"model": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Above, at each level a strip per model; below, configurations in one model against another, at the main level.

    Where models differ in their number of heads, at equal shares of these.
    """
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    drops = configurations(tables["effects"], study.categories)
    models, level = study.in_config_order("model", drops["model"]), study.level(tables["effects"])
    if len(models) < 2:
        return _layout.note("Heads were ablated in one model only, so that there is nothing to compare.")
    means, total = tables["mean_drops"], unequal_totals(tables["rankings"])
    if total:
        drops = at_equal_shares(drops, total, "k")
        means = at_equal_shares(means[means["grouping"] == "model"].assign(model=means["value"]), total, "k")
        drops = drops[drops.groupby("k")["model"].transform("nunique") == len(models)]
        if drops.empty:
            return _layout.note("No equal share of the heads of each model was ablated, so that nothing is compared.")
        level = int(drops["k"].max())
        drops = drops.assign(k_to=drops["k"])
    pairs = against_first_model(at_level(drops, level), models)
    others, methods = study.in_config_order("model", pairs["model"]), study.in_config_order("method", pairs["method"])
    # A row of methods for each other model, or the other models side by side where there is but one method.
    by_method = len(methods) > 1 or len(others) == 1
    columns = max(1, min(len(methods), MANY) if by_method else min(len(others), 3))
    # Each other model begins a row, and many methods break it.
    of_model = -(-len(methods) // columns) if by_method else 1
    rows = len(others) * of_model if by_method else -(-len(others) // columns)
    side = min(2.3, (_style.WIDTH - 0.5) / columns)
    figure = Figure(figsize=(_style.WIDTH, 3.1 + (side + 0.35) * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, columns, height_ratios=[2.5, *[side] * rows])
    top = figure.add_subplot(grid[0, :])
    levels = sorted(drops["k"].unique())
    _drop_strips.draw_strips(top, drops, means, study, "model", levels)
    if total:
        top.set_xticks(range(len(levels)), [_shares(study, int(k), total, models) for k in levels])
    top.set_xlabel("Heads ablated, an equal share of each model's" if total else "Heads ablated")
    top.set_ylabel("Drop of accuracy (points)")
    values = pairs[["drop_first", "drop"]].to_numpy()
    ends = (min(values.min(initial=0), 0) - 0.05, max(values.max(initial=0), 0.2) + 0.05)
    ticks = np.arange(0, ends[1], 0.25 if side > 1.6 else 0.5)
    ablated = equal_shares(level, total)[models[0]] if total else level
    begun = set()
    for (i, model), (j, method) in product(enumerate(others), enumerate(methods)):
        here = pairs[(pairs["model"] == model) & (pairs["method"] == method)]
        if here.empty:
            continue
        row, column = divmod(i * of_model * columns + j if by_method else i, columns)
        ax = figure.add_subplot(grid[1 + row, column], aspect="equal", xlim=ends, ylim=ends, xticks=ticks, yticks=ticks)
        _pairs(ax, here, study, ends)
        names = study.label("model", model), study.label("method", method)
        ax.set_title(_style.wrap(names[by_method], 80 // columns))
        if row in begun:
            ax.tick_params(labelleft=False)
        else:
            ax.set_ylabel(_style.wrap(f"{names[0] if by_method else 'Model named above'} (points)", int(13 * side)))
            begun.add(row)
    if begun:
        figure.supxlabel(f"{study.label('model', models[0])}: drop with {ablated} heads ablated (points)")
    _layout.legend(figure)
    return figure


def _shares(study: Study, level: int, total: Mapping[str, int], models: list[str]) -> str:
    """What a level is in each model: 15 of 270 in a, 4 of 72 in b."""
    numbers = equal_shares(level, total)
    return "\n".join(f"{numbers[model]} of {total[model]:,} in {study.label('model', model)}" for model in models)


def _pairs(ax: Axes, pairs: pd.DataFrame, study: Study, ends: tuple[float, float]) -> None:
    """Drops in one model against those in the first, and the diagonal, on which they are the same."""
    ax.plot(ends, ends, color=_style.RANDOM, linewidth=0.8, zorder=1)
    ax.axvline(0, color=_style.FAINT, linewidth=0.8, zorder=0.5)
    for question in study.in_config_order("question", pairs["question"]):
        here = pairs[pairs["question"] == question]
        look = {"linestyle": "none", "alpha": 0.85, **_style.question_style(study, question)}
        ax.plot(here["drop_first"], here["drop"], label=study.label("question", question), **look)
    _drop_strips.axis_in_points(ax)
    ax.xaxis.set_major_formatter(ax.yaxis.get_major_formatter())

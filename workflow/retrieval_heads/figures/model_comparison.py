"""What the same cut costs in each model."""

from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap import unequal_totals
from retrieval_heads.figures import _drops, style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import at_level

TITLE = "Drop of accuracy in each model"
SECTION = "models"
TABLES = ("rankings", "effects", "mean_drops")
NEEDS = {"model": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Above, at each level a strip per model; below, configurations in one model against another, at the main level."""
    if tables["effects"].empty:
        return style.note(style.NOTHING_ABLATED)
    drops = _drops.configurations(tables["effects"], study)
    models, level = study.in_config_order("model", drops["model"]), study.level(tables["effects"])
    if len(models) < 2:
        return style.note("Heads were cut in one model only, so that there is nothing to compare.")
    pairs = paired(at_level(drops, level), models)
    others, methods = study.in_config_order("model", pairs["model"]), study.in_config_order("method", pairs["method"])
    # A row of methods for each other model, or the other models side by side where there is but one method.
    by_method = len(methods) > 1 or len(others) == 1
    columns = max(1, len(methods) if by_method else min(len(others), 3))
    rows, side = -(-len(others) * len(methods) // columns), min(2.3, (style.WIDTH - 0.5) / columns)
    figure = Figure(figsize=(style.WIDTH, 3.1 + (side + 0.35) * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, columns, height_ratios=[2.5, *[side] * rows])
    top = figure.add_subplot(grid[0, :])
    _drops.strips(top, drops, tables["mean_drops"], study, "model", sorted(drops["k"].unique()))
    total = unequal_totals(tables["rankings"])
    of = ", ".join(f"of {total[model]:,} in {study.label('model', model)}" for model in models if total)
    top.set_xlabel(f"Heads cut ({of})" if of else "Heads cut")
    top.set_ylabel("Drop of accuracy (points)")
    values = pairs[["drop_first", "drop"]].to_numpy()
    ends = (min(values.min(initial=0), 0) - 0.05, max(values.max(initial=0), 0.2) + 0.05)
    ticks = np.arange(0, ends[1], 0.25 if side > 1.6 else 0.5)
    begun = set()
    for place, (model, method) in enumerate(product(others, methods)):
        here = pairs[(pairs["model"] == model) & (pairs["method"] == method)]
        if here.empty:
            continue
        row, column = divmod(place, columns)
        ax = figure.add_subplot(grid[1 + row, column], aspect="equal", xlim=ends, ylim=ends, xticks=ticks, yticks=ticks)
        _pairs(ax, here, study, ends)
        names = study.label("model", model), study.label("method", method)
        ax.set_title(style.wrap(names[by_method], 80 // columns))
        if row in begun:
            ax.tick_params(labelleft=False)
        else:
            ax.set_ylabel(style.wrap(f"{names[0] if by_method else 'Model named above'} (points)", int(13 * side)))
            begun.add(row)
    if begun:
        figure.supxlabel(f"{study.label('model', models[0])}: drop with {level} heads cut (points)")
    style.legend(figure)
    return figure


def paired(drops: pd.DataFrame, models: list[str]) -> pd.DataFrame:
    """Each configuration's drop in a model, and in the first of the models (drop_first)."""
    by = ["method", "question", "context_length"]
    first = drops[drops["model"] == models[0]][[*by, "drop"]]
    return drops[drops["model"].isin(models[1:])].merge(first, on=by, suffixes=("", "_first"))


def _pairs(ax: Axes, pairs: pd.DataFrame, study: Study, ends: tuple[float, float]) -> None:
    """Drops in one model against those in the first, and the diagonal, on which they are the same."""
    ax.plot(ends, ends, color=style.RANDOM, linewidth=0.8, zorder=1)
    ax.axvline(0, color=style.FAINT, linewidth=0.8, zorder=0.5)
    for question in study.in_config_order("question", pairs["question"]):
        here = pairs[pairs["question"] == question]
        look = {"linestyle": "none", "alpha": 0.85, **style.question_style(study, question)}
        ax.plot(here["drop_first"], here["drop"], label=study.label("question", question), **look)
    _drops.points(ax)
    ax.xaxis.set_major_formatter(ax.yaxis.get_major_formatter())

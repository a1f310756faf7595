"""What the first heads of each method look at, in the rows that produce right answers."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from retrieval_heads.figures import _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.looks import ANSWER, ANSWER_CHANCE, DISTRACTOR, ELSEWHERE, SINK

TITLE = "What the first heads look at"
SECTION = "looks"
TABLES = ("look_sets",)
NEEDS = {"looks": 1}

LOOKS = {
    ANSWER: ("Hit at the answer", "#009E73"),
    DISTRACTOR: ("Hit at a distractor", "#D55E00"),
    ELSEWHERE: ("Hit elsewhere", "#E69F00"),
    SINK: ("First token", _style.RANDOM),
}
"""Parts of a bar from the left, each with its words and colour."""

_REST = "No hit"
_BAR, _BETWEEN = 0.21, 0.45
"""Inches of a bar and the space around it, and of a panel's title and axis."""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel for each model and length: a bar for each method's first heads, and one for all heads."""
    sets = tables["look_sets"]
    if sets["method"].isna().all():
        return _layout.note("No ranking tells its first heads apart, or the model answers no prompt.")
    cells = [
        (model, length)
        for model in study.in_config_order("model", sets["model"])
        for length in study.in_config_order("context_length", sets.loc[sets["model"] == model, "context_length"])
    ]
    methods = [*study.in_config_order("method", sets["method"]), None]
    columns = min(2, len(cells))
    rows = -(-len(cells) // columns)
    height = rows * (_BAR * len(methods) + _BETWEEN) + 0.6
    figure = Figure(figsize=(_style.WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(cells) :]:
        ax.remove()
    for ax, (model, length) in zip(axes.flat, cells, strict=False):
        here = sets[(sets["model"] == model) & (sets["context_length"] == length)]
        _draw_bars(ax, here, methods)
        ax.set_title(f"{study.label('model', model)}, {study.label('context_length', length)}")
    first = axes.flat[0]
    names = [_style.wrap("All heads" if method is None else study.label("method", method), 30) for method in methods]
    first.set_yticks(range(len(methods)), names, fontsize=7.5)
    first.set_ylim(len(methods) - 0.4, -0.6)
    first.set_xlim(0, 1)
    first.xaxis.set_major_formatter(PercentFormatter(1))
    figure.supxlabel(
        f"Rows that produce right answers (first {int(sets['k'].iloc[0])} heads of each question's ranking)"
    )
    _layout.legend(figure, columns=3)
    return figure


def _draw_bars(ax: Axes, rows: pd.DataFrame, methods: list[str | None]) -> None:
    ax.grid(visible=False)
    for place, method in enumerate(methods):
        found = rows[rows["method"].isna() if method is None else rows["method"].eq(method).fillna(False)]
        if found.empty:
            continue
        row, left = found.iloc[0], 0.0
        for name, (label, colour) in LOOKS.items():
            ax.barh(place, row[name], 0.72, left, color=colour, label=label, linewidth=0)
            left += row[name]
        ax.barh(place, max(0.0, 1 - left), 0.72, left, color=_style.FAINT, label=_REST, linewidth=0)
        if pd.notna(row[f"{ANSWER}_low"]):
            arms = _style.interval_arms([row[ANSWER]], row[f"{ANSWER}_low"], row[f"{ANSWER}_high"])
            ax.errorbar(row[ANSWER], place, xerr=arms, fmt="none", ecolor=_style.INK, elinewidth=0.8, zorder=3)
        chance = {"color": "white", "marker": "d", "markeredgecolor": _style.INK, "markeredgewidth": 0.7}
        line = Line2D([row[ANSWER_CHANCE]], [place], linestyle="none", markersize=4.5, zorder=4, **chance)
        line.set_label("Chance of the answer, by its token alone")
        ax.add_line(line)

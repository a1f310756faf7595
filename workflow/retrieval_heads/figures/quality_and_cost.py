"""How much of what matters each method finds, against what it costs."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter

from retrieval_heads.figures import _effects, _layout, _style
from retrieval_heads.figures._effects import CARRYING, NEEDED
from retrieval_heads.figures._labels import SHORT
from retrieval_heads.figures._naming import name_marks
from retrieval_heads.study.methods import CHANCE, LAYER, WRITE_NORM
from retrieval_heads.study.study import Study
from retrieval_heads.tables.ranking_quality import CAPTURED, CEILING, METHOD

TITLE = "What rankings find, and what they cost"
SECTION = "quality"
TABLES = ("head_effect_summary", "needed_or_carrying", "ranking_quality")
NEEDS = {"yardstick": 1}

LINES = {CHANCE: "Heads by lot", LAYER: "Deepest first", WRITE_NORM: "‖W_O z‖", CEILING: "Ceiling"}
"""What methods are held against, and how it is written."""

_TITLES = {CARRYING: "what heads carry", NEEDED: "what is needed"}
_HEIGHT = 2.5
_APART = 0.03
"""How far marks of methods stand apart at least, in powers of ten of the cost."""
_LINE = 9
"""The height of a line of text, in points."""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """For each model and length a panel of what heads carry, and one of what is needed; one mark a method."""
    shown = []
    for cell in _effects.cells(tables, study):
        for what, rows in cell.quality(tables["ranking_quality"], CAPTURED, study.quality_level).items():
            methods = rows[(rows["kind"] == METHOD) & rows["cost"].notna()]
            if len(methods):
                mode = _effects.replaced(study, cell.modes[what])
                shown.append((f"{cell.title}: {_TITLES[what]} ({mode})", methods, rows[rows["kind"] != METHOD]))
    if not shown:
        return _layout.note("No effect is sure enough for it to be told which share of it a ranking finds.")
    figure = Figure(figsize=(_style.WIDTH, _HEIGHT * len(shown) + 0.2), layout="constrained")
    axes = np.ravel(figure.subplots(len(shown), 1, squeeze=False, sharex=True))
    _cost_axis(axes[0], [cost for _, methods, _ in shown for cost in methods["cost"]])
    for ax, (title, methods, lines) in zip(axes, shown, strict=True):
        _draw_methods(ax, methods, study)
        _draw_lines(ax, lines)
        ax.set_title(title)
        ax.set_ylabel(f"Captured by\nthe first {study.quality_level} heads")
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.grid(visible=False)
    axes[-1].set_xlabel("Cost of ranking by this method alone (plain passes a document, log scale)")
    figure.draw_without_rendering()
    for ax, (_, methods, _) in zip(axes, shown, strict=True):
        ordered = methods.assign(x=_places(methods)).sort_values("value", ascending=False, kind="stable")
        names = [_style.wrap(study.label("method", method), SHORT) for method in ordered.index]
        name_marks(ax, ordered["x"], ordered["value"], names, fontsize=7.5, color=_style.INK)
    return figure


def _draw_methods(ax: Axes, methods: pd.DataFrame, study: Study) -> None:
    for row, x in zip(methods.itertuples(), _places(methods), strict=True):
        ends = _style.interval_arms([row.value], row.value_low, row.value_high) if pd.notna(row.value_low) else None
        look = _style.method_style(study, row.Index)
        ax.errorbar(x, row.value, yerr=ends, elinewidth=1, markersize=5, zorder=3, **look)


def _draw_lines(ax: Axes, lines: pd.DataFrame) -> None:
    """The rivals and the ceiling, with their intervals, and their names at the end, a line of text apart at least."""
    lines = lines.sort_values("value", kind="stable")
    ax.autoscale_view()
    low, high = ax.get_ylim()
    low, high = min(low, lines["value"].min() - 0.08), max(high, lines["value"].max() + 0.05)
    ax.set_ylim(low, high)
    names = _layout.apart(lines["value"], _LINE * (high - low) / (72 * (_HEIGHT - 0.4)))
    for row, y in zip(lines.itertuples(), names, strict=True):
        colour, dashes = (_style.INK, "-") if row.kind == CEILING else (_style.RANDOM, (0, (4, 2)))
        ax.axhline(row.value, color=colour, linewidth=1, linestyle=dashes, zorder=1.5)
        if pd.notna(row.value_low) and row.value_high > row.value_low:
            ax.axhspan(row.value_low, row.value_high, color=_style.tint(colour, 0.85), linewidth=0, zorder=1)
        look = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 7, "color": colour}
        ax.text(1.01, y, LINES[row.Index], **look)


def _cost_axis(ax: Axes, costs: Sequence[float]) -> None:
    low, high = min(costs) / 2, max(costs) * 2
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = [digit * 10.0**power for power in range(-2, 6) for digit in (1, 2, 5)]
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")


def _places(methods: pd.DataFrame) -> np.ndarray:
    """Where methods stand on the axis of costs: those that cost about the same side by side, by what they capture."""
    logs = np.log10(methods["cost"].to_numpy(float))
    order = np.lexsort([methods["value"], logs.round(1)])
    places = np.empty_like(logs)
    places[order] = _layout.apart(logs[order], _APART)
    return 10**places

"""Drops of accuracy as strips: each configuration a dot, their mean with its interval, random heads in grey."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.analysis.configuration_drops import configurations, over_levels
from retrieval_heads.analysis.shapes import results_by_grid
from retrieval_heads.figures import _controls, _layout, _style
from retrieval_heads.study.study import Study

_LOOKS = {"question": _style.question_style, "category": _style.category_style, "model": _style.model_style}
_STRIPS = 32
"""How many strips a row of the page's width holds."""


def strips_figure(
    tables: Mapping[str, pd.DataFrame], study: Study, dimension: str, *, over_all: bool = False, height: float = 2.9
) -> Figure:
    """Strips for each level and value of a dimension, broken into rows where there are many.

    Models with other grids of heads have rows of their own.

    Parameters
    ----------
    tables : effects, mean_drops and rankings.
    dimension : question, category or model.
    over_all : whether the means over all levels come last.
    height : of a row, in inches.
    """
    parts, of_grids = [], results_by_grid(tables)
    for _, models, results in of_grids:
        drops = configurations(results["effects"], study.categories)
        if drops.empty:
            continue
        levels: list[int | None] = sorted(drops["k"].unique())
        levels += [None] if over_all and len(levels) > 1 else []
        rows = -(-len(levels) * drops[dimension].nunique() // _STRIPS)
        title = ", ".join(study.label("model", model) for model in study.in_config_order("model", models))
        parts += [
            (title if len(of_grids) > 1 else "", drops, results["mean_drops"], list(part))
            for part in np.array_split(np.array(levels, dtype=object), rows)
        ]
    figure, axes = _layout.panels([title for title, *_ in parts], [""], height=height, sharex=False)
    for (ax,), (_, drops, means, part) in zip(axes, parts, strict=True):
        draw_strips(ax, drops, means, study, dimension, part)
    figure.supxlabel("Heads ablated")
    figure.supylabel("Drop of accuracy (points)")
    return figure


def mean_drops_by(mean_drops: pd.DataFrame, dimension: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Mean drops by the values of a dimension: with top heads ablated, and with random ones where there are any."""
    rows = mean_drops[mean_drops["grouping"] == dimension]
    return rows[rows["source"] == "method"], _controls.one_control(rows[rows["source"] == "random"])


def at_k(frame: pd.DataFrame, k: int | None) -> pd.DataFrame:
    """Rows of one level, or, for None, those over all levels."""
    return frame[frame["k"].isna() if k is None else (frame["k"] == k).fillna(False).astype(bool)]


def draw_strips(
    ax: Axes,
    drops: pd.DataFrame,
    mean_drops: pd.DataFrame,
    study: Study,
    dimension: str,
    levels: Sequence[int | None],
) -> None:
    """Levels side by side, and at each a strip for each value of a dimension.

    Parameters
    ----------
    drops : from :func:`~retrieval_heads.analysis.configuration_drops.configurations`.
    mean_drops : the table of this name.
    levels : None stands for the means over all levels.
    """
    top, random = mean_drops_by(mean_drops, dimension)
    drops = pd.concat([drops, over_levels(drops)]) if None in levels else drops
    values = study.in_config_order(dimension, drops[dimension])
    width = 0.84 / len(values)
    for position, value in enumerate(values):
        look = _LOOKS[dimension](study, value)
        for i, level in enumerate(levels):
            x = i + (position - (len(values) - 1) / 2) * width
            for row in _of_value(random, level, value).itertuples():
                ends = [x - 0.46 * width, x + 0.46 * width]
                _controls.random_band(ax, ends, row.drop_low, [row.drop] * 2, row.drop_high, row.matching)
            dots = at_k(drops[drops[dimension] == value], level)["drop"].to_numpy()
            faint = {"color": _style.tint(look["color"], 0.45), "marker": look["marker"], "markersize": 2.2}
            # Beside the mean, not behind it, so that it hides none.
            ax.plot(x + dot_offsets(dots, width), dots, linestyle="none", markeredgewidth=0, zorder=2, **faint)
            for row in _of_value(top, level, value).itertuples():
                estimate = row.drop, row.drop_low, row.drop_high
                draw_mean(ax, x - 0.33 * width, *estimate, label=study.label(dimension, value), **look)
    for i in range(1, len(levels)):
        ax.axvline(i - 0.5, color=_style.FAINT, linewidth=0.8)
    ax.axhline(0, color=_style.INK, linewidth=0.6)
    ax.set_xlim(-0.5, len(levels) - 0.5)
    ax.set_xticks(range(len(levels)), ["All levels" if level is None else str(level) for level in levels])
    ax.tick_params(axis="x", length=0)
    axis_in_points(ax)


def draw_mean(ax: Axes, x: float, value: float, low: float, high: float, **look) -> None:
    """A mean with its interval, larger than the dots around it."""
    ends = _style.interval_arms([value], low, high)
    ax.errorbar(x, value, yerr=ends, elinewidth=1.5, markersize=4.8, linestyle="none", zorder=4, **look)


def axis_in_points(ax: Axes) -> None:
    """Writes shares of the vertical axis as points."""
    ax.yaxis.set_major_formatter(PercentFormatter(1, symbol="", decimals=0))


def tick_names(ax: Axes, names: Sequence[str], panels: int) -> None:
    """Names on the horizontal axis of a panel, upright where they have no room side by side.

    Parameters
    ----------
    panels : how many there are in the figure, from :func:`_layout.panels` with one row.
    """
    width = (_style.WIDTH / _layout.panels_beside(panels) - 0.4) / len(names)
    # By the width of a digit.
    upright = 0.07 * max(map(len, names)) > width
    ax.set_xticks(range(len(names)), names, rotation=90 if upright else 0)


def dot_offsets(values: np.ndarray, width: float, step: float = 0.02) -> np.ndarray:
    """Where dots stand in the right part of a strip so that those that hardly differ do not hide each other.

    Parameters
    ----------
    values : of the dots.
    width : of the strip.
    step : values within as much are set side by side.
    """
    rounded = pd.Series(np.round(np.asarray(values, dtype=float) / step))
    beside = rounded.groupby(rounded).cumcount().to_numpy()
    return width * (0.52 * beside / max(beside.max(initial=0), 6) - 0.07)


def _of_value(frame: pd.DataFrame, level: int | None, value: object) -> pd.DataFrame:
    rows = at_k(frame, level)
    return rows[rows["value"] == str(value)]

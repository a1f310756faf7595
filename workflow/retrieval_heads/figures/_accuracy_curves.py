"""Accuracy against the number of ablated heads, from the unablated baseline at 0."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.figures import _style
from retrieval_heads.figures._controls import accuracy_band, guess_line, one_control
from retrieval_heads.figures._layout import panels, small_multiples
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY
from retrieval_heads.tables.select import select


def ablation_curves(tables: Mapping[str, pd.DataFrame], study: Study, panel: str, line: str, height: float) -> Figure:
    """Accuracy as heads are ablated, all lengths together, with a curve for each value of a dimension.

    Panels are models × another dimension.

    Parameters
    ----------
    tables : effects and against_random.
    panel, line : ``question`` and ``method``, or the other way round. Random band and guessing are those of the panel's
        value: for a question the controls of all methods, for a method those of all questions together.
    height : of one row of panels, in inches.

    Many panels of a model are small.
    """
    effects = select(tables["effects"], pooled=["context_length"])
    pooled = ["context_length"] if panel == "question" else ["question", "context_length"]
    controls, guesses = select(tables["against_random"], pooled=pooled), select(tables["effects"], pooled=pooled)
    models, across = study.in_config_order("model", effects["model"]), study.in_config_order(panel, effects[panel])
    lines, levels = study.in_config_order(line, effects[line]), sorted(effects["k"].unique())
    look = {"method": _style.method_style, "question": _style.question_style}[line]
    rows, columns = (
        [study.label(name, value) for value in values] for name, values in (("model", models), (panel, across))
    )
    many = len(columns) > MANY
    figure, axes = small_multiples(rows, columns, height=1.1) if many else panels(rows, columns, height=height)
    for i, model in enumerate(models):
        for j, value in enumerate(across):
            here = effects[(effects["model"] == model) & (effects[panel] == value)]
            random = controls[(controls["model"] == model) & (controls[panel] == value)]
            accuracy_band(axes[i][j], one_control(random))
            asked = guesses[(guesses["model"] == model) & (guesses[panel] == value)]
            guess_line(axes[i][j], asked)
            for position, name in enumerate(lines):
                of_line = here[here[line] == name]
                if not of_line.empty:
                    shift = aside(position, len(lines), levels)
                    accuracy_curve(axes[i][j], of_line, shift, label=study.label(line, name), **look(study, name))
    accuracy_axes(axes, levels)
    figure.supxlabel("Heads ablated")
    figure.supylabel("Accuracy")
    return figure


def accuracy_curve(ax: Axes, rows: pd.DataFrame, shift: float = 0.0, **look) -> ErrorbarContainer:
    """Accuracy against heads ablated, from the baseline at 0, with 95% intervals.

    Parameters
    ----------
    rows : rows of the effects table that differ in k alone.
    shift : moves the points sideways, so that the intervals of several curves do not hide each other.
    """
    k, value = from_baseline(rows)
    low, high = (from_baseline(rows, end)[1] for end in ("_low", "_high"))
    return ax.errorbar(k + shift, value, yerr=_style.interval_arms(value, low, high), elinewidth=0.8, **look)


def aside(position: int, count: int, levels: Sequence[int]) -> float:
    """How far sideways the points of one of several curves stand, so that none hides another's interval.

    All of them together take a twentieth of the axis at most, so that they are seen to be of one level.
    """
    return (position - (count - 1) / 2) * max(levels) * min(1 / 60, 1 / (20 * max(count - 1, 1)))


def from_baseline(rows: pd.DataFrame, end: str = "") -> tuple[np.ndarray, np.ndarray]:
    """k and accuracy (or an end of its interval) of rows that differ in k alone, with the baseline at k = 0."""
    rows = rows.sort_values("k")
    accuracy = [rows[f"baseline{end}"].iloc[0], *rows[f"accuracy{end}"]]
    return np.array([0, *rows["k"]], dtype=float), np.array(accuracy, dtype=float)


def accuracy_axes(axes: list[list[Axes]], levels: Sequence[int]) -> None:
    """Accuracy from 0 to 100%, and a tick at 0 and at each level that has room for one."""
    ticks = level_ticks(levels, axes[0][0].get_gridspec().ncols)
    for ax in (ax for row in axes for ax in row):
        ax.set_ylim(-0.04, 1.04)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set_xticks(ticks)


def level_ticks(levels: Sequence[int], columns: int) -> list[int]:
    """0, and the levels that have room for a tick where so many panels stand side by side."""
    ticks, apart = [0], max(levels) * max(1 / 8, columns / 25)
    for level in sorted(levels):
        if level - ticks[-1] >= apart or level == max(levels):
            ticks.append(level)
    if len(ticks) > 2 and ticks[-1] - ticks[-2] < apart:
        del ticks[-2]
    return ticks

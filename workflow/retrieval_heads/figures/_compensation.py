"""What the figures of compensation share: the settings, and a panel for each."""

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.figures import _layout, _style
from retrieval_heads.figures._accuracy_curves import aside, level_ticks
from retrieval_heads.study.study import Study

NOTHING_MEASURED = "No prompt could be asked without top heads, so that nothing is known of what is made up for."

Setting = tuple[str, pd.DataFrame]
"""A title, and the rows of a table about a model, context length and intervention."""


def settings(study: Study, frame: pd.DataFrame) -> list[Setting]:
    """The settings of a table; a title names what there are several of."""
    names = ("model", "context_length", "intervention")
    orders = {name: study.in_config_order(name, frame[name]) for name in names}
    told = [name for name in names if len(orders[name]) > 1] or ["model"]
    found = []
    for values, rows in frame.groupby(list(names)):
        place = tuple(orders[name].index(value) for name, value in zip(names, values, strict=True))
        labels = dict(zip(names, values, strict=True))
        found.append((place, ", ".join(study.label(name, labels[name]) for name in told), rows))
    return [(title, rows) for _, title, rows in sorted(found, key=lambda one: one[0])]


def panel_of_each(shown: Sequence[Setting], height: float, **options) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each setting, two beside each other at most where there are several."""
    figure, (axes,) = _layout.panels([""], [title for title, _ in shown], height, beside=2, **options)
    for ax, (title, _) in zip(axes, shown, strict=True):
        ax.set_title(_style.wrap(title, 52 if len(shown) > 1 else 100))
    return figure, axes


def curves_by_level(
    study: Study, frame: pd.DataFrame, draw_line: Callable[[Axes, pd.DataFrame, float, str], None], ylabel: str
) -> Figure:
    """A panel for each setting, with a curve over the number of heads for each method.

    Parameters
    ----------
    frame : rows of the set_compensation table, of sets.
    draw_line : draws the rows of a method, moved sideways by so much, in the look of the method of this name.
    """
    shown = settings(study, frame)
    figure, axes = panel_of_each(shown, 2.3, sharex=False)
    levels = sorted(int(k) for k in frame["k"].unique())
    for ax, (_, rows) in zip(axes, shown, strict=True):
        methods = study.in_config_order("method", rows["method"])
        ax.axhline(0, color=_style.INK, linewidth=0.6, zorder=1.5)
        for position, method in enumerate(methods):
            draw_line(ax, rows[rows["method"] == method], aside(position, len(methods), levels), method)
        ax.set_xticks(level_ticks(levels, ax.get_gridspec().ncols)[1:])
    figure.supxlabel("Heads of the set")
    figure.supylabel(ylabel)
    return figure


def curve(ax: Axes, rows: pd.DataFrame, shift: float, **look) -> None:
    """Values over the number of heads, with their intervals where they have them.

    Parameters
    ----------
    rows : rows of the set_compensation table that differ in k alone, in its order.
    shift : moves the points sideways, so that the intervals of several curves do not hide each other.
    """
    low, high = (rows[f"value_{end}"].fillna(rows["value"]) for end in ("low", "high"))
    arms = _style.interval_arms(rows["value"], low, high)
    ax.errorbar(rows["k"].astype(float) + shift, rows["value"], yerr=arms, elinewidth=0.8, **look)

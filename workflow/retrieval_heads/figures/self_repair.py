"""What every top head writes into the answer, against what the answer loses without it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.shown_heads import stand_out
from retrieval_heads.figures import _compensation, _effects, _layout, _style
from retrieval_heads.figures._naming import HALO, name_marks
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import head_name

TITLE = "What heads write, and what is lost without them"
SECTION = "compensation"
TABLES = ("head_compensation",)
NEEDS = {"compensation": 1}

BACKED_UP, NOT, UNTOLD = "#008060", "#0072B2", "#B5B5B5"
"""The colours of heads: those that are backed up, those that surely are not, and all others."""

_NAMED = {1: 14, 2: 10}
"""How many heads a panel names, where so many stand beside each other."""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel for each model, length and intervention, with one mark for each head."""
    shown = _compensation.settings(study, tables["head_compensation"])
    if not shown:
        return _layout.note(_compensation.NOTHING_MEASURED)
    figure, axes = _compensation.panel_of_each(shown, 3.0, sharex=False, sharey=False)
    for ax, (_, heads) in zip(axes, shown, strict=True):
        _draw(ax, heads)
    figure.supxlabel("Written straight to the answer (centred logit; log scale far from 0)")
    figure.supylabel("Lost without the head (centred logit)")
    figure.draw_without_rendering()
    for ax, (_, heads) in zip(axes, shown, strict=True):
        named = heads.iloc[_named(heads, len(axes))]
        names = [head_name(row.layer, row.head) for row in named.itertuples()]
        name_marks(ax, named["direct"], named["total"], names, fontsize=7, color=_style.INK)
    return figure


def _named(heads: pd.DataFrame, panels: int) -> np.ndarray:
    """Places of the heads that stand out, by either number."""
    places = pd.RangeIndex(len(heads))
    direct, total = (pd.Series(heads[name].to_numpy(), places) for name in ("direct", "total"))
    return np.asarray(stand_out(direct, total, _NAMED[min(panels, 2)]))


def _draw(ax: Axes, heads: pd.DataFrame) -> None:
    linear = _effects.linear_up_to([*heads["direct"], *heads["total"]])
    limits = [_effects.room(heads[name], linear) for name in ("direct", "total")]
    for axis, (low, high) in zip((ax.xaxis, ax.yaxis), limits, strict=True):
        _effects.effect_axis(axis, linear, low, high)
    for line in (ax.axhline, ax.axvline):
        line(0, color=_style.INK, linewidth=0.6, zorder=1.5)
    ends = [max(low for low, _ in limits), min(high for _, high in limits)]
    ax.plot(ends, ends, color=_style.RANDOM, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
    ax.set(xlim=limits[0], ylim=limits[1])
    ax.grid(visible=False)
    colours = [BACKED_UP if told is True else NOT if told is False else UNTOLD for told in heads["backed_up"]]
    ax.errorbar(
        heads["direct"],
        heads["total"],
        xerr=_arms(heads, "direct"),
        yerr=_arms(heads, "total"),
        fmt="none",
        ecolor=[_style.tint(colour, 0.6) for colour in colours],
        elinewidth=0.6,
        zorder=2,
    )
    ax.scatter(heads["direct"], heads["total"], s=14, c=colours, linewidths=0.3, edgecolors="white", zorder=3)
    look = {"transform": ax.transAxes, "fontsize": 7, "fontstyle": "italic", "path_effects": HALO, "zorder": 4}
    ax.text(0.985, 0.02, "Made up for", ha="right", color=BACKED_UP, **look)


def _arms(heads: pd.DataFrame, name: str) -> np.ndarray:
    """How far intervals reach; nowhere, where there is none."""
    return np.nan_to_num(_style.interval_arms(heads[name], heads[f"{name}_low"], heads[f"{name}_high"]))

"""What every head is needed for, against what it carries of the answer, and which of the heads each method finds."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from retrieval_heads.analysis.shown_heads import first_heads, stand_out
from retrieval_heads.figures import _effects, _layout, _style
from retrieval_heads.figures._effects import CARRYING, NEEDED
from retrieval_heads.figures._naming import HALO, name_marks
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.needed_or_carrying import BACKED_UP, BOTH, NEEDED_ONLY
from retrieval_heads.tables.ranking_quality import CAPTURED

TITLE = "Heads that are needed, and heads that carry the answer"
SECTION = "carrying"
TABLES = ("head_effect_summary", "needed_or_carrying", "rankings", "ranking_quality")
NEEDS = {"yardstick": 2, "twin_yardstick": 1}

COLOURS = {NEEDED_ONLY: "#D55E00", BOTH: "#0072B2", BACKED_UP: "#008060"}
"""The colours of heads by what is told of them."""

_UNTOLD, _FOUND = "#B5B5B5", "#555555"
"""The colours of all others, and of those among them that a method has found."""

_NAMED = 16
_ROWS = 4
"""How many methods stand one below the other, at most."""
_HEIGHT, _SMALL = 4.5, 1.0
"""The height of a model's part and the least width of a method's panel, in inches."""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """For each model and length a large panel with all heads, and beside it a small one for each method's first."""
    cells = [cell for cell in _effects.cells(tables, study) if len(cell.modes) == 2]
    if not cells:
        return _layout.note("No prompt was asked both with and without its twin, so that nothing can be compared.")
    figure, parts = _effects.stacked([_HEIGHT] * len(cells))
    planes = [_Plane(cell, tables, study) for cell in cells]
    axes = [plane.draw(part) for part, plane in zip(parts, planes, strict=True)]
    figure.draw_without_rendering()
    for ax, plane in zip(axes, planes, strict=True):
        plane.name_heads(ax)
    return figure


class _Plane:
    """The heads of one model at one length, across by what they are needed for and up by what they carry."""

    def __init__(self, cell: _effects.Cell, tables: Mapping[str, pd.DataFrame], study: Study):
        self.cell, self.study = cell, study
        self.heads = cell.of(tables["needed_or_carrying"]).sort_values(["layer", "head"], ignore_index=True)
        self.named = stand_out(self.heads["needed"], self.heads["carrying"], _NAMED)
        self.linear = _effects.linear_up_to([*self.heads["needed"], *self.heads["carrying"]])
        # With room for the names of regions, above all marks and below them.
        self.limits = [self._limits("needed"), self._limits("carrying", 0.09, 0.13)]
        self.colours = self.heads["role"].map(COLOURS).fillna(_UNTOLD).to_numpy()
        self.ranks = cell.ranks(tables["rankings"], study)
        self.captured = cell.quality(tables["ranking_quality"], CAPTURED, study.quality_level)

    def _limits(self, name: str, *beside: float) -> tuple[float, float]:
        """Around all marks, and the intervals of those that have one."""
        ends = self.heads.loc[self.named, [f"{name}_low", f"{name}_high"]].to_numpy(float).ravel()
        return _effects.room([*self.heads[name], *ends], self.linear, *beside)

    def draw(self, part: SubFigure) -> Axes:
        """The large panel, which is returned, and the small ones."""
        columns = max(1, -(-len(self.ranks) // _ROWS))
        # A single column has wider panels, of which three have the height of the large one.
        rows = max(3, -(-len(self.ranks) // columns))
        small = _SMALL * (1.3 if columns == 1 else columns)
        left, right = part.subfigures(1, 2, width_ratios=[_style.WIDTH - small, small])
        ax = left.subplots()
        self._draw_axes(ax)
        self._draw_heads(ax)
        self._name_axes(ax)
        panels = right.subplots(rows, columns, squeeze=False)
        for panel in panels.flat[len(self.ranks) :]:
            panel.remove()
        for panel, method in zip(panels.flat, self.ranks, strict=False):
            self._draw_method(panel, method)
            panel.set_title(_style.wrap(self.study.label("method", method), 20 if columns == 1 else 15), fontsize=7.5)
        title = f"The first {self.study.quality_level} heads of each method"
        right.suptitle(_style.wrap(title, 20 if columns == 1 else 30 if columns == 2 else 60), fontsize=8.5)
        return ax

    def _draw_axes(self, ax: Axes) -> None:
        """The scales, the lines at 0, and the diagonal, on which a head carries as much as is needed of it."""
        (left, right), (low, high) = self.limits
        _effects.effect_axis(ax.xaxis, self.linear, left, right)
        _effects.effect_axis(ax.yaxis, self.linear, low, high)
        for line in (ax.axhline, ax.axvline):
            line(0, color=_style.INK, linewidth=0.6, zorder=1.5)
        ends = [max(left, low), min(right, high)]
        ax.plot(ends, ends, color=_style.RANDOM, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1.5)
        ax.set(xlim=(left, right), ylim=(low, high))
        ax.grid(visible=False)

    def _name_axes(self, ax: Axes) -> None:
        needed, carrying = (_effects.replaced(self.study, self.cell.modes[what]) for what in (NEEDED, CARRYING))
        ax.set_title(self.cell.title)
        ax.set_xlabel(f"Needed: effect of the head ({needed}; nats; log scale beyond ±{_effects.number(self.linear)})")
        ax.set_ylabel(f"Carrying: effect of the head ({carrying}; nats)")
        look = {"transform": ax.transAxes, "fontsize": 7.5, "fontstyle": "italic", "zorder": 5, "path_effects": HALO}
        more = "Carrying more than is needed,\nas backed-up heads do"
        ax.text(0.015, 0.985, more, va="top", color=COLOURS[BACKED_UP], **look)
        ax.text(0.985, 0.985, "Needed\nand carrying", va="top", ha="right", color=COLOURS[BOTH], **look)
        ax.text(0.985, 0.015, "Needed, and carrying nothing", ha="right", color=COLOURS[NEEDED_ONLY], **look)

    def _draw_heads(self, ax: Axes) -> None:
        named = self.heads.loc[self.named].dropna(subset=["needed_low", "carrying_low"])
        for i, head in named.iterrows():
            ax.errorbar(
                head["needed"],
                head["carrying"],
                xerr=_style.interval_arms([head["needed"]], head["needed_low"], head["needed_high"]),
                yerr=_style.interval_arms([head["carrying"]], head["carrying_low"], head["carrying_high"]),
                fmt="none",
                ecolor=_style.tint(self.colours[i], 0.6),
                elinewidth=0.7,
                zorder=2,
            )
        large = self.heads.index.isin(self.named)
        self._scatter(ax, ~large, self.colours, 9)
        self._scatter(ax, large, self.colours, 26)

    def _draw_method(self, ax: Axes, method: str) -> None:
        self._draw_axes(ax)
        ax.tick_params(labelbottom=False, labelleft=False, length=0)
        found = first_heads(self.ranks[method], self.study.quality_level)
        self._scatter(ax, ~found, np.full(len(found), _style.FAINT), 3)
        self._scatter(ax, found, np.where(self.colours == _UNTOLD, _FOUND, self.colours), 13)
        shares = [
            f"{100 * self.captured[what].loc[method, 'value']:.0f}% {said}".replace("-", "−")
            for what, said in ((CARRYING, "carried"), (NEEDED, "needed"))
            if method in self.captured[what].index
        ]
        look = {"transform": ax.transAxes, "va": "top", "fontsize": 6, "path_effects": HALO, "zorder": 5}
        ax.text(0.03, 0.97, "\n".join(shares), **look)

    def _scatter(self, ax: Axes, which: np.ndarray, colours: np.ndarray, size: float) -> None:
        heads = self.heads[which]
        look = {"linewidths": 0.3, "edgecolors": "white", "zorder": 3 if size > 9 else 2.8}
        ax.scatter(heads["needed"], heads["carrying"], s=size, c=list(colours[which]), **look)

    def name_heads(self, ax: Axes) -> None:
        """Names of the heads that stand out."""
        heads = self.heads.loc[self.named]
        names = [head_name(layer, head) for layer, head in zip(heads["layer"], heads["head"], strict=True)]
        name_marks(ax, heads["needed"], heads["carrying"], names, fontsize=7, color=_style.INK)

"""Where each method ranks a head, against what the head does."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from retrieval_heads.analysis.head_effects import strongest
from retrieval_heads.analysis.shown_heads import first_heads
from retrieval_heads.figures import _effects, _layout, _style
from retrieval_heads.figures._naming import name_marks
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.ranking_quality import SPEARMAN

TITLE = "Ranks of heads against their effects"
SECTION = "quality"
TABLES = ("head_effect_summary", "needed_or_carrying", "rankings", "ranking_quality")
NEEDS = {"yardstick": 1}

_NAMED = 3
_BESIDE = 4
_HEIGHT = {1: 2.4, 2: 1.7}
_MANY = 1.45
"""The height of a row of panels by the number of rows, and of many, in inches."""
_OTHERS = "#B5B5B5"


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """For each model and length a panel for each method, and in it every head by its mean rank and its effect."""
    parts = [_Part(cell, tables, study) for cell in _effects.cells(tables, study)]
    parts = [part for part in parts if part.ranks]
    if not parts:
        return _layout.note(_effects.NOTHING_MEASURED)
    figure, places = _effects.stacked([part.rows * _HEIGHT.get(part.rows, _MANY) + 0.5 for part in parts])
    panels = [part.draw(place) for part, place in zip(parts, places, strict=True)]
    figure.draw_without_rendering()
    for part, axes in zip(parts, panels, strict=True):
        part.name_heads(axes)
    return figure


class _Part:
    """The panels of one model at one length."""

    def __init__(self, cell: _effects.Cell, tables: Mapping[str, pd.DataFrame], study: Study):
        self.cell, self.study = cell, study
        # Rankings are judged by what heads carry, where that is known.
        self.what, self.mode = next(iter(cell.modes.items()))
        self.effects = cell.effects(tables["head_effect_summary"])[self.what]
        self.ranks = cell.ranks(tables["rankings"], study)
        self.correlations = cell.quality(tables["ranking_quality"], SPEARMAN)[self.what]["value"]
        self.rows = -(-len(self.ranks) // _BESIDE)

    def draw(self, part: SubFigure) -> list[Axes]:
        part.suptitle(self.cell.title, x=0.01, ha="left", fontsize=9)
        axes = part.subplots(self.rows, -(-len(self.ranks) // self.rows), squeeze=False, sharex=True, sharey=True)
        for ax in axes.flat[len(self.ranks) :]:
            ax.remove()
            axes[-2, ax.get_subplotspec().colspan.start].tick_params(labelbottom=True)
        panels = list(axes.flat[: len(self.ranks)])
        for ax, method in zip(panels, self.ranks, strict=True):
            self._draw_method(ax, method)
        linear = _effects.linear_up_to(self.effects["effect"])
        _rank_axis(panels[0], len(self.effects))
        _effects.effect_axis(panels[0].yaxis, linear, *_effects.room(self.effects["effect"], linear, 0.1, 0.1))
        part.supxlabel("Mean rank under the method, over questions")
        scale = f"nats, log scale beyond ±{_effects.number(linear)}"
        said = f"{self.what}: effect ({_effects.replaced(self.study, self.mode)}; {scale})"
        part.supylabel(_style.wrap(said, 70 if self.rows > 2 else 38))
        return panels

    def _at(self, method: str) -> pd.DataFrame:
        """Effects beside the ranks under a method."""
        ranks = self.ranks[method].rename(columns={"rank": "mean_rank"})
        found = first_heads(self.ranks[method], self.study.quality_level)
        return self.effects.merge(ranks.assign(found=found), on=["layer", "head"])

    def _draw_method(self, ax: Axes, method: str) -> None:
        heads, colour = self._at(method), _style.method_style(self.study, method)["color"]
        found = heads["found"]
        ax.axhline(0, color=_style.INK, linewidth=0.6, zorder=1.5)
        ax.scatter(heads["mean_rank"][~found], heads["effect"][~found], s=5, color=_OTHERS, linewidths=0, zorder=2)
        look = {"s": 13, "color": colour, "linewidths": 0.3, "edgecolors": "white", "zorder": 3}
        ax.scatter(heads["mean_rank"][found], heads["effect"][found], **look)
        ax.set_title(_style.wrap(self.study.label("method", method), 24))
        ax.grid(visible=False)
        if method in self.correlations:
            text = f"ρ = {self.correlations[method]:.2f}".replace("-", "−")
            ax.text(0.97, 0.97, text, transform=ax.transAxes, ha="right", va="top", fontsize=7.5)

    def name_heads(self, panels: Sequence[Axes]) -> None:
        """Names of the heads with the largest effects, wherever a method has them."""
        first = strongest(self.effects, _NAMED).index
        for ax, method in zip(panels, self.ranks, strict=True):
            heads = self._at(method).reindex(first).dropna(subset="mean_rank")
            names = [
                head_name(int(layer), int(head)) for layer, head in zip(heads["layer"], heads["head"], strict=True)
            ]
            name_marks(ax, heads["mean_rank"], heads["effect"], names, fontsize=6.5, color=_style.INK)


def _rank_axis(ax: Axes, heads: int) -> None:
    ax.set_xscale("log")
    ax.set_xlim(0.8, 1.25 * heads)
    ax.xaxis.set_major_locator(FixedLocator([10**power for power in range(len(str(heads)))]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))

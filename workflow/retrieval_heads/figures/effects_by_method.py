"""What every head does, as a map, beside where each method ranks it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import AsinhNorm, LogNorm, Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from retrieval_heads.analysis.head_effects import strongest
from retrieval_heads.figures import _effects, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import Grid

TITLE = "What every head does, and where each method ranks it"
SECTION = "every_head"
TABLES = ("head_effect_summary", "needed_or_carrying", "rankings", "ranking_quality")
NEEDS = {"yardstick": 1}

_RINGED = 10
_BESIDE = 7
"""How many maps stand side by side, at most."""
_LEAST, _LAYER, _MOST = 1.7, 0.065, 2.1
"""The height of a map: the least, that of a layer, and the most, in inches."""
_BARS = 0.6
"""The height of the two colour bars with their labels, in inches."""
_EFFECTS, _RANKS, _RING = "RdBu", "Greys_r", "#D55E00"


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """For each model and length the maps of effects, then a map of ranks for each method, with the strongest ringed."""
    parts = [_Part(cell, tables, study) for cell in _effects.cells(tables, study)]
    if not parts:
        return _layout.note(_effects.NOTHING_MEASURED)
    figure, places = _effects.stacked([part.height for part in parts])
    for part, place in zip(parts, places, strict=True):
        part.draw(place)
    return figure


class _Part:
    """The maps of one model at one length."""

    def __init__(self, cell: _effects.Cell, tables: Mapping[str, pd.DataFrame], study: Study):
        self.cell, self.study = cell, study
        self.effects = cell.effects(tables["head_effect_summary"])
        self.ranks = cell.ranks(tables["rankings"], study)
        # Rankings are judged by what heads carry, where that is known.
        judged_by = next(iter(self.effects.values()))
        self.shape, self.first = Grid.of(judged_by.iloc[0]), strongest(judged_by, _RINGED)
        self.number = len(self.effects) + len(self.ranks)
        self.rows = -(-self.number // _BESIDE)

    @property
    def height(self) -> float:
        """In inches: maps with their titles, what stands above and below them, and the colour bars."""
        return self.rows * (min(max(_LAYER * self.shape.layers, _LEAST), _MOST) + 0.3) + 0.35 + _BARS

    def draw(self, part: SubFigure) -> None:
        maps, below = part.subfigures(2, 1, height_ratios=[self.height - _BARS, _BARS])
        maps.suptitle(self.cell.title, x=0.01, ha="left", fontsize=9)
        axes = maps.subplots(self.rows, -(-self.number // self.rows), squeeze=False, sharex=True, sharey=True)
        for ax in axes.flat[self.number :]:
            ax.remove()
            axes[-2, ax.get_subplotspec().colspan.start].tick_params(labelbottom=True)
        every = np.concatenate([under["effect"] for under in self.effects.values()])
        largest = np.abs(every).max() or 1.0
        scale = AsinhNorm(_effects.linear_up_to(every), -largest, largest)
        order = LogNorm(1, self.shape.total)
        panels = iter(axes.flat)
        for what, under in self.effects.items():
            title = f"{what} ({_effects.replaced(self.study, self.cell.modes[what])})"
            self._draw_map(next(panels), title, under["effect"], _EFFECTS, scale)
        heads = pd.MultiIndex.from_product(map(range, self.shape))
        for method, own in self.ranks.items():
            ranks = own.set_index(["layer", "head"])["rank"].reindex(heads)
            self._draw_map(next(panels), self.study.label("method", method), ranks, _RANKS, order)
        maps.supxlabel("Head")
        maps.supylabel("Layer")
        _draw_bars(below, scale, order)

    def _draw_map(self, ax: Axes, title: str, values: pd.Series, colours: str, scale: Normalize) -> None:
        """Layers from bottom to top, heads from left to right."""
        cells = values.to_numpy(float).reshape(self.shape)
        ax.imshow(cells, cmap=colours, norm=scale, origin="lower", aspect="auto", interpolation="nearest")
        ring = {"markersize": 5, "markerfacecolor": "none", "markeredgecolor": _RING}
        ax.plot(self.first["head"], self.first["layer"], "o", **ring)
        ax.set_title(_style.wrap(title, 14))
        ax.grid(visible=False)
        ax.spines[["top", "right"]].set_visible(True)
        ax.tick_params(length=2)
        ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))


def _draw_bars(part: SubFigure, scale: AsinhNorm, order: LogNorm) -> None:
    """The two scales of colours: of effects, and of ranks, which all methods share."""
    sizes = [float(f"{size:.1g}") for size in (scale.linear_width, scale.vmax / 3, scale.vmax)]
    effects = sorted({0.0, *sizes, *(-size for size in sizes)})
    ranks = [10**power for power in range(len(str(int(order.vmax))))]
    of_effects, of_ranks = part.subplots(1, 2)
    for ax, colours, norm, ticks, label in (
        (of_effects, _EFFECTS, scale, effects, "Effect (nats)"),
        (of_ranks, _RANKS, order, ranks, "Mean rank under the method"),
    ):
        bar = part.colorbar(ScalarMappable(norm, colours), cax=ax, orientation="horizontal", ticks=ticks, label=label)
        bar.ax.xaxis.set_major_formatter(lambda value, _: _effects.number(value))
        bar.minorticks_off()
        bar.outline.set_visible(False)

"""How many of the heads that a method ever ranks at the top are its own alone."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.shared_heads import sharing
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study

TITLE = "Top heads that methods share, and those that one alone has"
SECTION = "agreement"
TABLES = ("profiles",)
NEEDS = {"method": 2}

_NUMBERS = ("No other method", "One other", "Two others", "Three others", "Four others", "Five or more others")


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per grid; for each method a bar of its heads by how many others have them, and one of what chance gives.

    A method's heads are those of the top set of any configuration.
    """
    panels = []
    for grid in _head_lists.grids(tables["profiles"], study):
        rows = head_profiles.select(tables["profiles"], grid=grid.shape)
        sets = {
            method: frozenset(zip(heads["layer"], heads["head"], strict=True))
            for method, heads in rows[rows["top_share"] > 0].groupby("method")
        }
        if len(sets) > 1:
            panels.append((grid, {method: sets[method] for method in study.in_config_order("method", sets)}))
    if not panels:
        return _layout.note("No two methods have ranked the heads of one model, so there are none to share.")
    height = 0.55 * max(len(sets) for _, sets in panels) + 0.3
    figure, axes = _layout.panels([grid.models for grid, _ in panels], [""], height=height, sharey=False)
    widest = max(len(heads) for _, sets in panels for heads in sets.values())
    for (ax,), (grid, sets) in zip(axes, panels, strict=True):
        for position, method in enumerate(sets):
            counts, by_lot = (_last_together(heads) for heads in sharing(sets, method, grid.heads))
            _bar(ax, position - 0.16, 0.42, counts, widest, "{:.0f}")
            _bar(ax, position + 0.24, 0.26, by_lot, widest, "{:.1f}")
        labels = [text for method in sets for text in (_style.wrap(study.label("method", method), 40), "drawn by lot")]
        ax.set_yticks([position + step for position in range(len(sets)) for step in (-0.16, 0.24)], labels)
        for label in ax.get_yticklabels()[1::2]:
            label.set(fontsize=7, color=_style.RANDOM)
        ax.set_ylim(len(sets) - 0.5, -0.5)
        ax.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        ax.tick_params(axis="y", length=0)
        ax.grid(False, axis="y")
    figure.supxlabel("Heads in a top set of the method, by how many others have them too")
    _layout.legend(figure)
    return figure


def _last_together(counts: np.ndarray) -> np.ndarray:
    """Heads by how many others have them, those of many others in one: as many greys as are told apart."""
    last = len(_NUMBERS) - 1
    return np.append(counts[:last], counts[last:].sum()) if len(counts) > last else counts


def _bar(ax: Axes, y: float, height: float, counts: np.ndarray, widest: int, number: str) -> None:
    left = 0.0
    for others, count in enumerate(counts):
        pale = 0.85 * others / (len(counts) - 1)
        ax.barh(
            y,
            count,
            height,
            left,
            color=_style.tint(_style.INK, pale),
            edgecolor="white",
            linewidth=0.6,
            label=_NUMBERS[others],
        )
        text = number.format(count)
        # What has no room is left out: a character takes 0.055 of some 5.5 inches.
        if 5.5 * count / widest > 0.055 * len(text) + 0.03:
            ink = "white" if pale < 0.5 else _style.INK
            ax.text(left + count / 2, y, text, ha="center", va="center", fontsize=7, color=ink)
        left += count

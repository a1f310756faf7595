"""Where in the model the heads lie that each question puts at the top."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator, PercentFormatter

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.layers import share_in_layers, top_set_shares
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study

TITLE = "Where each question's top heads lie"
SECTION = "q4"
TABLES = ("profiles",)
NEEDS = {"question": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A map of layers × heads per question, those of one category together, and each layer's share beside it."""
    grids = _head_lists.grids(tables["profiles"], study)
    panels = []
    for grid in grids:
        rows = head_profiles.select(tables["profiles"], "question", grid=grid.shape)
        questions = study.in_config_order("question", rows.loc[rows["top_share"] > 0, "value"])
        for question in _layout.by_category(study, questions):
            words = [grid.models] if len(grids) > 1 else []
            words += [study.label("question", question), f"({study.categories.get(question, 'other')})"]
            panels.append(
                ("\n".join(words), grid, top_set_shares(rows[rows["value"] == question], grid.layers, grid.per_layer))
            )
    if not panels:
        return _layout.note("No ranking tells top heads apart from the rest, so that they lie nowhere.")
    # Maps of few heads per layer are narrow.
    narrow = max(grid.per_layer / grid.layers for grid in grids) < 0.6
    columns = min(len(panels), 4 if narrow else 2 if len(panels) in (2, 4) else 3)
    lines = -(-len(panels) // columns)
    width = _style.WIDTH / columns
    height = min(3.2, max(1.7, 0.62 * width * max(grid.layers / grid.per_layer for grid in grids))) + 0.45
    figure = Figure(figsize=(_style.WIDTH, height * lines + 0.5), layout="constrained")
    cells = figure.add_gridspec(lines, 2 * columns, width_ratios=(2 if narrow else 3, 1) * columns)
    highest = max(share.max() for *_, share in panels)
    fullest = max(share_in_layers(share).max() for *_, share in panels)
    for i, (title, _, share) in enumerate(panels):
        line, column = divmod(i, columns)
        ax = figure.add_subplot(cells[line, 2 * column])
        ax.set_title("\n".join(_style.wrap(line, 96 // columns) for line in title.splitlines()))
        image = _map(ax, share, highest)
        ax.set_ylabel("Layer" if column == 0 else "")
        ax.set_xlabel("Head" if i + columns >= len(panels) else "")
        ax.tick_params(labelleft=column == 0 or len(grids) > 1)
        beside = figure.add_subplot(cells[line, 2 * column + 1], sharey=ax)
        _layers(beside, share_in_layers(share), fullest)
        beside.set_xlabel("% in layer" if i + columns >= len(panels) else "")
    bar = figure.colorbar(image, ax=figure.axes, fraction=0.04, aspect=30, label="Share of the configurations")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    _layout.legend(figure)
    return figure


def _map(ax: Axes, share: np.ndarray, highest: float) -> AxesImage:
    image = ax.imshow(
        share, cmap=_style.HEATMAP, vmin=0, vmax=highest, origin="lower", aspect="auto", interpolation="none"
    )
    ax.grid(False)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(7, integer=True))
    return image


def _layers(ax: Axes, in_layer: np.ndarray, fullest: float) -> None:
    ax.barh(range(len(in_layer)), in_layer, 0.8, color=_style.INK)
    ax.axvline(1 / len(in_layer), color=_style.RANDOM, linestyle="--", linewidth=1, label="Spread evenly over layers")
    ax.tick_params(axis="y", left=False, labelleft=False)
    ax.set_xlim(0, 1.05 * fullest)
    ax.xaxis.set_major_locator(MaxNLocator(2, steps=(1, 2, 5, 10)))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
    ax.grid(False)

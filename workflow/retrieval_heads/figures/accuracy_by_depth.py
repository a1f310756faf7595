"""Accuracy over the needle's depth and the context length, with no head ablated, the top ones, and random ones."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.figures import _controls, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import at_level, controls_beside, select

TITLE = "Accuracy over depth and length"
SECTION = "depths"
TABLES = ("effects", "against_random")
NEEDS = {"depth": 2, "ablated_length": 2}

_CELL, _TITLES = 0.28, 0.3
"""Inches of a row of cells, and of a panel's title and axis."""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """For each model a panel with no head ablated, one for each method's top heads, and one for random heads."""
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    level = study.level(tables["effects"])
    depths = study.in_config_order("depth", tables["effects"]["depth"])
    found = [select(tables["effects"], pooled=["question"], depth=depth) for depth in depths]
    effects = at_level(pd.concat(found), level) if found else tables["effects"].iloc[:0]
    lengths = study.in_config_order("context_length", effects["context_length"])
    if len(depths) < 2 or len(lengths) < 2:
        return _layout.note("Heads were ablated at one depth or one context length, so that there is no grid of both.")
    of_models = [
        _panels(study, effects[effects["model"] == model], tables["against_random"], model, level)
        for model in study.in_config_order("model", effects["model"])
    ]
    columns = min(3, max(map(len, of_models)))
    # Each model begins a line of its own.
    panels = [panel for one in of_models for panel in (*one, *[None] * (-len(one) % columns))]
    rows = len(panels) // columns
    lines = 2 if len(of_models) > 1 else 1
    height = rows * (_CELL * len(depths) + _TITLES + 0.15 * lines) + 0.3
    figure = Figure(figsize=(_style.WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    shown = []
    for place, (ax, panel) in enumerate(zip(axes.flat, panels, strict=True)):
        if panel is None:
            ax.remove()
            continue
        title, values = panel
        _draw_cells(ax, values.reindex(index=depths, columns=lengths).to_numpy(float))
        ax.set_title(title)
        # The last of its column has the lengths below it.
        ax.tick_params(labelbottom=not any(panels[place + columns :: columns]))
        shown.append(ax)
    axes.flat[0].set_xticks(range(len(lengths)), [f"{int(length):,}" for length in lengths])
    axes.flat[0].set_yticks(range(len(depths)), [study.label("depth", depth) for depth in depths])
    axes.flat[0].set_ylim(len(depths) - 0.5, -0.5)
    figure.supxlabel("Context length (tokens)")
    figure.supylabel("Depth of the needle")
    scale = ScalarMappable(Normalize(0, 1), _style.HEATMAP)
    figure.colorbar(scale, ax=shown, label="Accuracy", format=PercentFormatter(1), fraction=0.05, aspect=25)
    return figure


def _panels(
    study: Study, effects: pd.DataFrame, against_random: pd.DataFrame, model: str, level: int
) -> list[tuple[str, pd.DataFrame]]:
    """Title and accuracies, depths × lengths, of each panel of a model."""
    found = [("No head ablated", _grid(effects, "baseline"))]
    controls = _controls.one_control(controls_beside(against_random, effects))
    if len(controls):
        found.append((f"{level} random heads", _grid(controls, "accuracy")))
    for method in study.in_config_order("method", effects["method"]):
        of_method = effects[effects["method"] == method]
        found.append((f"Top {level} of {study.label('method', method)}", _grid(of_method, "accuracy")))
    named = f"{study.label('model', model)}\n" if len(study.configured("model")) > 1 else ""
    return [(f"{named}{_style.wrap(title, 30)}", values) for title, values in found]


def _grid(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Depths × lengths: means over methods, where there are several."""
    return rows.pivot_table(index="depth", columns="context_length", values=column, aggfunc="mean")


def _draw_cells(ax: Axes, values: np.ndarray) -> None:
    ax.imshow(values, cmap=_style.HEATMAP, vmin=0, vmax=1, aspect="auto")
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            dark = np.mean(mpl.colormaps[_style.HEATMAP](value)[:3]) < 0.55
            colour = "white" if dark else _style.INK
            ax.text(column, row, f"{100 * value:.0f}", ha="center", va="center", fontsize=7.5, color=colour)

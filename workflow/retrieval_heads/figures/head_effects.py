"""What every head by itself is worth for the answer."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from retrieval_heads.analysis.head_effects import strongest
from retrieval_heads.figures import _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import head_name

TITLE = "What every head does by itself"
SECTION = "every_head"
TABLES = ("head_effect_summary",)
NEEDS = {"yardstick": 1}

_STRONGEST = 15
_COLOUR = "#0072B2"


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """For each model and context length the map of all heads, and beside it the strongest with their intervals.

    Of several modes, that of the headline is shown, or else the first.
    """
    summary = tables["head_effect_summary"]
    modes = list(dict.fromkeys(summary["mode"]))
    headline = study.interventions[study.headline]["mode"]
    mode = headline if headline in modes else next(iter(modes), headline)
    summary = summary[summary["mode"] == mode]
    cells = []
    for model in study.in_config_order("model", summary["model"]):
        of_model = summary[summary["model"] == model]
        for length in study.in_config_order("context_length", of_model["context_length"]):
            rows = of_model[of_model["context_length"] == length]
            if len(first := strongest(rows, _STRONGEST)):
                cells.append((f"{study.label('model', model)}, {study.label('context_length', length)}", rows, first))
    if not cells:
        return _layout.note("No head is needed more than others, so that there is no order to show.")
    figure = Figure(figsize=(_style.WIDTH, 3.1 * len(cells) + 0.3), layout="constrained")
    grid = figure.subplots(len(cells), 2, squeeze=False, width_ratios=[1.25, 1])
    for (map_ax, list_ax), (title, rows, first) in zip(grid, cells, strict=True):
        _draw_map(figure, map_ax, rows)
        _draw_list(list_ax, first)
        map_ax.set_title(_style.wrap(title, 44))
    label = study.replacements.get(mode, {}).get("label", mode)
    figure.supxlabel(f"Each head ablated by itself in question and answer ({label})")
    return figure


def _draw_map(figure: Figure, ax: Axes, rows: pd.DataFrame) -> None:
    """Layers from bottom to top, heads from left to right; the scale is steep near 0, where most heads are."""
    effects = rows.sort_values(["layer", "head"])["effect"].to_numpy()
    largest = np.abs(effects).max()
    image = ax.imshow(
        effects.reshape(rows["layers"].iloc[0], rows["heads"].iloc[0]),
        cmap="RdBu",
        norm=AsinhNorm(largest / 30, -largest, largest),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    ax.grid(visible=False)
    ax.set_xlabel("Head")
    ax.set_ylabel("Layer")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True))
    ticks = [sign * share * largest for sign, share in ((-1, 1), (-1, 0.1), (1, 0), (1, 0.1), (1, 1))]
    bar = figure.colorbar(image, ax=ax, ticks=ticks, format=lambda value, _: f"{value:.2g}".replace("-", "−"))
    bar.minorticks_off()
    bar.set_label("Mean effect (nats)")
    bar.outline.set_visible(False)


def _draw_list(ax: Axes, first: pd.DataFrame) -> None:
    places = range(len(first))
    if first["effect_low"].notna().all():
        ends = _style.interval_arms(first["effect"], first["effect_low"], first["effect_high"])
        ax.errorbar(first["effect"], places, xerr=ends, color=_COLOUR, fmt="o", elinewidth=0.9)
    else:
        ax.plot(first["effect"], places, "o", color=_COLOUR)
    ax.axvline(0, color=_style.INK, linewidth=0.7)
    ax.set_yticks(places, [head_name(layer, head) for layer, head in zip(first["layer"], first["head"], strict=True)])
    ax.set_ylim(_STRONGEST - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Effect (nats), with 95% interval" if first["effect_low"].notna().all() else "Effect (nats)")

"""In which layers each method finds its heads."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from retrieval_heads.analysis.layers import layer_shares
from retrieval_heads.analysis.overlap import grids, top_heads
from retrieval_heads.figures import _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Layers of the top heads, by method"
SECTION = "layers"
TABLES = ("rankings",)
NEEDS: dict[str, int] = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: methods × models; the share of the top heads in each layer, mean and range over configurations.

    Many methods of one model stand in two columns.
    """
    rankings = tables["rankings"]
    top, grid = top_heads(rankings, study.top_k), grids(rankings)
    if top.empty:
        return _layout.note("No ranking tells top heads apart from the rest, so that they lie in no layers.")
    models = study.in_config_order("model", rankings["model"])
    methods = study.in_config_order("method", rankings["method"])
    names = [study.label("method", method) for method in methods]
    if len(methods) > MANY and len(models) == 1:
        figure, (line,) = _layout.panels([""], names, height=1.25, beside=2)
        axes = [[ax] for ax in line]
    else:
        figure, axes = _layout.panels(
            names,
            [study.label("model", model) for model in models],
            height=1.25 if len(methods) <= MANY else 1.0,
            sharex=len(methods) > 1 and "col",  # models may differ in their layers
        )
    for i, method in enumerate(methods):
        for j, model in enumerate(models):
            layers, _ = grid[model]
            shares = layer_shares(top[(top["model"] == model) & (top["method"] == method)], layers)
            ax, look, name = axes[i][j], _style.method_style(study, method), study.label("method", method)
            if len(shares):
                mean, low, high = shares.mean(axis=0), shares.min(axis=0), shares.max(axis=0)
                ax.bar(range(layers), mean, 0.8, color=look["color"], label=name if len(methods) == 1 else None)
                ax.vlines(range(layers), low, high, color=_style.INK, linewidth=0.8, label="Lowest to highest")
            else:
                ranked = ((rankings["model"] == model) & (rankings["method"] == method)).any()
                why = f"{name} tells no\ntop heads apart" if ranked else f"No ranking by {name}"
                ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center")
            ax.axhline(1 / layers, color=_style.RANDOM, linestyle="--", linewidth=1, label="Spread evenly over layers")
            ax.set_xlim(-0.8, layers - 0.2)
            ax.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            ax.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
            ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.supxlabel("Layer")
    figure.supylabel("Share of the top heads")
    _layout.legend(figure)
    return figure

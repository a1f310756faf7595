"""What the top heads of each question cost each question, under each method."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from retrieval_heads.figures import _layout, _overlap, _style
from retrieval_heads.study.study import Study

TITLE = "What the top heads of each question cost each question"
SECTION = "transfer"
TABLES = ("transfer_drops",)
# The intervention is the control's own, whichever is the headline.
NEEDS = {"transfer": 1, "intervention": 1}

_ROOM = 0.2
"""The least width of a cell in inches that has room for its number."""

_FRAME = {"facecolor": "none", "edgecolor": _style.INK, "linewidth": 1.3}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: methods, or methods × models. Rows: whose heads; columns: which question. Means over context lengths."""
    drops = tables["transfer_drops"]
    if drops.empty:
        return _layout.note("No two questions have top sets of one size, so none was compared.")
    models = study.in_config_order("model", drops["model"])
    methods = study.in_config_order("method", drops["method"])
    questions = _layout.by_category(study, study.in_config_order("question", drops["question"]))
    places = [(method, model) for model in models for method in methods]
    beside = _layout.panels_beside(len(places))
    while beside > 1 and _overlap.cell_width(_style.WIDTH, beside, len(questions)) < _ROOM:
        beside -= 1
    beside = min(beside, len(methods)) if len(models) > 1 else beside
    names = [
        study.label("method", method) + (f", {study.label('model', model)}" if len(models) > 1 else "")
        for method, model in places
    ]
    width = _overlap.cell_width(_style.WIDTH, min(beside, len(places)), len(questions))
    height = min(0.75 * width, 0.5) * len(questions) + 0.65
    figure, axes = _layout.panels([""], names, height=max(1.4, height), beside=beside)
    panels = axes[0]
    for ax, name in zip(panels, names, strict=True):
        ax.set_title(_style.wrap(name, 88 // min(beside, len(places))) if len(places) > 1 else "")
    most = max(0.1, np.ceil(10 * drops["drop"].max()) / 10)
    for ax, (method, model) in zip(panels, places, strict=True):
        rows = drops[(drops["method"] == method) & (drops["model"] == model)]
        matrix = rows.groupby(["source_question", "question"])["drop"].mean().unstack()
        image = _heatmap(ax, matrix.reindex(index=questions, columns=questions), study, most, width)
    _layout.let_hang(panels)
    bar = figure.colorbar(image, ax=panels, label="Drop of accuracy", fraction=0.05, aspect=25)
    bar.outline.set_visible(False)
    figure.supylabel("Heads of")
    how = study.label("intervention", drops["intervention"].iloc[0])
    figure.supxlabel(f"Question asked. Ablation: {how}")
    _layout.legend(figure, **{"A question's own heads": Patch(**_FRAME)})
    return figure


def _heatmap(ax: Axes, matrix: pd.DataFrame, study: Study, most: float, width: float) -> ScalarMappable:
    """The drops of one method: rows are whose heads are ablated, columns what is asked."""
    names = [study.label("question", question) for question in matrix.index]
    image = ax.imshow(matrix.to_numpy(float), cmap=_style.HEATMAP, vmin=0, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(matrix.to_numpy(float)):
        if np.isfinite(value):
            text = f"{value:.2f}" if width > 0.3 else f"{value:.2f}".replace("0.", ".", 1)
            # A drop below 0.005 either way is no drop; "-0.00" says it was one.
            text = text.replace("-0.00", "0.00").replace("-.00", ".00").replace("-", "−")
            colour = "white" if value > 0.55 * most else _style.INK
            ax.text(column, row, text, ha="center", va="center", fontsize=7 if width > _ROOM else 5.5, color=colour)
    for place in range(len(names)):
        # Drawn within the cell, for the edge of the panel would cut the frame of an outer one in half.
        ax.add_patch(Rectangle((place - 0.485, place - 0.485), 0.97, 0.97, **_FRAME))
    upright = max(len(line) for name in names for line in _style.wrap(name).splitlines()) * 0.06 > width - 0.05
    ax.set_xticks(range(len(names)), [_style.wrap(name, 22 if upright else 11) for name in names])
    ax.set_yticks(range(len(names)), [_style.wrap(name, 22) for name in names])
    ax.tick_params(axis="x", rotation=90 if upright else 0, length=0)
    ax.tick_params(axis="y", length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return image

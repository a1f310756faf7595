"""What the top heads of each question cost each question, under each method."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from retrieval_heads.analysis.shapes import results_by_grid
from retrieval_heads.figures import _layout, _overlap, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "What the top heads of each question cost each question"
SECTION = "transfer"
TABLES = ("transfer_drops", "rankings")
# The intervention is the control's own, whichever is the headline.
NEEDS = {"transfer": 1, "intervention": 1}

_ROOM = 0.2
"""The least width of a cell in inches that has room for its number."""

_CELL, _TITLE, _LETTER = 0.5, 0.3, 0.065
"""The most height of a cell, that of a panel's title, and the width of a letter of a label, in inches."""

_PAGE = 10.5
"""The height that panels and labels may take together, in inches."""

_FRAME = {"facecolor": "none", "edgecolor": _style.INK, "linewidth": 1.3}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: methods, or methods × models where methods are few. Rows: whose heads; columns: what is asked.

    Cells are means over context lengths, and over models of one shape where these have no panels of their own.
    """
    drops = tables["transfer_drops"]
    if drops.empty:
        return _layout.note("No two questions have top sets of one size, so none was compared.")
    methods = study.in_config_order("method", drops["method"])
    models = study.in_config_order("model", drops["model"])
    # No mean is over models of unequal shape.
    apart = len(models) > 1 and (len(methods) <= MANY or len(results_by_grid(tables, study.config["models"])) > 1)
    questions = _layout.by_category(study, study.in_config_order("question", drops["question"]))
    parts = [
        (
            study.label("method", method) + (f", {study.label('model', model)}" if apart else ""),
            drops[(drops["method"] == method) & ((drops["model"] == model) | (not apart))],
        )
        for model in (models if apart else models[:1])
        for method in methods
    ]
    beside = min(len(methods) if apart else len(parts), _layout.panels_beside(len(parts)))
    while beside > 1 and _overlap.cell_width(_style.WIDTH, beside, len(questions)) < _ROOM:
        beside -= 1
    width = _overlap.cell_width(_style.WIDTH, beside, len(questions))
    names = [_style.wrap(study.label("question", question), 22) for question in questions]
    longest = max(len(line) for name in names for line in name.splitlines())
    below, rows = _LETTER * longest, -(-len(parts) // beside)
    height = min(_TITLE + min(0.75 * width, _CELL) * len(questions), (_PAGE - below) / rows)
    letters = int(width * len(questions) / _LETTER)
    figure, axes = _layout.panels([""], [name for name, _ in parts], height=height, beside=beside, letters=letters)
    figure.set_figheight(figure.get_figheight() + below)
    panels = axes[0]
    most = max(0.1, np.ceil(10 * drops["drop"].max()) / 10)
    for ax, (_, part) in zip(panels, parts, strict=True):
        matrix = part.groupby(["source_question", "question"])["drop"].mean().unstack()
        image = _heatmap(ax, matrix.reindex(index=questions, columns=questions), names, most, width)
    _layout.let_hang(panels)
    bar = figure.colorbar(image, ax=panels, label="Drop of accuracy", fraction=0.05, aspect=25)
    bar.outline.set_visible(False)
    for ax in panels[::beside]:
        ax.set_ylabel("Heads of")
    how = study.label("intervention", drops["intervention"].iloc[0])
    figure.supxlabel(f"Question asked. Ablation: {how}")
    _layout.legend(figure, **{"A question's own heads": Patch(**_FRAME)})
    return figure


def _heatmap(ax: Axes, matrix: pd.DataFrame, names: Sequence[str], most: float, width: float) -> ScalarMappable:
    """The drops of one method: rows are whose heads are ablated, columns what is asked."""
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
    # Side by side, labels wider than a cell would run into each other.
    short = [_style.wrap(name.replace("\n", " ")) for name in names]
    upright = max(len(line) for name in short for line in name.splitlines()) * _LETTER > width
    ax.set_xticks(range(len(names)), names if upright else short)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="x", rotation=90 if upright else 0, length=0)
    ax.tick_params(axis="y", length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return image

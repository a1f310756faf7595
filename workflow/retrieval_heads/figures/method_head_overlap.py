"""How far the methods choose the same heads."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _overlap, style
from retrieval_heads.study import Study

TITLE = "Overlap of the top heads of each two methods"
SECTION = "agreement"
TABLES = ("overlap", "unions")
NEEDS = {"method": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per model: mean Jaccard over all questions and lengths; and one per grid for the heads in any ranking."""
    overlap, unions = (_overlap.pairs_along(tables[name], "method") for name in ("overlap", "unions"))
    if overlap.empty:
        return style.Note("No two methods ranked the heads of the same model for the same question and context length.")
    models, grids = study.order("model", overlap["model"]), sorted(set(unions["grid"]))
    single = [study.label("model", model) if len(models) > 1 else "Single rankings: mean and range" for model in models]
    together = [_overlap.union_title(grid, len(grids) == 1) for grid in grids]
    methods = _overlap.values_of(study, "method", overlap)
    figure, axes = style.panels([""], [*single, *together], height=0.7 + 0.75 * (len(methods) - 1))
    labels = [study.label("method", method) for method in methods]
    for ax, model in zip(axes[0], models, strict=False):
        image = _overlap.heatmap(ax, overlap[overlap["model"] == model], methods, labels)
    for ax, grid in zip(axes[0][len(models) :], grids, strict=True):
        _overlap.heatmap(ax, unions[unions["grid"] == grid], methods, labels, own_chance=True)
    _overlap.chance_bar(figure, image, axes, overlap["chance"].mean(), unions["chance"].mean() if grids else None)
    return figure

"""How far the methods choose the same heads."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import style
from retrieval_heads.study import Study

TITLE = "Overlap of the top heads of each two methods"
SECTION = "overlap"
TABLES = ("overlap",)
NEEDS = {"method": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per model: mean Jaccard of each two methods over all questions and lengths."""
    overlap = tables["overlap"][tables["overlap"]["dimension"] == "method"]
    models = study.order("model", overlap["model"])
    width = style.WIDTH if len(models) > 1 else style.WIDTH / 2
    figure, axes = style.panels([""], [study.label("model", model) for model in models], height=2.2, width=width)
    methods = study.order("method", [*overlap["a"], *overlap["b"]])
    labels = [study.label("method", method) for method in methods]
    for ax, model in zip(axes[0], models, strict=True):
        image = style.heatmap(ax, overlap[overlap["model"] == model], methods, labels)
    style.chance_bar(figure, image, axes, overlap["chance"].mean())
    return figure

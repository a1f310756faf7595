"""How far the questions use the same heads."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import style
from retrieval_heads.study import Study

TITLE = "Overlap of the top heads of each two questions"
SECTION = "overlap"
TABLES = ("overlap",)
NEEDS = {"question": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: methods, or methods × models; Jaccard of each two questions, mean and range over lengths."""
    overlap = tables["overlap"][tables["overlap"]["dimension"] == "question"]
    models, methods = study.order("model", overlap["model"]), study.order("method", overlap["method"])
    questions = study.order("question", [*overlap["a"], *overlap["b"]])
    labels = [study.label("question", question) for question in questions]
    names = [study.label("method", method) for method in methods]
    if len(models) == 1:
        figure, axes = style.panels([""], names, height=2.4)
        by_method = [[ax] for ax in axes[0]]
    else:  # models side by side, for there are few of them, and cells need the width
        figure, axes = style.panels(names, [study.label("model", model) for model in models], height=1.8)
        by_method = axes
    for method, line in zip(methods, by_method, strict=True):
        for model, ax in zip(models, line, strict=True):
            here = overlap[(overlap["model"] == model) & (overlap["method"] == method)]
            image = style.heatmap(ax, here, questions, labels)
    style.chance_bar(figure, image, axes, overlap["chance"].mean())
    return figure

"""How far the questions use the same heads, under each method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _overlap, style
from retrieval_heads.study import Study

TITLE = "Overlap of the top heads of each two questions, by method"
SECTION = "overlap"
TABLES = ("overlap",)
NEEDS = {"question": 2}

_NARROWEST = 0.27


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: methods, or methods × models; Jaccard of each two questions, mean and range over the rest."""
    overlap = _overlap.pairs_along(tables["overlap"], "question")
    if overlap.empty:
        return style.Note("No two questions were ranked with the same model, method and context length.")
    models, methods = study.order("model", overlap["model"]), study.order("method", overlap["method"])
    questions = _overlap.by_category(study, _overlap.values_of(study, "question", overlap))
    cells = len(questions) - 1
    names = [study.label("method", method) for method in methods]
    across = [study.label("model", model) for model in models]
    height = max(1.1, 0.6 * cells)
    if len(models) == 1 or _overlap.cell_width(style.WIDTH, len(models), cells) < _NARROWEST:
        figure, axes = style.panels([""], names, height=height + 0.6)
        places = [(ax, overlap["method"] == method) for ax, method in zip(axes[0], methods, strict=True)]
    else:  # models side by side, for there are few of them, and cells need the width
        figure, axes = style.panels(names, [style.wrap(name, 66 // len(models)) for name in across], height=height)
        places = [
            (ax, (overlap["method"] == method) & (overlap["model"] == model))
            for method, line in zip(methods, axes, strict=True)
            for model, ax in zip(models, line, strict=True)
        ]
    labels = [study.label("question", question) for question in questions]
    framed = _overlap.same_category(study, questions)
    for ax, chosen in places:
        image = _overlap.heatmap(ax, overlap[chosen], questions, labels, framed)
    _overlap.chance_bar(figure, image, axes, overlap["chance"].mean())
    if framed:
        style.legend(figure, **_overlap.frame_key())
    return figure

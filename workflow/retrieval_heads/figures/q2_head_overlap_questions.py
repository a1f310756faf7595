"""How far the questions use the same heads, in single rankings and in all of them together."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _overlap, style
from retrieval_heads.study import Study

TITLE = "Overlap of the top heads of each two questions"
SECTION = "q2"
TABLES = ("overlap", "unions")
NEEDS = {"question": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Left the mean Jaccard of single rankings, right that of the heads in any ranking, a panel per grid of heads."""
    overlap, unions = (_overlap.pairs_along(tables[name], "question") for name in ("overlap", "unions"))
    if overlap.empty:
        return style.Note("No two questions were ranked with the same model, method and context length.")
    questions = _overlap.by_category(study, _overlap.values_of(study, "question", overlap))
    labels = [study.label("question", question) for question in questions]
    framed = _overlap.same_category(study, questions)
    grids = sorted(set(unions["grid"]))
    together = [_overlap.union_title(grid, len(grids) == 1) for grid in grids]
    height = max(1.1, 0.6 * (len(questions) - 1)) + 0.6
    figure, axes = style.panels([""], ["Single rankings: mean and range", *together], height=height)
    image = _overlap.heatmap(axes[0][0], overlap, questions, labels, framed)
    for ax, grid in zip(axes[0][1:], grids, strict=True):
        _overlap.heatmap(ax, unions[unions["grid"] == grid], questions, labels, framed, own_chance=True)
    _overlap.chance_bar(figure, image, axes, overlap["chance"].mean(), unions["chance"].mean() if grids else None)
    if framed:
        style.legend(figure, **_overlap.frame_key())
    return figure

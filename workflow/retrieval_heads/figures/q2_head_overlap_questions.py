"""How far the questions use the same heads, in single rankings and in all of them together."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap_pairs import chance_level, top_sets_along
from retrieval_heads.figures import _layout, _overlap
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import Grid, of_grid

TITLE = "Overlap of the top heads of each two questions"
SECTION = "q2"
TABLES = ("overlap", "unions")
NEEDS = {"question": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Left the mean Jaccard of single rankings, right that of the heads in any ranking; a row per grid of heads."""
    overlap, unions = (top_sets_along(tables[name], "question") for name in ("overlap", "unions"))
    if overlap.empty:
        return _layout.note("No two questions were ranked with the same model, method and context length.")
    questions = _layout.by_category(study, _overlap.values_of(study, "question", overlap))
    labels = [study.label("question", question) for question in questions]
    framed = _overlap.same_category(study, questions)
    grids = _overlap.by_grid(study, overlap)
    titles = ["Single rankings: mean and range", "Union over all rankings"]
    height = max(1.1, 0.6 * (len(questions) - 1)) + 0.6
    figure, axes = _layout.panels([models for models, _ in grids], titles, height=height)
    for (single, union), (_, rows) in zip(axes, grids, strict=True):
        together = of_grid(unions, Grid.of(rows.iloc[0]))
        image = _overlap.heatmap(single, rows, questions, labels, framed)
        _overlap.heatmap(union, together, questions, labels, framed, own_chance=True)
        _overlap.chance_bar(figure, image, [[single, union]], chance_level(rows), chance_level(together))
    if framed:
        _layout.legend(figure, **_overlap.frame_key())
    return figure

"""How far the methods choose the same heads."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap_pairs import top_sets_along
from retrieval_heads.figures import _layout, _overlap
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY
from retrieval_heads.tables.heads import Grid, of_grid

TITLE = "Overlap of the top heads of each two methods"
SECTION = "agreement"
TABLES = ("overlap", "unions")
NEEDS = {"method": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per model: mean Jaccard over all questions and lengths; and one for the heads in any ranking.

    Where models differ in their grids of heads, there is a row per grid, with its models in one panel.
    """
    overlap, unions = (top_sets_along(tables[name], "method") for name in ("overlap", "unions"))
    if overlap.empty:
        return _layout.note(
            "No two methods ranked the heads of the same model for the same question and context length."
        )
    models, grids = study.in_config_order("model", overlap["model"]), _overlap.by_grid(study, overlap)
    apart = len(models) > 1 and len(grids) == 1
    methods = _overlap.values_of(study, "method", overlap)
    labels, cells = [study.label("method", method) for method in methods], len(methods) - 1
    shown = "mean and range" if _overlap.has_ranges(2, cells) else "mean"
    titles = [study.label("model", model) for model in models] if apart else [f"Single rankings: {shown}"]
    # Of many methods, cells need the width of half a page for their numbers, and names stand upright below them.
    many = len(methods) > MANY
    height = 1.5 + max(0.35 * cells, 2.4) if many else 0.7 + 0.75 * cells
    figure, axes = _layout.panels(
        [names for names, _ in grids],
        [*titles, "Union over all rankings"],
        height=height,
        beside=2 if many else None,
    )
    for line, (_, rows) in zip(axes, grids, strict=True):
        parts = [rows[rows["model"] == model] for model in models] if apart else [rows]
        for ax, part in zip(line[:-1], parts, strict=True):
            image = _overlap.heatmap(ax, part, methods, labels)
        together = of_grid(unions, Grid.of(rows.iloc[0]))
        _overlap.heatmap(line[-1], together, methods, labels, own_chance=True)
        _overlap.chance_bar(figure, image, [line], rows["chance"].mean(), together["chance"].mean())
    return figure

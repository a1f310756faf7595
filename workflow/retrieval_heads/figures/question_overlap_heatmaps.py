"""How far the questions use the same heads, under each method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap_pairs import chance_level, top_sets_along
from retrieval_heads.figures import _layout, _overlap, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Overlap of the top heads of each two questions, by method"
SECTION = "overlap"
TABLES = ("overlap",)
NEEDS = {"question": 2}

_NARROWEST = 0.27


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: methods, or methods × models or grids of heads; Jaccard of each two questions, mean and range."""
    overlap = top_sets_along(tables["overlap"], "question")
    if overlap.empty:
        return _layout.note("No two questions were ranked with the same model, method and context length.")
    models = study.in_config_order("model", overlap["model"])
    methods = study.in_config_order("method", overlap["method"])
    questions = _layout.by_category(study, _overlap.values_of(study, "question", overlap))
    cells = len(questions) - 1
    names = [study.label("method", method) for method in methods]
    height = max(1.1, (0.6 if len(methods) <= MANY else 0.45) * cells)
    parts = _overlap.by_grid(study, overlap)
    chance = chance_level(overlap) if len(parts) == 1 else None
    if _overlap.cell_width(_style.WIDTH, len(models), cells) >= _NARROWEST:
        # Models side by side, for there are few of them, and cells need the width.
        parts = [(study.label("model", model), overlap[overlap["model"] == model]) for model in models]
    if len(parts) == 1:
        figure, axes = _layout.panels([""], names, height=height + 0.6)
        places = [(ax, method, overlap) for ax, method in zip(axes[0], methods, strict=True)]
    else:
        titles = [_style.wrap(name, 66 // len(parts)) for name, _ in parts]
        if chance is None:
            titles = [
                f"{title}\n(chance {rows['chance'].mean():.3f})" for title, (_, rows) in zip(titles, parts, strict=True)
            ]
        figure, axes = _layout.panels(names, titles, height=height)
        places = [
            (ax, method, rows)
            for method, line in zip(methods, axes, strict=True)
            for (_, rows), ax in zip(parts, line, strict=True)
        ]
    labels = [study.label("question", question) for question in questions]
    framed = _overlap.same_category(study, questions)
    for ax, method, rows in places:
        image = _overlap.heatmap(ax, rows[rows["method"] == method], questions, labels, framed)
    _layout.let_hang([ax for line in axes for ax in line])
    _overlap.chance_bar(figure, image, axes, chance)
    if framed:
        _layout.legend(figure, **_overlap.frame_key())
    return figure

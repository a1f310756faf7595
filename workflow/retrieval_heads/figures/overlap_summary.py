"""How far two rankings agree that differ in one thing alone, for each such thing."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap_pairs import pairs_along
from retrieval_heads.figures import _layout, _overlap, _style
from retrieval_heads.study.study import Study

TITLE = "Overlap of two rankings, by what they differ in"
SECTION = "overlap"
TABLES = ("overlap",)
NEEDS: dict[str, int] = {}

_DIMENSIONS = {
    "question": "Question",
    "context_length": "Context length",
    "model": "Model",
    "method": "Method",
}
_LOOK = {"color": _style.INK, "marker": "o"}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per measure and a strip per dimension: every pair a dot, mean and standard deviation, and chance.

    Models with other grids of heads have strips of their own.
    """
    rows = {}
    for dimension, name in _DIMENSIONS.items():
        for models, of_grid in _overlap.by_grid(study, tables["overlap"]):
            if len(pairs := pairs_along(of_grid, dimension)):
                what = _style.wrap(_overlap.of_models(name, models), 24)
                rows[f"{what}\n{len(pairs):,} pair{'s' if len(pairs) > 1 else ''}"] = pairs, _LOOK
    if not rows:
        return _layout.note(
            "No two rankings of this study differ in one dimension alone, so that none can be compared."
        )
    figure = Figure(figsize=(_style.WIDTH, max(0.55 * len(rows) + 0.7, 1.6)), layout="constrained")
    axes = figure.subplots(1, len(_overlap.MEASURES), sharey=True)
    _overlap.draw_strips(axes, rows)
    axes[0].set_ylabel("The two rankings\ndiffer in")
    _layout.legend(figure, **_overlap.strip_key())
    return figure

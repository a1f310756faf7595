"""How far a method's rankings agree with each other on other documents, beside how far two methods agree."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap import with_grids
from retrieval_heads.analysis.overlap_pairs import pairs_along
from retrieval_heads.figures import _layout, _overlap, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY
from retrieval_heads.tables import heads

TITLE = "Agreement of a method with itself and of two methods"
SECTION = "agreement"
TABLES = ("rankings", "overlap", "reliability")
NEEDS = {"split_halves": 1}

_LOOK = {"color": _style.INK, "marker": "o"}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per measure: first each method against itself, on two halves of the documents, then each two methods.

    Of many methods, each is followed by its pairs with all others. Models with other grids of heads have strips of
    their own.
    """
    reliability = tables["reliability"]
    if reliability.empty:
        return _layout.note("No configuration has scores in both halves of the documents.")
    grids = _overlap.by_grid(study, with_grids(reliability, tables["rankings"]))
    rows = {}
    methods, along = study.in_config_order("method", reliability["method"]), pairs_along(tables["overlap"], "method")
    together = len(methods) > MANY
    for method in methods:
        for models, of_grid in grids:
            if len(halves := of_grid[of_grid["method"] == method]):
                name = _style.wrap(_overlap.of_models(study.label("method", method), models), 20)
                rows[f"{name},\ntwo halves"] = halves, _style.method_style(study, method)
                pairs = heads.of_grid(along, heads.Grid.of(of_grid.iloc[0]))
                pairs = pairs[(pairs["a"] == method) | (pairs["b"] == method)]
                if together and len(pairs):
                    rows[f"{name}\nand others"] = pairs, _LOOK
    own = len(rows)
    for models, of_grid in [] if together else _overlap.by_grid(study, along):
        for a, b, pairs in _overlap.by_pair(study, "method", of_grid):
            names = study.label("method", a), _overlap.of_models(study.label("method", b), models)
            rows[f"{_style.wrap(names[0], 20)} –\n{_style.wrap(names[1], 20)}"] = pairs, _LOOK
    lines = max(name.count("\n") + 1 for name in rows)
    height = max(0.38 if together else 0.55, 0.15 * lines)
    figure = Figure(figsize=(_style.WIDTH, height * len(rows) + 0.7), layout="constrained")
    axes = figure.subplots(1, len(_overlap.MEASURES), sharey=True)
    _overlap.draw_strips(axes, rows)
    for ax in axes if own < len(rows) else ():
        ax.axhline(own - 0.5, color=_style.INK, linewidth=0.6)
    _layout.legend(figure, **_overlap.strip_key())
    return figure

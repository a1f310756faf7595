"""How far a method's rankings agree with each other on other documents, beside how far two methods agree."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _overlap, style
from retrieval_heads.study import Study

TITLE = "Agreement of a method with itself and of two methods"
SECTION = "agreement"
TABLES = ("overlap", "reliability")
NEEDS = {"split_halves": 1}

_LOOK = {"color": style.INK, "marker": "o"}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per measure: first each method against itself, on two halves of the documents, then each two methods."""
    overlap, reliability = tables["overlap"], tables["reliability"]
    if reliability.empty:
        return style.Note("No configuration has scores in both halves of the documents.")
    rows = {}
    for method in study.order("method", reliability["method"]):
        halves = reliability[reliability["method"] == method]
        name = style.wrap(study.label("method", method), 20)
        rows[f"{name},\ntwo halves"] = halves, style.method_style(study, method)
    own = len(rows)
    methods = overlap[overlap["dimension"] == "method"]
    for a, b, pairs in _overlap.each_pair(study, "method", methods):
        names = [study.label("method", value) for value in (a, b)]
        rows[f"{style.wrap(names[0], 20)} –\n{style.wrap(names[1], 20)}"] = pairs, _LOOK
    figure = Figure(figsize=(style.WIDTH, 0.55 * len(rows) + 0.7), layout="constrained")
    axes = figure.subplots(1, len(_overlap.MEASURES), sharey=True)
    _overlap.strips(axes, rows, overlap)
    for ax in axes if own < len(rows) else ():
        ax.axhline(own - 0.5, color=style.INK, linewidth=0.6)
    style.legend(figure, **_overlap.strip_key())
    return figure

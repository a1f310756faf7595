"""Heads that one method ranks at the top and another far below."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.ties import told_apart
from retrieval_heads.figures import _heads, style
from retrieval_heads.study.study import Study

TITLE = "Heads that methods rank most differently"
SECTION = "consensus"
TABLES = ("profiles",)
NEEDS = {"method": 2}

_HEADS = 8


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per method: of its top heads those that fall furthest with another method, with all their mean ranks."""
    panels = []
    for grid, method, label, rows in _heads.each_method(tables["profiles"], study):
        every = head_profiles.of(tables["profiles"], grid=grid.name)
        top = head_profiles.leading(rows, study.top_k_of(grid.heads))
        heads = most_different(head_profiles.mean_ranks(every, "method"), method, top, _HEADS)
        if heads:
            panels.append((f"Top with {label}", heads, grid, every))
    if not panels:
        return style.note("No top head of one method has a lower rank with another.")
    figure, axes = _heads.panels([title for title, *_ in panels], [heads for _, heads, *_ in panels], row=0.2, pad=6)
    for ax, (_, heads, grid, every) in zip(axes, panels, strict=True):
        ranks = head_profiles.mean_ranks(every, "method").loc[heads]
        ax.hlines(range(len(heads)), ranks.min(axis=1), ranks.max(axis=1), color=style.RANDOM, linewidth=1, zorder=1)
        methods = study.in_config_order("method", ranks.columns)
        for method, shift in zip(methods, _heads.shifts(len(methods)) / 2, strict=True):
            rows, look = every[every["method"] == method], style.method_style(study, method)
            _heads.dots(ax, rows, heads, look, shift, label=study.label("method", method))
        _heads.rank_axis(ax, grid.heads)
    figure.supxlabel("Mean rank")
    style.legend(figure, **_heads.rare_key(figure))
    return figure


def most_different(ranks: pd.DataFrame, method: str, top: pd.DataFrame, most: int) -> list[tuple[int, int]]:
    """A method's top heads that another ranks lower, by how many times its rank that is, the most first.

    Parameters
    ----------
    ranks : heads × methods, of heads that all methods list.
    top : rows of the method's top heads.
    most : how many at most; none that ties with one left out.
    """
    ranks = ranks[ranks.index.isin(pd.MultiIndex.from_frame(top[["layer", "head"]]))]
    if ranks.shape[1] < 2:
        return []
    times = (ranks.drop(columns=method).max(axis=1) / ranks[method]).to_frame("times")
    return list(told_apart(times[times["times"] > 1], ["times"], [False], most).index)

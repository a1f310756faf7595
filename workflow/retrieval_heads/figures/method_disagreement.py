"""Heads that one method ranks at the top and another far below."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.shared_heads import most_different
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Heads that methods rank most differently"
SECTION = "consensus"
TABLES = ("profiles",)
NEEDS = {"method": 2}

_HEADS = 8


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per method: of its top heads those that fall furthest with another method, with all their mean ranks.

    Of many methods, the ranks stand in a matrix.
    """
    panels, methods = [], study.in_config_order("method", tables["profiles"]["method"])
    many = len(methods) > MANY
    for grid, method, label, rows in _head_lists.by_method(tables["profiles"], study):
        every = head_profiles.select(tables["profiles"], grid=grid.shape)
        top = head_profiles.leading(rows, study.top_k_of(grid.heads))
        heads = most_different(
            head_profiles.mean_ranks(every, "method"), method, top, _HEADS if not many else _HEADS // 2
        )
        if heads:
            panels.append((f"Top with {label}", heads, grid, every))
    if not panels:
        return _layout.note("No top head of one method has a lower rank with another.")
    titles, lists = [title for title, *_ in panels], [heads for _, heads, *_ in panels]
    if many:
        figure, axes = _head_lists.panels(titles, lists, columns=2, pad=6)
        for place, (ax, (_, heads, grid, every)) in enumerate(zip(axes, panels, strict=True)):
            _head_lists.rank_matrix(ax, every, heads, methods, grid.heads)
            last = place + 2 >= len(panels)
            _head_lists.name_columns(ax, [study.label("method", method) for method in methods] if last else [])
        _layout.let_hang(axes)
        figure.supxlabel("Mean rank")
        return figure
    figure, axes = _head_lists.panels(titles, lists, row=0.2, pad=6)
    for ax, (_, heads, grid, every) in zip(axes, panels, strict=True):
        ranks = head_profiles.mean_ranks(every, "method").loc[heads]
        ax.hlines(range(len(heads)), ranks.min(axis=1), ranks.max(axis=1), color=_style.RANDOM, linewidth=1, zorder=1)
        ranked = study.in_config_order("method", ranks.columns)
        for method, shift in zip(ranked, _head_lists.line_offsets(len(ranked)) / 2, strict=True):
            rows, look = every[every["method"] == method], _style.method_style(study, method)
            _head_lists.draw_dots(ax, rows, heads, look, shift, label=study.label("method", method))
        _head_lists.rank_axis(ax, grid.heads)
    figure.supxlabel("Mean rank")
    _layout.legend(figure, **_head_lists.rare_key(figure))
    return figure

"""The heads that are in most top sets of each method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Heads in most top sets, by method"
SECTION = "universal"
TABLES = ("profiles",)
NEEDS: dict[str, int] = {}

_HEADS = 12


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per method: the share of its configurations whose top set holds a head."""
    panels, number = [], _HEADS if tables["profiles"]["method"].nunique() <= MANY else 2 * _HEADS // 3
    for _, method, label, rows in _head_lists.by_method(tables["profiles"], study):
        if len(shown := head_profiles.universal(rows, number)):
            panels.append((label, shown, method))
    if not panels:
        return _layout.note("No method tells the heads in most top sets apart.")
    lists = [list(zip(shown["layer"], shown["head"], strict=True)) for _, shown, *_ in panels]
    figure, axes = _head_lists.panels([title for title, *_ in panels], lists, pad=6)
    for ax, (_, shown, method) in zip(axes, panels, strict=True):
        ax.barh(range(len(shown)), shown["top_share"], 0.72, color=_style.method_style(study, method)["color"])
        _head_lists.number_column(ax, [f"{share:.0%}" for share in shown["top_share"]], "")
        _head_lists.chance_line(ax, shown["top_chance"].iloc[0])
    figure.supxlabel("Share of the method's top sets that hold the head")
    _layout.legend(figure)
    return figure

"""The heads that are in most top sets, whatever the method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.shared_heads import chance_of_all, shares_of_all
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study

TITLE = "Heads in most top sets, over all methods"
SECTION = "universal"
TABLES = ("profiles",)
NEEDS: dict[str, int] = {}

_HEADS = 30


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Heads by the share of all configurations' top sets that hold them, and with each method's share."""
    grids = _head_lists.grids(tables["profiles"], study)
    panels = []
    for grid in grids:
        of_grid = head_profiles.select(tables["profiles"], grid=grid.shape)
        if len(share := shares_of_all(of_grid, _HEADS // len(grids) or 1)):
            panels.append((grid.models if len(grids) > 1 else "", of_grid, share))
    if not panels:
        return _layout.note("The heads in most top sets are not told apart.")
    lists = [list(share.index) for *_, share in panels]
    figure, axes = _head_lists.panels([title for title, *_ in panels], lists, columns=2, row=0.165, pad=6)
    for ax, (_, of_grid, share) in zip(axes, panels, strict=True):
        ax.barh(range(len(share)), share, 0.72, color=_style.FAINT, label="All methods")
        methods = study.in_config_order("method", of_grid["method"])
        for method, shift in zip(methods, _head_lists.line_offsets(len(methods)), strict=True):
            own = of_grid[of_grid["method"] == method].set_index(["layer", "head"])["top_share"]
            own = own.reindex(share.index, fill_value=0)
            look, label = _style.method_style(study, method), study.label("method", method)
            ax.plot(own, [y + shift for y in range(len(own))], linestyle="none", **look, markersize=3.4, label=label)
        _head_lists.chance_line(ax, chance_of_all(of_grid))
        ax.set_xlim(-0.02, 1.02)  # dots at 0 and 1 stand free of the edge
    figure.supxlabel("Share of the top sets that hold the head")
    _layout.legend(figure)
    return figure

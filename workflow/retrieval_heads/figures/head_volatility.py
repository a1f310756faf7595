"""How much the ranks of heads change from one configuration to another."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.overlap import with_grids
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY
from retrieval_heads.tables.heads import of_grid

TITLE = "The most volatile heads, and the most stable of the top heads"
SECTION = "volatility"
TABLES = ("rankings", "profiles")
NEEDS: dict[str, int] = {}

_HEADS = 6


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Methods × (most volatile, most stable of the top): every rank of a head, their mean, range and deviation."""
    number = _HEADS if tables["profiles"]["method"].nunique() <= MANY else _HEADS // 3
    rankings = with_grids(tables["rankings"], tables["rankings"])
    panels = []
    for grid, method, label, rows in _head_lists.by_method(tables["profiles"], study):
        if (rows["configurations"] > 1).all():
            ranks = of_grid(rankings[rankings["method"] == method], grid.shape)
            panels.append((f"{label}: most volatile", head_profiles.volatile(rows, number), grid, method, ranks))
            stable = head_profiles.stable(rows, study.top_k_of(grid.heads), number)
            panels.append((f"{label}: most stable top heads", stable, grid, method, ranks))
    panels = [panel for panel in panels if len(panel[1])]
    if not panels:
        several = (tables["profiles"]["configurations"] > 1).any()
        return _layout.note(
            "No heads are told apart by the spread of their ranks."
            if several
            else "Each method has ranked the heads once only, so there is no spread of ranks to show."
        )
    lists = [list(zip(shown["layer"], shown["head"], strict=True)) for _, shown, *_ in panels]
    figure, axes = _head_lists.panels([title for title, *_ in panels], lists, columns=2)
    for ax, heads, (_, shown, grid, method, ranks) in zip(axes, lists, panels, strict=True):
        look = _style.method_style(study, method)
        _head_lists.draw_ranges(ax, shown, heads, look)
        at = {head: y for y, head in enumerate(heads)}
        each = ranks.assign(y=[at.get(head, np.nan) for head in zip(ranks["layer"], ranks["head"], strict=True)])
        each = each.dropna(subset="y")
        ax.plot(each["rank"], each["y"], "|", color=look["color"], markersize=5, markeredgewidth=0.6, alpha=0.6)
        _head_lists.draw_dots(ax, shown, heads, {**look, "markersize": 5.5, "markeredgecolor": "white"})
        _head_lists.rank_axis(ax, grid.heads)
        _head_lists.number_column(ax, [f"{sd:,.0f}" if sd >= 10 else f"{sd:.1f}" for sd in shown["sd_rank"]], "sd")
    figure.supxlabel("Rank in each configuration (strokes) and mean rank")
    return figure

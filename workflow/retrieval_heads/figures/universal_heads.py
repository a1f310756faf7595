"""The heads that are in most top sets, whatever the method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.shared_heads import chance_of_all, shares_of_all
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Heads in most top sets, over all methods"
SECTION = "universal"
TABLES = ("profiles",)
NEEDS: dict[str, int] = {}

_HEADS = 30


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Heads by the share of all configurations' top sets that hold them, and with each method's share.

    Of many methods, a matrix beside the bars has the shares.
    """
    grids = _head_lists.grids(tables["profiles"], study)
    panels = []
    for grid in grids:
        of_grid = head_profiles.select(tables["profiles"], grid=grid.shape)
        if len(share := shares_of_all(of_grid, _HEADS // len(grids) or 1)):
            panels.append((grid.models if len(grids) > 1 else "", of_grid, share))
    if not panels:
        return _layout.note("The heads in most top sets are not told apart.")
    methods = study.in_config_order("method", tables["profiles"]["method"])
    if len(methods) > MANY:
        return _matrices(panels, methods, study)
    lists = [list(share.index) for *_, share in panels]
    figure, axes = _head_lists.panels([title for title, *_ in panels], lists, columns=2, row=0.165, pad=6)
    for ax, (_, of_grid, share) in zip(axes, panels, strict=True):
        _bars(ax, of_grid, share)
        methods = study.in_config_order("method", of_grid["method"])
        shares = _of_methods(of_grid, share.index, methods)
        for method, shift in zip(methods, _head_lists.line_offsets(len(methods)), strict=True):
            own, y = shares[method], [y + shift for y in range(len(share))]
            look, label = _style.method_style(study, method), study.label("method", method)
            ax.plot(own, y, linestyle="none", **look, markersize=3.4, label=label)
        ax.set_xlim(-0.02, 1.02)  # dots at 0 and 1 stand free of the edge
    figure.supxlabel("Share of the top sets that hold the head")
    _layout.legend(figure)
    return figure


def _matrices(panels: list, methods: list[str], study: Study) -> Figure:
    lists = [list(share.index) for *_, share in panels for _ in range(2)]
    titles = [f"{grid}: {what}" if grid else what for grid, *_ in panels for what in ("all methods", "each method (%)")]
    figure, axes = _head_lists.panels([title[:1].upper() + title[1:] for title in titles], lists, columns=2, pad=6)
    for bars, matrix, (_, of_grid, share) in zip(axes[::2], axes[1::2], panels, strict=True):
        _bars(bars, of_grid, share)
        _head_lists.share_matrix(matrix, _of_methods(of_grid, share.index, methods))
        _head_lists.name_columns(matrix, [])
    _head_lists.name_columns(axes[-1], [study.label("method", method) for method in methods])
    figure.supxlabel("Share of the top sets that hold the head")
    _layout.legend(figure)
    return figure


def _bars(ax: Axes, of_grid: pd.DataFrame, share: pd.Series) -> None:
    ax.barh(range(len(share)), share, 0.72, color=_style.FAINT, label="All methods")
    _head_lists.chance_line(ax, chance_of_all(of_grid))


def _of_methods(of_grid: pd.DataFrame, heads: pd.Index, methods: list[str]) -> pd.DataFrame:
    """The share of each method's top sets that hold each head, heads × methods."""
    shares = of_grid.pivot_table(index=["layer", "head"], columns="method", values="top_share")
    return shares.reindex(index=heads, columns=methods).fillna(0)

"""The heads that every method ranks high, and those that come closest to it."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.ties import told_apart
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Heads that all methods agree on, and the nearest misses"
SECTION = "consensus"
TABLES = ("profiles",)
NEEDS = {"method": 2}

_AGREED, _MISSES = 20, 8


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Heads by their worst method, those that agree above those that do not; a dot and a range for each method.

    Of many methods, a matrix has the mean ranks alone.
    """
    titles, lists, sources = [], [], []
    grids = _head_lists.grids(tables["profiles"], study)
    for grid in grids:
        rows = head_profiles.select(tables["profiles"], grid=grid.shape)
        ranks = head_profiles.mean_ranks(rows, "method")
        if ranks.shape[1] < 2 or ranks.empty:
            continue
        k = study.consensus_k(grid.heads)
        agreed = head_profiles.consensus(rows, k)
        worst = ranks.max(axis=1).to_frame("worst")
        first = told_apart(worst.loc[agreed.index], ["worst"], [True], _AGREED).index
        misses = told_apart(worst.drop(agreed.index), ["worst"], [True], _MISSES).index
        count = len(agreed) or "No"
        name = f"{count} {'head' if count == 1 else 'heads'} below rank {k:,} with every method"
        parts = {
            name + (f", the first {len(first)}" if len(agreed) > len(first) else ""): first,
            "Nearest misses" if len(agreed) else f"{name}; nearest misses": misses,
        }
        for title, heads in parts.items():
            if len(heads):
                titles.append(f"{grid.models}: {title}" if len(grids) > 1 else title)
                lists.append(list(heads))
                sources.append((grid, rows, k))
    if not lists:
        return _layout.note(
            "No head that every method ranks is told apart as one that they agree on, or come nearest to."
        )
    methods = study.in_config_order("method", tables["profiles"]["method"])
    if len(methods) > MANY:
        figure, axes = _head_lists.panels(titles, lists, columns=1, pad=6)
        for ax, heads, (grid, rows, k) in zip(axes, lists, sources, strict=True):
            _head_lists.rank_matrix(ax, rows, heads, methods, grid.heads, within=k)
            _head_lists.name_columns(ax, [])
        _head_lists.name_columns(axes[-1], [_style.wrap(study.label("method", method)) for method in methods])
        figure.supxlabel("Mean rank")
        return figure
    figure, axes = _head_lists.panels(titles, lists, columns=1, row=max(0.2, 0.085 * len(methods)))
    for ax, heads, (grid, rows, k) in zip(axes, lists, sources, strict=True):
        for method, shift in zip(methods, _head_lists.line_offsets(len(methods)), strict=True):
            of_method, look = rows[rows["method"] == method], _style.method_style(study, method)
            _head_lists.draw_ranges(ax, of_method, heads, look, shift)
            _head_lists.draw_dots(ax, of_method, heads, look, shift, label=study.label("method", method))
        _head_lists.rank_axis(ax, grid.heads, [k])
    figure.supxlabel("Mean rank, and best to worst rank")
    _layout.legend(figure, **_head_lists.rare_key(figure))
    return figure

"""How far the first head of each ranking stands above the second."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.analysis.mean_gaps import mean_gap
from retrieval_heads.analysis.overlap import with_grids
from retrieval_heads.analysis.score_gaps import score_gaps
from retrieval_heads.figures import _drop_strips, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY
from retrieval_heads.tables.heads import by_grid

TITLE = "How far the first head stands above the second"
SECTION = "dominance"
TABLES = ("rankings",)
NEEDS: dict[str, int] = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per method: the mean gap with its interval, then at each length every ranking as a dot.

    Models with other grids of heads have means of their own.
    """
    gaps = score_gaps(tables["rankings"])
    if gaps.empty:
        return _layout.note("No ranking lists two heads of which the first has a score above 0.")
    methods = study.in_config_order("method", gaps["method"])
    lengths = study.in_config_order("context_length", gaps["context_length"])
    figure, axes = _layout.panels(
        [""], [study.label("method", method) for method in methods], height=2.2 if len(methods) <= MANY else 1.5
    )
    models = study.in_config_order("model", gaps["model"])
    several, grids = len(models) > 1, [rows for _, rows in by_grid(with_grids(gaps, tables["rankings"]))]
    # In the order of the legend.
    grids.sort(key=lambda rows: min(map(models.index, rows["model"].unique())))
    for ax, method in zip(axes[0], methods, strict=True):
        rows = gaps[gaps["method"] == method]
        for grid, of_grid in enumerate(grids):
            here = of_grid[of_grid["method"] == method]
            if len(here):
                # A mean of models of one shape has the look of the first.
                model = study.in_config_order("model", here["model"])[0]
                look = _style.model_style(study, model) if len(grids) > 1 else _style.method_style(study, method)
                place = 0.3 * (grid - (len(grids) - 1) / 2)
                _drop_strips.draw_mean(ax, place, *mean_gap(here, study.seed, study.resamples), **look)
        for position, length in enumerate(lengths, start=1):
            _dots(ax, position, rows[rows["context_length"] == length], study, several)
        ax.axvline(0.5, color=_style.FAINT, linewidth=0.8)
        ax.set_xlim(-0.5, len(lengths) + 0.5)
        _drop_strips.tick_names(ax, ["Mean", *(f"{length:,}" for length in lengths)], len(methods))
        ax.tick_params(axis="x", length=0)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    # Panels share the axis; no gap is below 0, and a dot there is to be seen whole.
    axes[0][0].set_ylim(bottom=-0.03 * gaps["gap"].max())
    figure.supxlabel("Context length (tokens)")
    figure.supylabel("(score 1 − score 2) / score 1")
    if several:
        _layout.legend(figure)
    return figure


def _dots(ax: Axes, position: int, rows: pd.DataFrame, study: Study, several: bool) -> None:
    """Rankings of one method and length; where there are several models, each has a look of its own."""
    # From the middle of the strip on, for here the mean is not beside them.
    x = position + _drop_strips.dot_offsets(rows["gap"].to_numpy(), 1.0) - 0.15
    for model in study.in_config_order("model", rows["model"]):
        here = (rows["model"] == model).to_numpy()
        if several:
            look = _style.model_style(study, model) | {"label": study.label("model", model)}
        else:
            look = _style.method_style(study, rows["method"].iloc[0])
        ax.plot(x[here], rows["gap"][here], linestyle="none", markersize=3.2, markeredgewidth=0, alpha=0.75, **look)

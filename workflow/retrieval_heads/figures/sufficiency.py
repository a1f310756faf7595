"""How much of the answer's log-odds a method's top heads restore where the context states another answer."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.figures import _compensation, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.set_compensation import RANDOM_RESTORED, RESTORED

TITLE = "What top heads restore by themselves"
SECTION = "compensation"
TABLES = ("set_compensation",)
NEEDS = {"compensation": 1}

RANDOM = "Random heads"


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel for each model, length and intervention that has twins, with a curve for each method."""
    sets = tables["set_compensation"]
    sets = sets[sets["measure"].isin([RESTORED, RANDOM_RESTORED]) & sets["k_before"].isna()]
    if sets.empty:
        return _layout.note("No intervention takes outputs from a twin, so that nothing was put back.")

    def line(ax: Axes, rows: pd.DataFrame, shift: float, method: str) -> None:
        random = rows[rows["measure"] == RANDOM_RESTORED].sort_values("k")
        look = {"color": _style.RANDOM, "linewidth": 0.8, "linestyle": (0, (4, 2))}
        _compensation.curve(ax, random, shift, label=RANDOM, marker="", **look)
        own = rows[rows["measure"] == RESTORED].sort_values("k")
        _compensation.curve(ax, own, shift, label=study.label("method", method), **_style.method_style(study, method))

    figure = _compensation.curves_by_level(study, sets, line, "Share of the log-odds that is restored")
    for ax in figure.axes:
        ax.axhline(1, color=_style.FAINT, linewidth=1, zorder=1)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
    _layout.legend(figure)
    return figure

"""How much more an answer loses without all of a method's top heads than without each, added up."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.figures import _compensation, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.set_compensation import INTERACTION

TITLE = "Top heads together, against the sum of each"
SECTION = "compensation"
TABLES = ("set_compensation",)
NEEDS = {"compensation": 1}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel for each model, length and intervention, with a curve for each method."""
    sets = tables["set_compensation"]
    sets = sets[(sets["measure"] == INTERACTION) & sets["k_before"].isna()]
    if sets.empty:
        return _layout.note(_compensation.NOTHING_MEASURED)

    def line(ax: Axes, rows: pd.DataFrame, shift: float, method: str) -> None:
        look = _style.method_style(study, method)
        _compensation.curve(ax, rows.sort_values("k"), shift, label=study.label("method", method), **look)

    figure = _compensation.curves_by_level(study, sets, line, "Loss of all less sum of losses (nats)")
    _layout.legend(figure)
    return figure

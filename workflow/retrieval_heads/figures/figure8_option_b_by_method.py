"""Ablation curves that compare the questions, one panel per method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _accuracy_curves, _layout
from retrieval_heads.study.study import Study

TITLE = "Accuracy as heads are ablated, by method"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS: dict[str, int] = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: models × methods; a curve per question; a band for random heads, over all questions."""
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    figure = _accuracy_curves.ablation_curves(tables, study, panel="method", line="question", height=2.4)
    _layout.legend(figure, columns=3)
    return figure

"""Ablation curves that compare the methods, one panel per question."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _accuracy_curves, _layout
from retrieval_heads.study.study import Study

TITLE = "Accuracy as heads are ablated, by question"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS: dict[str, int] = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: models × questions; a curve per method; a band for random heads."""
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    figure = _accuracy_curves.ablation_curves(tables, study, panel="question", line="method", height=2.0)
    _layout.legend(figure)
    return figure

"""Ablation curves that compare the methods, one panel per question."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import style
from retrieval_heads.study.study import Study

TITLE = "Accuracy as heads are cut, by question"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS: dict[str, int] = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: models × questions; a curve per method; a band for random heads."""
    if tables["effects"].empty:
        return style.note(style.NOTHING_ABLATED)
    figure = style.ablation_curves(tables, study, panel="question", line="method", height=2.0)
    style.legend(figure)
    return figure

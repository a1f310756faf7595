"""Ablation curves that compare the questions, one panel per method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import style
from retrieval_heads.study.study import Study

TITLE = "Accuracy as heads are cut, by method"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS: dict[str, int] = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: models × methods; a curve per question; a band for random heads, over all questions."""
    if tables["effects"].empty:
        return style.note(style.NOTHING_ABLATED)
    figure = style.ablation_curves(tables, study, panel="method", line="question", height=2.4)
    style.legend(figure, columns=3)
    return figure

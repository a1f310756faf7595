"""Whether ablating as many heads costs as much for every question."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _drop_strips, _layout
from retrieval_heads.study.study import Study

TITLE = "Drop of accuracy for each question, at every number of heads"
SECTION = "q1"
TABLES = ("effects", "mean_drops", "rankings")
NEEDS = {"question": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """At each level a strip per question: configurations as dots, their mean with its interval, random heads."""
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    if tables["effects"]["question"].nunique() < 2:
        return _layout.note("Heads were ablated for one question only, so that there is nothing to compare.")
    figure = _drop_strips.strips_figure(tables, study, "question")
    _layout.legend(figure, columns=3)
    return figure

"""Whether the same cut costs as much for every question."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _drops, style
from retrieval_heads.study.study import Study

TITLE = "Drop of accuracy for each question, at every number of heads"
SECTION = "q1"
TABLES = ("effects", "mean_drops")
NEEDS = {"question": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """At each level a strip per question: configurations as dots, their mean with its interval, random heads."""
    if tables["effects"].empty:
        return style.note(style.NOTHING_ABLATED)
    if tables["effects"]["question"].nunique() < 2:
        return style.note("Heads were cut for one question only, so that there is nothing to compare.")
    figure = _drops.strips_figure(tables, study, "question")
    style.legend(figure, columns=3)
    return figure

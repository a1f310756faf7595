"""Whether ablation works as well in every category of questions."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _drop_strips, _layout
from retrieval_heads.study.study import Study

TITLE = "Drop of accuracy by category of question"
SECTION = "q3"
TABLES = ("effects", "mean_drops", "rankings")
NEEDS = {"category": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """At each level, and over all, a strip per category: configurations as dots, their mean, random heads."""
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    if tables["effects"]["question"].map(study.categories).nunique() < 2:
        return _layout.note(
            "Heads were ablated for one category of questions only, so that there is nothing to compare."
        )
    figure = _drop_strips.strips_figure(tables, study, "category", over_all=True)
    _layout.legend(figure, columns=3)
    return figure

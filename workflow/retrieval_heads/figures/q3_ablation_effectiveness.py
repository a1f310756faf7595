"""Whether ablation works as well in every category of questions."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.figures import _drops, style
from retrieval_heads.study.study import Study

TITLE = "Drop of accuracy by category of question"
SECTION = "q3"
TABLES = ("effects", "mean_drops")
NEEDS = {"category": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """At each level, and over all, a strip per category: configurations as dots, their mean, random heads."""
    if tables["effects"].empty:
        return style.note(style.NOTHING_ABLATED)
    if tables["effects"]["question"].map(study.categories).nunique() < 2:
        return style.note("Heads were cut for one category of questions only, so that there is nothing to compare.")
    figure = _drops.strips_figure(tables, study, "category", over_all=True)
    style.legend(figure, columns=3)
    return figure

"""Ablation curves that compare the questions, one panel per method."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.effects import at
from retrieval_heads.figures import style
from retrieval_heads.study import Study

TITLE = "Accuracy as heads are cut, by method"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: models × methods; a curve per question; a band for random heads, over all questions."""
    effects = at(tables["effects"], pooled=["context_length"])
    controls = at(tables["against_random"], pooled=["question", "context_length"])
    models, methods = study.order("model", effects["model"]), study.order("method", effects["method"])
    questions, levels = study.order("question", effects["question"]), sorted(effects["k"].unique())
    figure, axes = style.panels(
        [study.label("model", model) for model in models],
        [study.label("method", method) for method in methods],
        height=2.4,
    )
    for i, model in enumerate(models):
        for j, method in enumerate(methods):
            here = effects[(effects["model"] == model) & (effects["method"] == method)]
            random = controls[(controls["model"] == model) & (controls["method"] == method)]
            style.random_band(axes[i][j], style.control(random)[0])
            for place, question in enumerate(questions):
                rows = here[here["question"] == question]
                if not rows.empty:
                    shift = (place - (len(questions) - 1) / 2) * max(levels) / 60
                    label = study.label("question", question)
                    style.curve(axes[i][j], rows, shift=shift, label=label, **style.question_style(study, question))
    style.accuracy_axes(axes, levels)
    figure.supxlabel("Heads cut")
    figure.supylabel("Accuracy")
    style.legend(figure, columns=3)
    return figure

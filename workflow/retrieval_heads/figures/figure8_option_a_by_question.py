"""Ablation curves that compare the methods, one panel per question."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.effects import at
from retrieval_heads.figures import style
from retrieval_heads.study import Study

TITLE = "Accuracy as heads are cut, by question"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: models × questions; a curve per method; a band for random heads."""
    effects = at(tables["effects"], pooled=["context_length"])
    controls = at(tables["against_random"], pooled=["context_length"])
    models, questions = study.order("model", effects["model"]), study.order("question", effects["question"])
    methods, levels = study.order("method", effects["method"]), sorted(effects["k"].unique())
    figure, axes = style.panels(
        [study.label("model", model) for model in models],
        [study.label("question", question) for question in questions],
        height=2.0,
    )
    for i, model in enumerate(models):
        for j, question in enumerate(questions):
            here = effects[(effects["model"] == model) & (effects["question"] == question)]
            random = controls[(controls["model"] == model) & (controls["question"] == question)]
            style.random_band(axes[i][j], style.control(random)[0])
            for place, method in enumerate(methods):
                rows = here[here["method"] == method]
                if not rows.empty:
                    shift = (place - (len(methods) - 1) / 2) * max(levels) / 60
                    label = study.label("method", method)
                    style.curve(axes[i][j], rows, shift=shift, label=label, **style.method_style(study, method))
    style.accuracy_axes(axes, levels)
    figure.supxlabel("Heads cut")
    figure.supylabel("Accuracy")
    style.legend(figure)
    return figure

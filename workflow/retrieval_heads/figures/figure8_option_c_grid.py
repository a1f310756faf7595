"""Every method on every question, with both kinds of random control."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from retrieval_heads.effects import at
from retrieval_heads.figures import style
from retrieval_heads.study import Study

TITLE = "Accuracy as heads are cut, every method and question"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS = {}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: (models × methods) × questions; all lengths together, each length as a thin line, and two bands."""
    effects, controls = tables["effects"], at(tables["against_random"], pooled=["context_length"])
    pooled, single = at(effects, pooled=["context_length"]), at(effects)
    models, methods = study.order("model", pooled["model"]), study.order("method", pooled["method"])
    questions, levels = study.order("question", pooled["question"]), sorted(pooled["k"].unique())
    lengths = study.order("context_length", single["context_length"])
    rows = [(model, method) for model in models for method in methods]
    names = [[study.label("method", method), *([model] if len(models) > 1 else [])] for model, method in rows]
    figure, axes = style.panels(
        ["\n".join(name) for name in names],
        [study.label("question", question) for question in questions],
        height=1.3 if len(rows) > 1 else 2.0,
    )
    tints = dict(zip(lengths, np.linspace(0.15, 0.65, len(lengths)), strict=True)) if len(lengths) > 1 else {}
    for i, (model, method) in enumerate(rows):
        look = style.method_style(study, method)
        for j, question in enumerate(questions):
            ax, where = axes[i][j], {"model": model, "method": method, "question": question}
            random = _rows(controls, where)
            for matching in ("none", "layer"):
                style.random_band(ax, random[random["matching"] == matching])
            for length, share in tints.items():
                if not (thin := _rows(single, {**where, "context_length": length})).empty:
                    ax.plot(*style.from_baseline(thin), color=style.tint(look["color"], share), linewidth=0.8)
            if not (thick := _rows(pooled, where)).empty:
                style.curve(ax, thick, label=study.label("method", method), **look)
    style.accuracy_axes(axes, levels)
    figure.supxlabel("Heads cut")
    figure.supylabel("Accuracy")
    keys = {
        study.label("context_length", length): Line2D([], [], color=style.tint(style.INK, share), linewidth=0.8)
        for length, share in tints.items()
    }
    style.legend(figure, **keys)
    return figure


def _rows(frame: pd.DataFrame, values: Mapping[str, object]) -> pd.DataFrame:
    chosen = np.logical_and.reduce([(frame[name] == value).to_numpy(bool) for name, value in values.items()])
    return frame[chosen]

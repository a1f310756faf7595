"""How far the rankings for different context lengths agree, and between which lengths they change."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.figures import _overlap, style
from retrieval_heads.study import Study

TITLE = "Overlap of the top heads of each two context lengths"
SECTION = "overlap"
TABLES = ("overlap",)
NEEDS = {"context_length": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A row per method: each two lengths as a heatmap, neighbouring ones as dots. Two lengths make dots alone."""
    overlap = _overlap.pairs_along(tables["overlap"], "context_length")
    if overlap.empty:
        return style.Note("No two context lengths were ranked with the same model, method and question.")
    methods, lengths = study.order("method", overlap["method"]), _overlap.values_of(study, "context_length", overlap)
    chance, questions = overlap["chance"].mean(), study.order("question", overlap["question"])
    names = [study.label("method", method) for method in methods]
    if len(lengths) == 2:
        figure = Figure(figsize=(style.WIDTH, 2.6), layout="constrained")
        ax = figure.subplots()
        by_method = [overlap[overlap["method"] == method] for method in methods]
        _dots(ax, list(zip([style.wrap(name, 18) for name in names], by_method, strict=True)), chance, questions, study)
        ax.set_title(" and ".join(study.label("context_length", length) for length in lengths))
        ax.set_ylabel("Jaccard")
    else:
        titles = ["Each two lengths: mean and range", "Neighbouring lengths"]
        figure, axes = style.panels(names, titles, height=1.9, sharex="col", sharey=False)
        labels = [study.label("context_length", length) for length in lengths]
        for method, (left, right) in zip(methods, axes, strict=True):
            rows = overlap[overlap["method"] == method]
            image = _overlap.heatmap(left, rows, lengths, labels)
            steps = [frozenset(map(str, pair)) for pair in pairwise(lengths)]
            ends = [frozenset(pair) for pair in zip(rows["a"], rows["b"], strict=True)]
            marks = [f"{a:,} –\n{b:,}" for a, b in pairwise(lengths)]
            parts = [(mark, rows[[end == step for end in ends]]) for mark, step in zip(marks, steps, strict=True)]
            _dots(right, parts, chance, questions, study)
            right.set_ylabel("Jaccard")
        axes[-1][1].set_xlabel("Context lengths (tokens)")
        _overlap.chance_bar(figure, image, [[line[0]] for line in axes], chance)
    style.legend(figure, **_overlap.keys(study, "question", questions))
    return figure


def _dots(ax: Axes, parts: list[tuple[str, pd.DataFrame]], chance: float, questions: list[str], study: Study) -> None:
    """A column for each part: a dot per model and question, questions side by side, and the mean of all."""
    steps = np.linspace(-0.24, 0.24, len(questions)) if len(questions) > 1 else [0.0]
    for question, step in zip(questions, steps, strict=True):
        for place, (_, part) in enumerate(parts):
            values = part.loc[part["question"] == question, "jaccard"]
            x = place + step + _overlap.spread(len(values), 0.06)
            look = {**style.question_style(study, question), "markersize": 3.6, "linestyle": "none"}
            ax.plot(x, values, **look)
    for place, (_, part) in enumerate(parts):
        if len(part):
            ends = [place - 0.36, place + 0.36]
            ax.plot(ends, [part["jaccard"].mean()] * 2, color=style.INK, linewidth=1.2, zorder=1.5, label="Mean")
    _overlap.chance_line(ax, chance)
    ax.set_xlim(-0.5, len(parts) - 0.5)
    ax.set_ylim(-0.04, 1.04)
    ax.set_xticks(range(len(parts)), [name for name, _ in parts])
    ax.tick_params(axis="x", length=0)

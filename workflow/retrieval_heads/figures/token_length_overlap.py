"""How far the rankings for different context lengths agree, and between which lengths they change."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap_pairs import chance_level, top_sets_along
from retrieval_heads.analysis.summaries import summary
from retrieval_heads.figures import _head_lists, _layout, _overlap, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Overlap of the top heads of each two context lengths"
SECTION = "overlap"
TABLES = ("overlap",)
NEEDS = {"context_length": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A row per method: each two lengths as a heatmap, neighbouring ones as dots. Two lengths make dots alone.

    Of many methods, heatmaps alone, side by side. Models with other grids of heads have rows of their own.
    """
    overlap = top_sets_along(tables["overlap"], "context_length")
    if overlap.empty:
        return _layout.note("No two context lengths were ranked with the same model, method and question.")
    lengths, questions = (
        _overlap.values_of(study, "context_length", overlap),
        study.in_config_order("question", overlap["question"]),
    )
    grids = _overlap.by_grid(study, overlap)
    methods = [study.in_config_order("method", rows["method"]) for _, rows in grids]
    if len(lengths) == 2:
        figure = Figure(
            figsize=(_style.WIDTH, 0.3 + (2.3 if max(map(len, methods)) <= MANY else 2.8) * len(grids)),
            layout="constrained",
        )
        between = " and ".join(study.label("context_length", length) for length in lengths)
        panels = figure.subplots(len(grids), 1, squeeze=False)[:, 0]
        for ax, (models, rows), own in zip(panels, grids, methods, strict=True):
            names = [_style.wrap(study.label("method", method), 18) for method in own]
            parts = [(name, rows[rows["method"] == method]) for name, method in zip(names, own, strict=True)]
            _dots(ax, parts, chance_level(rows), questions, study)
            ax.set_title(_overlap.of_models(between, models))
            ax.set_ylabel("Jaccard")
            if len(own) > MANY:
                _head_lists.name_columns(ax, names)
    elif max(map(len, methods)) > MANY:
        return _heatmaps(study, grids, lengths)
    else:
        lines = [(place, method) for place, own in enumerate(methods) for method in own]
        names = [_overlap.of_models(study.label("method", method), grids[place][0]) for place, method in lines]
        titles = ["Each two lengths: mean and range", "Neighbouring lengths"]
        figure, axes = _layout.panels(names, titles, height=1.9, sharex="col", sharey=False)
        for (place, method), (left, right) in zip(lines, axes, strict=True):
            of_grid = grids[place][1]
            rows, chance = of_grid[of_grid["method"] == method], chance_level(of_grid)
            image = _overlap.heatmap(left, rows, lengths, [study.label("context_length", length) for length in lengths])
            steps = [frozenset(map(str, pair)) for pair in pairwise(lengths)]
            ends = [frozenset(pair) for pair in zip(rows["a"], rows["b"], strict=True)]
            marks = [f"{a:,} –\n{b:,}" for a, b in pairwise(lengths)]
            parts = [(mark, rows[[end == step for end in ends]]) for mark, step in zip(marks, steps, strict=True)]
            _dots(right, parts, chance, questions, study)
            right.set_ylabel("Jaccard")
        axes[-1][1].set_xlabel("Context lengths (tokens)")
        for place, (_, of_grid) in enumerate(grids):
            heatmaps = [line[0] for line, (of, _) in zip(axes, lines, strict=True) if of == place]
            _overlap.chance_bar(figure, image, [heatmaps], chance_level(of_grid))
    _layout.legend(figure, **_overlap.legend_keys(study, "question", questions))
    return figure


def _heatmaps(study: Study, grids: list[tuple[str, pd.DataFrame]], lengths: list[int]) -> Figure:
    parts = [
        (_overlap.of_models(study.label("method", method), models), rows[rows["method"] == method])
        for models, rows in grids
        for method in study.in_config_order("method", rows["method"])
    ]
    labels = [study.label("context_length", length) for length in lengths]
    height = 0.45 + max(0.9, 0.4 * (len(lengths) - 1))
    figure, axes = _layout.panels([""], [name for name, _ in parts], height=height)
    for ax, (_, rows) in zip(axes[0], parts, strict=True):
        image = _overlap.heatmap(ax, rows, lengths, labels)
    chance = chance_level(pd.concat([rows for _, rows in parts])) if len(grids) == 1 else None
    _overlap.chance_bar(figure, image, axes, chance)
    return figure


def _dots(ax: Axes, parts: list[tuple[str, pd.DataFrame]], chance: float, questions: list[str], study: Study) -> None:
    """A column for each part: a dot per model and question, questions side by side, and the mean of all."""
    steps = np.linspace(-0.24, 0.24, len(questions)) if len(questions) > 1 else [0.0]
    for question, step in zip(questions, steps, strict=True):
        for place, (_, part) in enumerate(parts):
            values = part.loc[part["question"] == question, "jaccard"]
            x = place + step + _overlap.jitter(len(values), 0.06)
            look = {**_style.question_style(study, question), "markersize": 3.6, "linestyle": "none"}
            ax.plot(x, values, **look)
    for place, (_, part) in enumerate(parts):
        if len(part):
            ends = [place - 0.36, place + 0.36]
            ax.plot(
                ends, [summary(part["jaccard"]).mean] * 2, color=_style.INK, linewidth=1.2, zorder=1.5, label="Mean"
            )
    _overlap.chance_line(ax, chance)
    ax.set_xlim(-0.5, len(parts) - 0.5)
    ax.set_ylim(-0.04, 1.04)
    ax.set_xticks(range(len(parts)), [name for name, _ in parts])
    ax.tick_params(axis="x", length=0)

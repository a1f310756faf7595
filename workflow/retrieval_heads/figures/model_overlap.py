"""How far the models use the same heads."""

from collections.abc import Mapping
from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap_pairs import chance_level, top_sets_along
from retrieval_heads.analysis.summaries import summary
from retrieval_heads.figures import _layout, _overlap, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Overlap of the top heads of each two models"
SECTION = "overlap"
TABLES = ("overlap",)
NEEDS = {"model": 2}

_MOST_PAIRS = 3
_ALL = ""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per pair of models, methods side by side at each question; of many models, a heatmap per method.

    Models with other grids of heads have heatmaps of their own.
    """
    overlap = top_sets_along(tables["overlap"], "model")
    if overlap.empty:
        return _layout.note(
            "No two models can be compared head by head: their grids of heads differ, or they share no ranking's "
            "method, question and context length that tells top heads apart."
        )
    pairs = list(_overlap.by_pair(study, "model", overlap))
    if len(pairs) > _MOST_PAIRS:
        return _heatmaps(overlap, study)
    names = [f"{study.label('model', a)} and {study.label('model', b)}" for a, b, _ in pairs]
    figure, axes = _layout.panels(names, [""], height=2.3)
    methods = study.in_config_order("method", overlap["method"])
    questions = study.in_config_order("question", overlap["question"])
    for line, name, (_, _, rows) in zip(axes, names, pairs, strict=True):
        _by_question(line[0], rows, methods, questions, study)
        line[0].set_title(name)  # also where there is one pair alone
        _overlap.chance_line(line[0], chance_level(rows))
    figure.supylabel("Jaccard")
    _layout.legend(figure, **_overlap.legend_keys(study, "method", methods))
    return figure


def _by_question(ax: Axes, rows: pd.DataFrame, methods: list[str], questions: list[str], study: Study) -> None:
    """Mean and range over lengths of each method at each question, and over all questions."""
    groups = [*questions, _ALL] if len(questions) > 1 else questions
    step = min(0.18, 0.8 / len(methods))
    for position, method in enumerate(methods):
        look = {**_style.method_style(study, method), "linestyle": "none", "elinewidth": 0.9, "capsize": 2}
        for at, question in enumerate(groups):
            chosen = rows["method"] == method
            values = rows.loc[chosen if question == _ALL else chosen & (rows["question"] == question), "jaccard"]
            if len(values):
                x, (mean, _, lowest, highest) = at + step * (position - (len(methods) - 1) / 2), summary(values)
                ax.errorbar(x, mean, yerr=_style.interval_arms([mean], lowest, highest), **look)
    if _ALL in groups:
        ax.axvline(len(groups) - 1.5, color=_style.FAINT, linewidth=0.8)
    names = [_style.wrap(study.label("question", question) if question else "All questions") for question in groups]
    ax.set_xticks(range(len(groups)), names)
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.5, len(groups) - 0.5)
    ax.set_ylim(-0.04, 1.04)


def _heatmaps(overlap: pd.DataFrame, study: Study) -> Figure:
    grids, methods = _overlap.by_grid(study, overlap), study.in_config_order("method", overlap["method"])
    models = [_overlap.values_of(study, "model", rows) for _, rows in grids]
    height = max(1.8, 0.45 * (max(map(len, models)) - 1) + 0.8)
    titles = [study.label("method", method) for method in methods]
    if len(grids) > 1 and len(methods) > MANY:
        # Grids cannot stand in a row each, for these are broken: so each panel says its models and chance level.
        chances = [chance_level(rows) for _, rows in grids]
        titles = [
            f"{_overlap.of_models(title, names)}\n(chance {chance:.3f})"
            for (names, _), chance in zip(grids, chances, strict=True)
            for title in titles
        ]
        figure, axes = _layout.panels([""], titles, height=height + 0.4, sharex=False, sharey=False)
        places = list(zip(axes[0], product(zip(grids, models, strict=True), methods), strict=True))
    else:
        figure, axes = _layout.panels([""] * len(grids), titles, height=height, sharex="row", sharey="row")
        chances = [chance_level(rows) for _, rows in grids]
        places = [
            (ax, (grid, method))
            for line, grid in zip(axes, zip(grids, models, strict=True), strict=True)
            for ax, method in zip(line, methods, strict=True)
        ]
    for ax, (((_, rows), own), method) in places:
        labels = [study.label("model", model) for model in own]
        image = _overlap.heatmap(ax, rows[rows["method"] == method], own, labels)
    if len(axes) == len(grids):
        for line, chance in zip(axes, chances, strict=True):
            _overlap.chance_bar(figure, image, [line], chance)
    else:
        _overlap.chance_bar(figure, image, axes)
    return figure

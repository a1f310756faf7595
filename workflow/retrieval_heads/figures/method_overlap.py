"""How far each two methods agree as the context grows, by three measures."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis.overlap_pairs import chance_level, pairs_along
from retrieval_heads.analysis.summaries import summary
from retrieval_heads.figures import _layout, _overlap, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY

TITLE = "Agreement of each two methods, by context length"
SECTION = "agreement"
TABLES = ("overlap",)
NEEDS = {"method": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A row per pair of methods, a panel per measure: every configuration a dot, the mean as a line, and chance.

    Of many methods, a row per measure, and in it a heatmap of all pairs for each length. Models with other grids of
    heads have rows of their own.
    """
    overlap = pairs_along(tables["overlap"], "method")
    if overlap.empty:
        return _layout.note(
            "No two methods ranked the heads of the same model for the same question and context length."
        )
    if len(_overlap.values_of(study, "method", overlap)) > MANY:
        return _heatmaps(overlap, study)
    pairs = [
        (_overlap.of_models(f"{study.label('method', a)} – {study.label('method', b)}", names), rows)
        for names, of_grid in _overlap.by_grid(study, overlap)
        for a, b, rows in _overlap.by_pair(study, "method", of_grid)
    ]
    lengths = study.in_config_order("context_length", overlap["context_length"])
    models = study.in_config_order("model", overlap["model"])
    ticks = [f"{length:,}" for length in lengths]
    measures = list(_overlap.MEASURES.values())
    figure, axes = _layout.panels([name for name, _ in pairs], measures, height=1.35, sharey="col")
    for line, (_, rows) in zip(axes, pairs, strict=True):
        for ax, measure in zip(line, _overlap.MEASURES, strict=True):
            own = study.in_config_order("model", rows["model"])
            for i, model in enumerate(own):
                aside = 0.6 * (i - (len(own) - 1) / 2) / len(own)
                for place, length in enumerate(lengths):
                    here = rows[(rows["model"] == model) & (rows["context_length"] == length)]
                    x = place + aside + _overlap.jitter(len(here), 0.4 / len(own))
                    look = {**_style.model_style(study, model), "markersize": 3.2, "alpha": 0.8, "linestyle": "none"}
                    ax.plot(x, here[measure], **look)
            means = [summary(rows.loc[rows["context_length"] == length, measure]).mean for length in lengths]
            ax.plot(range(len(lengths)), means, "_-", color=_style.INK, linewidth=1.1, markersize=9, label="Mean")
            _overlap.chance_line(ax, chance_level(rows, measure))
            ax.set_xticks(range(len(lengths)), ticks, rotation=90 if sum(map(len, ticks)) > 24 else 0)
            ax.set_xlim(-0.5, len(lengths) - 0.5)
    for ax, measure in zip(axes[0], _overlap.MEASURES, strict=True):
        if measure != "spearman":
            ax.set_ylim(bottom=-0.04 * ax.get_ylim()[1])  # not through dots at 0
    figure.supxlabel("Context length (tokens)")
    _layout.legend(figure, **_overlap.legend_keys(study, "model", models))
    return figure


def _heatmaps(overlap: pd.DataFrame, study: Study) -> Figure:
    lengths = study.in_config_order("context_length", overlap["context_length"])
    methods = _overlap.values_of(study, "method", overlap)
    labels = [study.label("method", method) for method in methods]
    parts = [(measure, *grid) for grid in _overlap.by_grid(study, overlap) for measure in _overlap.MEASURES]
    names = [_overlap.of_models(_overlap.MEASURES[measure], models) for measure, models, _ in parts]
    titles = [study.label("context_length", length) for length in lengths]
    height = 0.4 + 0.28 * (len(methods) - 1)
    figure, axes = _layout.panels(["" for _ in names], titles, height=height)
    for line, name, (measure, _, rows) in zip(axes, names, parts, strict=True):
        for ax, length in zip(line, lengths, strict=True):
            here = rows[rows["context_length"] == length]
            image = _overlap.heatmap(ax, here, methods, labels, measure=measure)
        _overlap.chance_bar(figure, image, [line], chance_level(rows, measure), label=name)
    return figure

"""Whether the same cut costs more in shorter or in longer texts."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.summaries import envelope
from retrieval_heads.figures import _drops, style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import at, at_level, beside

TITLE = "Drop of accuracy at each context length"
SECTION = "lengths"
TABLES = ("effects", "against_random", "mean_drops")
NEEDS = {"ablated_length": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """All methods and models together, a curve per level; then each model at the main level, a curve per method."""
    if tables["effects"].empty:
        return style.note(style.NOTHING_ABLATED)
    effects = tables["effects"]
    lengths, level = study.order("context_length", effects["context_length"]), study.level(effects)
    if len(lengths) < 2:
        return style.note("Heads were cut at one context length only, so that there is nothing to compare.")
    models = study.order("model", effects["model"])
    each = [f"{study.label('model', model)}\n{level} heads cut" for model in models]
    every = "All methods and models" if len(models) > 1 else "All methods"
    figure, axes = style.panels([""], [f"{every}\neach number of heads cut", *each], height=2.6)
    together, *by_model = axes[0]
    _levels(together, tables["mean_drops"], lengths, level)
    for ax, model in zip(by_model, models, strict=True):
        _methods(ax, tables, study, model, lengths, level)
    for ax in axes[0]:
        ax.axhline(0, color=style.INK, linewidth=0.6)
        ax.set_xlim(-0.4, len(lengths) - 0.6)
        _drops.tick_names(ax, [f"{length:,}" for length in lengths], len(axes[0]))
        _drops.points(ax)
    figure.supxlabel("Context length (tokens)")
    figure.supylabel("Drop of accuracy (points)")
    style.legend(figure)
    return figure


def _levels(ax: Axes, mean_drops: pd.DataFrame, lengths: list[int], level: int) -> None:
    top, random = _drops.means(mean_drops, "context_length")
    _band(ax, _drops.of_level(random, level).assign(context_length=lambda rows: rows["value"].astype(int)), lengths)
    levels = sorted(top["k"].dropna().unique())
    for place, k in enumerate(levels):
        rows = _drops.of_level(top, k).assign(context_length=lambda rows: rows["value"].astype(int))
        look = style.ordered_style(len(levels) - 1 - place, len(levels)) | {"linewidth": 2.2 if k == level else 1.2}
        _curve(ax, rows, lengths, _shift(place, len(levels)), label=f"{k} heads", **look)


def _methods(
    ax: Axes, tables: Mapping[str, pd.DataFrame], study: Study, model: str, lengths: list[int], level: int
) -> None:
    rows = at_level(at(tables["effects"], pooled=["question"], model=model), level)
    _band(ax, style.control(beside(tables["against_random"], rows))[0], lengths)
    methods = study.order("method", rows["method"])
    for place, method in enumerate(methods):
        label, look = study.label("method", method), style.method_style(study, method)
        _curve(ax, rows[rows["method"] == method], lengths, _shift(place, len(methods)), label=label, **look)


def _curve(ax: Axes, rows: pd.DataFrame, lengths: list[int], shift: float, **look) -> None:
    rows = rows.sort_values("context_length")
    x = [lengths.index(length) + shift for length in rows["context_length"]]
    ends = style.arms(rows["drop"], rows["drop_low"], rows["drop_high"])
    ax.errorbar(x, rows["drop"], yerr=ends, elinewidth=0.8, **look)


def _band(ax: Axes, rows: pd.DataFrame, lengths: list[int]) -> None:
    """Random heads at each length; over several methods the band reaches over all their intervals."""
    if rows.empty:
        return
    by = envelope(rows, "context_length", "drop")
    x = [lengths.index(length) for length in by.index]
    style.band(ax, x, by["low"], by["mean"], by["high"], rows["matching"].iloc[0])


def _shift(place: int, count: int) -> float:
    return (place - (count - 1) / 2) * 0.3 / count

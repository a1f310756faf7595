"""Whether ablating as many heads costs more in shorter or in longer texts."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.envelopes import envelope
from retrieval_heads.analysis.shapes import results_by_grid
from retrieval_heads.figures import _controls, _drop_strips, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import at_level, controls_beside, select

TITLE = "Drop of accuracy at each context length"
SECTION = "lengths"
TABLES = ("effects", "against_random", "mean_drops", "rankings")
NEEDS = {"ablated_length": 2}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """All methods and models together, a curve per level; then each model at the main level, a curve per method.

    Models with other grids of heads are not taken together.
    """
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    effects = tables["effects"]
    lengths, level = study.in_config_order("context_length", effects["context_length"]), study.level(effects)
    if len(lengths) < 2:
        return _layout.note("Heads were ablated at one context length only, so that there is nothing to compare.")
    models = study.in_config_order("model", effects["model"])
    each = [f"{study.label('model', model)}\n{level} heads ablated" for model in models]
    of_grids = [part for part in results_by_grid(tables) if len(part[2]["effects"])]
    every = [_together(study, among, len(of_grids), len(models)) for _, among, _ in of_grids]
    figure, axes = _layout.panels(
        [""], [*(f"{name}\neach number of heads ablated" for name in every), *each], height=2.6
    )
    for ax, (_, _, part) in zip(axes[0], of_grids, strict=False):
        _levels(ax, part["mean_drops"], lengths, level)
    for ax, model in zip(axes[0][len(of_grids) :], models, strict=True):
        _methods(ax, tables, study, model, lengths, level)
    for ax in axes[0]:
        ax.axhline(0, color=_style.INK, linewidth=0.6)
        ax.set_xlim(-0.4, len(lengths) - 0.6)
        _drop_strips.tick_names(ax, [f"{length:,}" for length in lengths], len(axes[0]))
        _drop_strips.axis_in_points(ax)
    figure.supxlabel("Context length (tokens)")
    figure.supylabel("Drop of accuracy (points)")
    _layout.legend(figure)
    return figure


def _together(study: Study, among: list[str], grids: int, models: int) -> str:
    if grids > 1:
        return "All methods, " + ", ".join(
            study.label("model", model) for model in study.in_config_order("model", among)
        )
    return "All methods and models" if models > 1 else "All methods"


def _levels(ax: Axes, mean_drops: pd.DataFrame, lengths: list[int], level: int) -> None:
    top, random = _drop_strips.mean_drops_by(mean_drops, "context_length")
    _band(ax, _drop_strips.at_k(random, level).assign(context_length=lambda rows: rows["value"].astype(int)), lengths)
    levels = sorted(top["k"].dropna().unique())
    for position, k in enumerate(levels):
        rows = _drop_strips.at_k(top, k).assign(context_length=lambda rows: rows["value"].astype(int))
        look = _style.ordered_style(len(levels) - 1 - position, len(levels)) | {"linewidth": 2.2 if k == level else 1.2}
        _curve(ax, rows, lengths, _shift(position, len(levels)), label=f"{k} heads", **look)


def _methods(
    ax: Axes, tables: Mapping[str, pd.DataFrame], study: Study, model: str, lengths: list[int], level: int
) -> None:
    rows = at_level(select(tables["effects"], pooled=["question"], model=model), level)
    _band(ax, _controls.one_control(controls_beside(tables["against_random"], rows)), lengths)
    methods = study.in_config_order("method", rows["method"])
    for position, method in enumerate(methods):
        label, look = study.label("method", method), _style.method_style(study, method)
        _curve(ax, rows[rows["method"] == method], lengths, _shift(position, len(methods)), label=label, **look)


def _curve(ax: Axes, rows: pd.DataFrame, lengths: list[int], shift: float, **look) -> None:
    rows = rows.sort_values("context_length")
    x = [lengths.index(length) + shift for length in rows["context_length"]]
    ends = _style.interval_arms(rows["drop"], rows["drop_low"], rows["drop_high"])
    ax.errorbar(x, rows["drop"], yerr=ends, elinewidth=0.8, **look)


def _band(ax: Axes, rows: pd.DataFrame, lengths: list[int]) -> None:
    """Random heads at each length; over several methods the band reaches over all their intervals."""
    if rows.empty:
        return
    band = envelope(rows, "context_length", "drop")
    x = [lengths.index(length) for length in band.index]
    _controls.random_band(ax, x, band["low"], band["mean"], band["high"], rows["matching"].iloc[0])


def _shift(position: int, count: int) -> float:
    return (position - (count - 1) / 2) * 0.3 / count

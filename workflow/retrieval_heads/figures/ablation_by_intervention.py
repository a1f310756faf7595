"""Accuracy as heads are ablated, under each intervention: does it matter how they are?"""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.envelopes import envelope
from retrieval_heads.figures import _accuracy_curves, _controls, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY
from retrieval_heads.tables.select import select

TITLE = "Accuracy as heads are ablated, under each intervention"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS = {"intervention": 2}

BASELINE = "No head ablated"

_PAGE = 9.0
"""What rows of panels may take of the height of a page, in inches."""

_SPREAD = 0.35
"""How far points of a single level stand aside, as a share of it: there is no curve whose shape that would change."""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: (models × context lengths) × interventions, all questions together; a curve for each method."""
    effects = select(tables["effects"], pooled=["question"])
    if effects.empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    controls = select(tables["against_random"], pooled=["question"])
    models, lengths = (study.in_config_order(name, effects[name]) for name in ("model", "context_length"))
    found = set(zip(effects["model"], effects["context_length"], strict=True))
    rows = [(model, length) for model in models for length in lengths if (model, length) in found]
    columns = study.in_config_order("intervention", effects["intervention"])
    figure, axes = _layout.panels(
        [_row(study, row, len(models), len(lengths)) for row in rows],
        [study.label("intervention", name) for name in columns],
        height=2.3 if len(rows) == 1 else min(1.8, _PAGE / len(rows)),
        sharex=False,
    )
    for row, line in zip(rows, axes, strict=True):
        for name, ax in zip(columns, line, strict=True):
            here, random = (_of(frame, *row, name) for frame in (effects, controls))
            _panel(ax, here, _controls.one_control(random), study, len(line))
    figure.supxlabel("Heads ablated")
    figure.supylabel("Accuracy")
    _layout.legend(figure)
    return figure


def _row(study: Study, row: tuple, models: int, lengths: int) -> str:
    """What a row of panels is about, as far as others are about something else."""
    names = [study.label("model", row[0])] * (models > 1) + [study.label("context_length", row[1])] * (lengths > 1)
    return "\n".join(names)


def _of(frame: pd.DataFrame, model: str, length: int, intervention: str) -> pd.DataFrame:
    same = (frame["model"] == model) & (frame["context_length"] == length) & (frame["intervention"] == intervention)
    return frame[same.astype(bool)]


def _panel(ax: Axes, effects: pd.DataFrame, random: pd.DataFrame, study: Study, beside: int) -> None:
    """One intervention in one model at one length; nothing where it was not ablated there."""
    if effects.empty:
        ax.set_axis_off()
        return
    levels, methods = sorted(effects["k"].unique()), study.in_config_order("method", effects["method"])
    _accuracy_curves.accuracy_axes([[ax]], levels)
    ax.axhline(effects["baseline"].mean(), color=_style.INK, linewidth=0.7, zorder=1.2, label=BASELINE)
    _controls.guess_line(ax, effects)
    if len(levels) == 1:
        _points(ax, effects, random, study, methods, levels[0])
        return
    ax.set_xticks(_accuracy_curves.level_ticks(levels, beside))
    _controls.accuracy_band(ax, random)
    for position, method in enumerate(methods):
        shift, look = _accuracy_curves.aside(position, len(methods), levels), _style.method_style(study, method)
        rows = effects[effects["method"] == method]
        _accuracy_curves.accuracy_curve(ax, rows, shift, label=study.label("method", method), **look)


def _points(
    ax: Axes, effects: pd.DataFrame, random: pd.DataFrame, study: Study, methods: Sequence[str], level: int
) -> None:
    """One number of heads: a point for each method, side by side, before the random heads of all of them."""
    apart = _SPREAD * level / max(len(methods), MANY)
    for position, method in enumerate(methods):
        row = effects[effects["method"] == method]
        ends = _style.interval_arms(row["accuracy"], row["accuracy_low"], row["accuracy_high"])
        ax.errorbar(
            level + (2 * position - (len(methods) - 1)) * apart,
            row["accuracy"],
            yerr=ends,
            linestyle="none",
            elinewidth=0.8,
            label=study.label("method", method),
            **_style.method_style(study, method),
        )
    edges = level * (1 - 1.3 * _SPREAD), level * (1 + 1.3 * _SPREAD)
    if len(random):
        band = envelope(random, "k", "accuracy").iloc[0]
        low, mean, high = ([band[end]] * 2 for end in ("low", "mean", "high"))
        _controls.random_band(ax, edges, low, mean, high, random["matching"].iloc[0])
    ax.set_xlim(edges)
    ax.set_xticks([level])

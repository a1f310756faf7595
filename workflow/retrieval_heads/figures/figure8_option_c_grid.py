"""Every method on every question, with both kinds of random control."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from retrieval_heads.figures import _accuracy_curves, _controls, _layout, _style
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY
from retrieval_heads.tables.select import select

TITLE = "Accuracy as heads are ablated, every method and question"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS: dict[str, int] = {}

_DASHES = ["-", (0, (6, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (2.5, 1.2)), (0, (1, 1))]


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Panels: (models × methods) × questions; all lengths together, each length as a thin line, and two bands."""
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    effects, controls = tables["effects"], select(tables["against_random"], pooled=["context_length"])
    pooled, single = select(effects, pooled=["context_length"]), select(effects)
    models, methods = study.in_config_order("model", pooled["model"]), study.in_config_order("method", pooled["method"])
    questions, levels = study.in_config_order("question", pooled["question"]), sorted(pooled["k"].unique())
    lengths = study.in_config_order("context_length", single["context_length"])
    found = set(zip(pooled["model"], pooled["method"], strict=True))
    rows = [(model, method) for model in models for method in methods if (model, method) in found]
    names = [study.label("method", method) if len(methods) > 1 else "" for _, method in rows]
    figure, axes = _layout.panels(
        names,
        [study.label("question", question) for question in questions],
        height=2.0 if len(methods) == 1 else 1.3 if len(rows) <= 2 * MANY else 0.88,
    )
    if len(models) > 1:
        figure.get_layout_engine().set(rect=(0, 0, 0.97, 1))
        for model in models:
            of_model = [line[-1] for line, row in zip(axes, rows, strict=True) if row[0] == model]
            _beside(of_model, study.label("model", model))
    tints = np.linspace(0.1, 0.6, len(lengths))
    thin = {length: (tints[i], _DASHES[i % len(_DASHES)]) for i, length in enumerate(lengths)}
    thin = thin if len(lengths) > 1 else {}
    for i, (model, method) in enumerate(rows):
        look = _style.method_style(study, method)
        for j, question in enumerate(questions):
            ax, where = axes[i][j], {"model": model, "method": method, "question": question}
            random = _rows(controls, where)
            for matching in reversed(MATCHINGS):
                _controls.accuracy_band(ax, random[random["matching"] == matching])
            for length, (share, dashes) in thin.items():
                if not (of_length := _rows(single, {**where, "context_length": length})).empty:
                    x, y = _accuracy_curves.from_baseline(of_length)
                    ax.plot(x, y, color=_style.tint(look["color"], share), linestyle=dashes, linewidth=0.8)
            if not (thick := _rows(pooled, where)).empty:
                _controls.guess_line(ax, thick)
                _accuracy_curves.accuracy_curve(ax, thick, label=study.label("method", method), **look)
    _accuracy_curves.accuracy_axes(axes, levels)
    figure.supxlabel("Heads ablated")
    figure.supylabel("Accuracy")
    keys = {
        study.label("context_length", length): Line2D(
            [], [], color=_style.tint(_style.INK, share), linestyle=dashes, linewidth=0.8
        )
        for length, (share, dashes) in thin.items()
    }
    _layout.legend(figure, **keys)
    return figure


def _beside(axes: Sequence[Axes], label: str) -> None:
    """Names several panels below each other, at the right end of the figure."""
    middle = axes[(len(axes) - 1) // 2]
    place = {"xy": (0.985, 0.5 if len(axes) % 2 else -0.1), "xycoords": ("figure fraction", "axes fraction")}
    name = middle.annotate(label, **place, rotation=270, ha="center", va="center", fontsize=8.5, weight="bold")
    # It may be longer than a panel, and would pull the rows apart.
    name.set_in_layout(False)


def _rows(frame: pd.DataFrame, values: Mapping[str, object]) -> pd.DataFrame:
    chosen = np.logical_and.reduce([(frame[name] == value).to_numpy(bool) for name, value in values.items()])
    return frame[chosen]

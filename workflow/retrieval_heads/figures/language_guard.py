"""What is left of the model's language as heads are ablated."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.envelopes import envelope
from retrieval_heads.figures import _accuracy_curves, _controls, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.guard import LANGUAGE_BROKEN, LANGUAGE_WHOLE, guard_at

TITLE = "Log-probability of prose as heads are ablated"
SECTION = "ablation"
TABLES = ("guard",)
NEEDS = {"guard": 1}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per model: a curve per method with the range over its sets, a band for random heads."""
    prose = guard_at(tables["guard"])
    if tables["guard"].empty:
        return _layout.note("Heads put out what they do in the twin of a prompt, and prose has no twin.")
    if prose.empty:
        return _layout.note("No heads were ablated beside the whole model, so that there is nothing to compare.")
    models, methods = study.in_config_order("model", prose["model"]), study.in_config_order("method", prose["method"])
    levels = sorted(prose["k"].unique())
    figure, axes = _layout.panels([""], [study.label("model", model) for model in models], height=2.6)
    for ax, model in zip(axes[0], models, strict=True):
        here = prose[prose["model"] == model]
        _band(ax, _controls.one_control(here[here["source"] == "random"]))
        for position, method in enumerate(methods):
            rows = here[(here["source"] == "method") & (here["method"] == method)]
            shift = _accuracy_curves.aside(position, len(methods), levels)
            _curve(ax, rows, shift, label=study.label("method", method), **_style.method_style(study, method))
        for loss, dashes in ((LANGUAGE_WHOLE, (0, (4, 2))), (LANGUAGE_BROKEN, "-")):
            name = {LANGUAGE_WHOLE: "Limit: language whole", LANGUAGE_BROKEN: "Limit: model broken"}[loss]
            ax.axhline(-loss, color=_style.INK, linestyle=dashes, linewidth=0.7, zorder=0.8, label=name)
        ax.set_xticks(_accuracy_curves.level_ticks(levels, len(models)))
    figure.supxlabel("Heads ablated")
    figure.supylabel("Change of log-probability (nats per token)")
    _layout.legend(figure)
    return figure


def _curve(ax: Axes, rows: pd.DataFrame, shift: float, **look) -> None:
    rows = rows.sort_values("k")
    k, change = [0.0, *(rows["k"] + shift)], [0.0, *rows["change"]]
    ends = _style.interval_arms(change, [0.0, *rows["lowest"]], [0.0, *rows["highest"]])
    ax.errorbar(k, change, yerr=ends, elinewidth=0.8, **look)


def _band(ax: Axes, rows: pd.DataFrame) -> None:
    """Random heads of all methods: the range over all their sets, and the mean."""
    if rows.empty:
        return
    band = envelope(rows, "k", "change", "lowest", "highest", weight="sets")
    k = [0.0, *band.index.astype(float)]
    low, mean, high = ([0.0, *band[end]] for end in ("low", "mean", "high"))
    _controls.random_band(ax, k, low, mean, high, rows["matching"].iloc[0])

"""What top heads and random ones cost: retrieval, and facts and sums that take none."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.analysis.specificity import over_all_questions
from retrieval_heads.figures import _layout, _style
from retrieval_heads.study.study import Study

TITLE = "What is lost: retrieval, facts and sums"
SECTION = "specificity"
TABLES = ("specificity_summary",)
NEEDS = {"specificity": 1, "intervention": 1}

_KINDS = {
    "retrieval": ("Retrieval", "#AA3377", "o"),
    "facts": ("Facts that no context states", "#4477AA", "s"),
    "sums": ("Sums", "#228833", "^"),
}
_APART, _BELOW = 0.13, 0.42
"""How far the kinds of a line stand from each other, and random heads below top ones, in lines."""

_LINE = 0.48
"""The height of a method, in inches."""

_LEAST = 1.1
"""The least height of a panel, where a single method's marks would crowd each other, in inches."""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per model and length: for each method what is lost with its top heads and, below, with random ones."""
    pooled = over_all_questions(tables["specificity_summary"], study)
    if pooled.empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    models, lengths, methods = (
        study.in_config_order(name, pooled[name]) for name in ("model", "context_length", "method")
    )
    figure, axes = _layout.panels(
        [study.label("model", model) for model in models],
        [study.label("context_length", length) for length in lengths],
        height=max(_LINE * len(methods) + 0.3, _LEAST),
    )
    for model, line in zip(models, axes, strict=True):
        for length, ax in zip(lengths, line, strict=True):
            here = pooled[(pooled["model"] == model) & (pooled["context_length"] == length)]
            _draw_panel(ax, here.assign(at=here["method"].map(methods.index)))
            ax.set_yticks(
                [at + _BELOW / 2 for at in range(len(methods))],
                [_style.wrap(study.label("method", method), 18) for method in methods],
            )
            ax.set_ylim(len(methods) - 0.2, -0.3)
    level, how = pooled["k"].iloc[0], study.label("intervention", pooled["intervention"].iloc[0])
    figure.supxlabel(f"Lost of what the whole model answers (%) with {level} heads ablated: {how}")
    _layout.legend(figure, columns=3)
    return figure


def _draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
    for source, lower in (("method", 0.0), ("random", _BELOW)):
        own = rows[rows["source"] == source]
        known = own.dropna(subset="specificity")
        ax.hlines(
            known["at"] + lower,
            known["control_loss"],
            known["retrieval_loss"],
            color=_style.FAINT,
            linewidth=4,
            zorder=1,
        )
        for place, (kind, (label, colour, marker)) in enumerate(_KINDS.items()):
            of_kind = own.dropna(subset=f"{kind}_loss")
            if of_kind.empty:
                continue
            value, low, high = (of_kind[f"{kind}_loss{end}"] for end in ("", "_low", "_high"))
            look = {"color": colour} if source == "method" else {"color": _style.tint(colour, 0.45), "mfc": "white"}
            ax.errorbar(
                value,
                of_kind["at"] + lower + (place - 1) * _APART,
                xerr=_style.interval_arms(value, low, high),
                fmt=marker,
                elinewidth=0.9,
                label=label if source == "method" else f"{label}, random heads",
                **look,
            )
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.tick_params(axis="y", length=0)
    ax.set_xlim(-0.03, 1.03)
    ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))

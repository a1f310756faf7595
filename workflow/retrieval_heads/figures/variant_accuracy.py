"""How well the whole model answers in each variant of the prompts."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.figures import _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import select

TITLE = "Accuracy in each variant of the prompts"
SECTION = "variants"
TABLES = ("variant_accuracy",)
NEEDS = {"variant": 2}

_APART = 0.7
"""The part of a variant's place in which its questions stand side by side."""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per model, and in it for each variant all questions together and each by itself; lengths are pooled."""
    accuracy = tables["variant_accuracy"]
    together = select(accuracy, pooled=("question", "context_length"))
    by_question = select(accuracy, pooled=("context_length",))
    models = study.in_config_order("model", accuracy["model"])
    variants = study.in_config_order("variant", accuracy["variant"])
    questions = study.in_config_order("question", by_question["question"])
    names = [study.label("model", model) for model in models]
    figure, axes = _layout.panels([""], names, height=2.5)
    sets: list[tuple[str, pd.DataFrame, _style.Look]] = [
        ("All questions", together, {"color": _style.INK, "marker": "o", "markersize": 6, "markerfacecolor": "white"}),
        *(
            (
                study.label("question", question),
                by_question[by_question["question"] == question],
                _style.question_style(study, question),
            )
            for question in (questions if len(questions) > 1 else ())
        ),
    ]
    for ax, model in zip(axes[0], models, strict=True):
        for place, (label, rows, look) in enumerate(sets):
            aside = _APART * ((place + 0.5) / len(sets) - 0.5)
            _points(ax, rows[rows["model"] == model], variants, aside, label=label, **look)
        _levels(ax, together[together["model"] == model], variants)
        ax.set_xticks(range(len(variants)), [_style.wrap(study.label("variant", variant), 12) for variant in variants])
        ax.set_xlim(-0.5, len(variants) - 0.5)
        ax.set_ylim(-0.03, 1.03)
        ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f}%")
    figure.supylabel("Accuracy of the whole model")
    _layout.legend(figure)
    return figure


def _points(ax: Axes, rows: pd.DataFrame, variants: list[str], aside: float, **look) -> None:
    x = [variants.index(variant) + aside for variant in rows["variant"]]
    arms = _style.interval_arms(rows["accuracy"], rows["accuracy_low"], rows["accuracy_high"])
    ax.errorbar(x, rows["accuracy"], yerr=arms, linestyle="none", elinewidth=0.8, **look)


def _levels(ax: Axes, rows: pd.DataFrame, variants: list[str]) -> None:
    """What guessing gives, and the share of answers that are a decoy's, as lines across a variant's place."""
    for column, label, colour in (("guess", "Guessing", _style.RANDOM), ("decoyed", "Answered by a decoy", "#D55E00")):
        shown = rows[rows[column] > 0] if column == "decoyed" else rows
        for number, row in enumerate(shown.itertuples()):
            at = variants.index(row.variant)
            ends = at - _APART / 2, at + _APART / 2
            ax.hlines(
                getattr(row, column),
                *ends,
                color=colour,
                linestyle=(0, (4, 2)),
                linewidth=1,
                zorder=0.9,
                label=label if number == 0 else None,
            )

"""The drop of accuracy at one number of heads, all methods and questions side by side."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.figures import _controls, _layout, _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import at_level, controls_beside, select

TITLE = "Drop of accuracy, by method and question"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS: dict[str, int] = {}

_ALL = ""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per model; groups of bars per question and over all; random heads as diamonds."""
    if tables["effects"].empty:
        return _layout.note(_layout.NOTHING_ABLATED)
    level = study.level(tables["effects"])
    effects = at_level(tables["effects"], level)
    if effects.empty:
        return _layout.note(f"No ranking tells the top {level} heads apart.")
    controls = _controls.one_control(_by_question_and_all(controls_beside(tables["against_random"], effects)))
    effects = _by_question_and_all(effects)
    models = study.in_config_order("model", effects["model"])
    methods = study.in_config_order("method", effects["method"])
    questions = study.in_config_order("question", tables["effects"]["question"])
    questions += [_ALL] if len(questions) > 1 else []
    figure, axes = _layout.panels([study.label("model", model) for model in models], [""], height=2.5)
    width = 0.8 / len(methods)
    for i, model in enumerate(models):
        ax = axes[i][0]
        for position, method in enumerate(methods):
            offset = (position - (len(methods) - 1) / 2) * width
            look = _style.method_style(study, method)
            rows = _by_question(effects, model, method, questions)
            name = {"label": study.label("method", method)}
            ax.bar(rows["at"] + offset, rows["drop"], 0.92 * width, color=_style.tint(look["color"], 0.45), **name)
            _interval(ax, rows, offset - width / 5, elinewidth=1.2, **look, **name)
            _random(ax, _by_question(controls, model, method, questions), offset + width / 5)
        _guessing(ax, _of_model(effects, model, questions))
        ax.axhline(0, color=_style.INK, linewidth=0.6)
        if _ALL in questions:
            ax.axvline(len(questions) - 1.5, color=_style.FAINT, linewidth=0.8)
        ax.set_xticks(
            range(len(questions)),
            [_style.wrap(study.label("question", question) if question else "All questions") for question in questions],
        )
        ax.tick_params(axis="x", length=0)
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    figure.supylabel(f"Drop with {level} heads ablated (points)")
    _layout.legend(figure)
    return figure


def _by_question_and_all(frame: pd.DataFrame) -> pd.DataFrame:
    parts = [select(frame, pooled=["context_length"]), select(frame, pooled=["question", "context_length"])]
    both = pd.concat(parts, ignore_index=True)
    return both.assign(question=both["question"].astype(object).where(both["question"].notna(), _ALL))


def _random(ax: Axes, rows: pd.DataFrame, offset: float) -> None:
    """The drop with random heads, as diamonds."""
    if len(rows):
        name = {"label": _controls.RANDOM_HEADS[rows["matching"].iloc[0]], "color": _style.RANDOM}
        _interval(ax, rows, offset, marker="D", markersize=3.5, markerfacecolor="white", zorder=4, **name)


def _guessing(ax: Axes, rows: pd.DataFrame) -> None:
    """The drop that leaves what guessing gives, across each group of bars."""
    known = rows.dropna(subset="headroom").groupby("at")["headroom"].mean()
    if len(known):
        look = {"color": _style.INK, "linestyle": ":", "linewidth": 0.9, "zorder": 3, "label": _controls.GUESSING}
        ax.hlines(known, known.index - 0.44, known.index + 0.44, **look)


def _by_question(frame: pd.DataFrame, model: str, method: str, questions: list[str]) -> pd.DataFrame:
    return _of_model(frame[frame["method"] == method], model, questions)


def _of_model(frame: pd.DataFrame, model: str, questions: list[str]) -> pd.DataFrame:
    rows = frame[frame["model"] == model]
    return rows.assign(at=rows["question"].map({question: i for i, question in enumerate(questions)}).astype(float))


def _interval(ax: Axes, rows: pd.DataFrame, offset: float, **look) -> None:
    ends = _style.interval_arms(rows["drop"], rows["drop_low"], rows["drop_high"])
    ax.errorbar(rows["at"] + offset, rows["drop"], yerr=ends, **{"linestyle": "none", "elinewidth": 0.9, **look})

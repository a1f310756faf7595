"""The drop of accuracy at one number of heads, all methods and questions side by side."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.figures import style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import at, at_level, beside

TITLE = "Drop of accuracy, by method and question"
SECTION = "ablation"
TABLES = ("effects", "against_random")
NEEDS: dict[str, int] = {}

_ALL = ""


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per model; groups of bars per question and over all; random heads as diamonds."""
    if tables["effects"].empty:
        return style.note(style.NOTHING_ABLATED)
    level = study.level(tables["effects"])
    effects = at_level(tables["effects"], level)
    if effects.empty:
        return style.note(f"No ranking tells the top {level} heads apart.")
    controls, control = style.control(_both(beside(tables["against_random"], effects)))
    effects = _both(effects)
    models = study.in_config_order("model", effects["model"])
    methods = study.in_config_order("method", effects["method"])
    questions = study.in_config_order("question", tables["effects"]["question"])
    questions += [_ALL] if len(questions) > 1 else []
    figure, axes = style.panels([study.label("model", model) for model in models], [""], height=2.5)
    width = 0.8 / len(methods)
    for i, model in enumerate(models):
        ax = axes[i][0]
        for place, method in enumerate(methods):
            offset = (place - (len(methods) - 1) / 2) * width
            look = style.method_style(study, method)
            rows = _by_question(effects, model, method, questions)
            name = {"label": study.label("method", method)}
            ax.bar(rows["at"] + offset, rows["drop"], 0.92 * width, color=style.tint(look["color"], 0.45), **name)
            _interval(ax, rows, offset - width / 5, elinewidth=1.2, **look, **name)
            random = _by_question(controls, model, method, questions)
            _interval(
                ax,
                random,
                offset + width / 5,
                color=style.RANDOM,
                marker="D",
                markersize=3.5,
                markerfacecolor="white",
                zorder=4,
                label=control,
            )
        _guessing(ax, _of_model(effects, model, questions))
        ax.axhline(0, color=style.INK, linewidth=0.6)
        if _ALL in questions:
            ax.axvline(len(questions) - 1.5, color=style.FAINT, linewidth=0.8)
        ax.set_xticks(
            range(len(questions)),
            [style.wrap(study.label("question", question) if question else "All questions") for question in questions],
        )
        ax.tick_params(axis="x", length=0)
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    figure.supylabel(f"Drop with {level} heads cut (points)")
    style.legend(figure)
    return figure


def _both(frame: pd.DataFrame) -> pd.DataFrame:
    parts = [at(frame, pooled=["context_length"]), at(frame, pooled=["question", "context_length"])]
    both = pd.concat(parts, ignore_index=True)
    return both.assign(question=both["question"].astype(object).where(both["question"].notna(), _ALL))


def _guessing(ax: Axes, rows: pd.DataFrame) -> None:
    """The drop that leaves what guessing gives, across each group of bars."""
    known = rows.groupby("at")["headroom"].mean().dropna()
    if len(known):
        look = {"color": style.INK, "linestyle": ":", "linewidth": 0.9, "zorder": 3, "label": style.GUESSING}
        ax.hlines(known, known.index - 0.44, known.index + 0.44, **look)


def _by_question(frame: pd.DataFrame, model: str, method: str, questions: list[str]) -> pd.DataFrame:
    return _of_model(frame[frame["method"] == method], model, questions)


def _of_model(frame: pd.DataFrame, model: str, questions: list[str]) -> pd.DataFrame:
    rows = frame[frame["model"] == model]
    return rows.assign(at=rows["question"].map({question: i for i, question in enumerate(questions)}).astype(float))


def _interval(ax, rows: pd.DataFrame, offset: float, **look) -> None:
    ends = style.arms(rows["drop"], rows["drop_low"], rows["drop_high"])
    ax.errorbar(rows["at"] + offset, rows["drop"], yerr=ends, **{"linestyle": "none", "elinewidth": 0.9, **look})

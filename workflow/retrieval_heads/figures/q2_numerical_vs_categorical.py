"""How far questions of one category use the same heads, beside questions of different categories."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.analysis.category_overlap import category_means, mean_over_configurations, within_and_between
from retrieval_heads.analysis.overlap_pairs import BETWEEN, chance_level, with_category
from retrieval_heads.figures import _layout, _overlap, _style
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY, p_value
from retrieval_heads.tables.heads import Grid, of_grid
from retrieval_heads.tables.tests import HEAD_OVERLAP

TITLE = "Overlap of the top heads within and between categories"
SECTION = "q2"
TABLES = ("overlap", "unions", "tests")
NEEDS = {"category": 2}

_WITHIN = "within"
_MEAN = {"elinewidth": 1, "markeredgecolor": "white", "markeredgewidth": 0.6, "zorder": 4}


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """Left, within against between categories, a dot per configuration; right, each category, and the unions.

    Models with other grids of heads have a row of their own, and tests of their own.
    """
    pairs = with_category(tables["overlap"], study.categories)
    within = study.in_config_order("category", pairs.loc[pairs["category"] != BETWEEN, "category"])
    if not within:
        return _layout.note("No category has two questions whose rankings could be compared.")
    if not (pairs["category"] == BETWEEN).any():
        return _layout.note("No two questions of different categories were ranked in the same configuration.")
    tests, unions = tables["tests"], tables["unions"]
    tests = tests[(tests["subject"] == HEAD_OVERLAP) & (tests["dimension"] == "category")]
    grids = _overlap.by_grid(study, pairs)
    figure = Figure(figsize=(_style.WIDTH, 0.2 + 3.1 * len(grids)), layout="constrained")
    axes = figure.subplots(
        len(grids), 2, width_ratios=[1, 1.15 if pairs["method"].nunique() <= MANY else 2], squeeze=False
    )
    for (left, right), (models, rows) in zip(axes, grids, strict=True):
        _against(left, rows, study)
        of_rows = of_grid(tests, Grid.of(rows.iloc[0])).set_index("a")
        left.set_title("\n".join(filter(None, (models, _tested(of_rows)))))
        _each(right, rows, [*within, BETWEEN], of_rows, study)
        _unions(right, of_grid(unions, Grid.of(rows.iloc[0])), [*within, BETWEEN], study)
    _layout.legend(figure, **_overlap.legend_keys(study, "method", study.in_config_order("method", pairs["method"])))
    return figure


def _against(ax: Axes, pairs: pd.DataFrame, study: Study) -> None:
    """Mean Jaccard within categories against that between them, and the mean of each method with its intervals."""
    means = within_and_between(pairs)
    for method in study.in_config_order("method", means.index.get_level_values("method")):
        look = _style.method_style(study, method)
        rows = means.xs(method, level="method")
        faint = {**look, "color": _style.tint(look["color"], 0.55), "markersize": 3.5}
        ax.plot(rows["between"], rows["within"], linestyle="none", **faint)
        # The keys of the two draws of resamples: is it within?
        x, y = (
            mean_over_configurations(rows[kind], study.seed, study.resamples, "against", method, within)
            for kind, within in (("between", False), ("within", True))
        )
        look = {**look, **_MEAN, "markersize": 6.5}
        ends = {
            "xerr": _style.interval_arms([x.value], x.low, x.high),
            "yerr": _style.interval_arms([y.value], y.low, y.high),
        }
        ax.errorbar(x.value, y.value, **ends, **look)
    end = min(1.04, means.to_numpy().max() + 0.08) if len(means) else 1.04
    ax.plot([-0.04, end], [-0.04, end], color=_style.RANDOM, linewidth=0.8)
    level = chance_level(pairs)
    _overlap.chance_line(ax, level)
    ax.plot([level, level], [-0.04, end], **_overlap.CHANCE)
    ax.set(xlim=(-0.04, end), ylim=(-0.04, end), aspect="equal")
    ax.set(xlabel="Jaccard between categories", ylabel="Jaccard within categories")
    ax.grid(axis="x")


def _each(ax: Axes, pairs: pd.DataFrame, kinds: Sequence[str], tests: pd.DataFrame, study: Study) -> None:
    """The mean Jaccard of each configuration within each category and between them, methods side by side."""
    means = category_means(pairs)
    methods = study.in_config_order("method", means["method"])
    for position, kind in enumerate(kinds):
        for step, method in zip(_steps(len(methods)), methods, strict=True):
            values = means.loc[(means["category"] == kind) & (means["method"] == method), "jaccard"]
            if values.empty:
                continue
            look = _style.method_style(study, method)
            faint = {**look, "color": _style.tint(look["color"], 0.55), "markersize": 3}
            ax.plot(position + step + _overlap.jitter(len(values), 0.07), values, linestyle="none", **faint)
            mean = mean_over_configurations(values, study.seed, study.resamples, "each", method, kind)
            ends = _style.interval_arms([mean.value], mean.low, mean.high)
            ax.errorbar(position + step, mean.value, yerr=ends, **look, **_MEAN, markersize=5.5)
    _overlap.chance_line(ax, chance_level(pairs))
    names = ["Between\ncategories" if kind == BETWEEN else f"Within\n{_style.wrap(kind)}" for kind in kinds]
    tested = [f"\np {p_value(tests.loc[kind, 'p_holm'])}" if kind in tests.index else "" for kind in kinds]
    ax.set_xticks(range(len(kinds)), [name + p for name, p in zip(names, tested, strict=True)])
    ax.tick_params(axis="x", length=0)
    ax.set(xlim=(-0.5, len(kinds) - 0.5), ylim=(-0.04, 1.04), ylabel="Jaccard")


def _unions(ax: Axes, unions: pd.DataFrame, kinds: Sequence[str], study: Study) -> None:
    """The Jaccard of unions over all rankings, each with its chance level: of two questions, and of two categories."""
    questions, categories = with_category(unions, study.categories), unions[unions["dimension"] == "category"]
    marks: list[tuple[float, pd.DataFrame, str, str]] = [
        (place, questions[questions["category"] == kind], "*", "Union, two questions")
        for place, kind in enumerate(kinds)
    ]
    marks.append((len(kinds) - 0.88, categories, "h", "Union, two categories"))
    for place, rows, marker, label in marks:
        x = place + 0.32 + _overlap.jitter(len(rows), 0.12)
        ax.plot(x, rows["jaccard"], marker, markersize=6, color="white", markeredgecolor=_style.INK, label=label)
        ax.plot(
            x, rows["chance"], "_", markersize=7, markeredgewidth=1.2, color=_style.RANDOM, label="Chance of unions"
        )


def _tested(tests: pd.DataFrame) -> str:
    """The test of the difference, in two lines; nothing where there were too few configurations."""
    if _WITHIN not in tests.index:
        return ""
    row = tests.loc[_WITHIN]
    difference, low, high = (f"{row[f'difference{end}']:.3f}".replace("-", "−") for end in ("", "_low", "_high"))
    numbers = f"{difference} [{low}, {high}]"
    return f"Within − between, beyond chance: {numbers}\n{row['test']}: p {p_value(row['p_holm'])}"


def _steps(number: int) -> np.ndarray:
    return np.linspace(-0.28, 0.16, number) if number > 1 else np.array([-0.06])

"""What the figures about overlap share: their pairs of values, heatmaps of Jaccard, and strips of single pairs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MultipleLocator

from retrieval_heads.analysis.overlap_pairs import chance_level, measured_pairs
from retrieval_heads.analysis.summaries import summary
from retrieval_heads.figures import _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import GRID, Grid, of_grid

MEASURES = {"jaccard": "Jaccard", "rbo": "Rank-biased overlap", "spearman": "Spearman's correlation"}
"""What the overlap table measures of two rankings, and how to write it."""

_CHANCE_MARK = "#D55E00"
CHANCE = {"color": _style.RANDOM, "linestyle": (0, (3, 1.5)), "linewidth": 1.2, "label": "Chance"}
_FRAME = {"facecolor": "none", "edgecolor": _style.INK, "linewidth": 1.3}
_CHARACTER, _SHORT, _NUMBER, _LINES, _RANGE, _OWN = 0.06, 0.19, 0.26, 0.35, 0.49, 0.6
"""The width in inches of a character of a label, and of a cell that holds .25, 0.25, three lines of a label, a range, a
chance level."""


def by_grid(study: Study, rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rows by their models' grid of heads, and these models; with a single grid, no name.

    Among other numbers of heads, others are shared by chance: so no mean and no chance level is over several grids.

    Parameters
    ----------
    rows : of a table with the columns model, layers and heads; of the overlap table along models, a and b are the
        models.
    """
    named = rows["model"].notna()
    ends = [("model", rows[named]), *((end, rows[~named]) for end in ("a", "b") if not named.all())]
    grid = {
        model: Grid(layers, heads)
        for end, part in ends
        for model, layers, heads in part[[end, *GRID]].itertuples(index=False)
    }
    models: dict[Grid, list[str]] = {}
    for model in study.in_config_order("model", grid):
        models.setdefault(grid[model], []).append(study.label("model", model))
    return [(", ".join(names) if len(models) > 1 else "", of_grid(rows, one)) for one, names in models.items()]


def of_models(name: str, models: str) -> str:
    """A name with the models that it is about, if there are others."""
    return f"{name} ({models})" if models else name


def values_of(study: Study, dimension: str, pairs: pd.DataFrame) -> list:
    """The values that pairs are made of, in the study's order."""
    found = {*pairs["a"], *pairs["b"]}
    return study.in_config_order(dimension, map(int, found) if dimension == "context_length" else found)


def by_pair(study: Study, dimension: str, pairs: pd.DataFrame) -> Iterator[tuple[object, object, pd.DataFrame]]:
    """Every two values that were compared, in the study's order, with their rows."""
    rows = {frozenset(key): group for key, group in pairs.groupby(["a", "b"])}
    for a, b in combinations(values_of(study, dimension, pairs), 2):
        if (key := frozenset((str(a), str(b)))) in rows:
            yield a, b, rows[key]


def same_category(study: Study, questions: Sequence[str]) -> set[frozenset[str]]:
    """Every two questions of one category; none where there is only one category."""
    category = study.categories
    if len({category.get(question) for question in questions}) < 2:
        return set()
    return {frozenset(pair) for pair in combinations(questions, 2) if len({category.get(one) for one in pair}) == 1}


def cell_width(width: float, columns: int, cells: int) -> float:
    """About how wide a heatmap's cell will be in a figure of this width, beside labels and colour bar, in inches."""
    return 0.62 * width / columns / cells


def has_ranges(columns: int, cells: int) -> bool:
    """Whether the cells of a heatmap have room for ranges below their means."""
    return cell_width(_style.WIDTH, columns, cells) > _RANGE


def heatmap(
    ax: Axes,
    pairs: pd.DataFrame,
    values: Sequence[object],
    labels: Sequence[str],
    framed: Collection[frozenset[str]] = (),
    own_chance: bool = False,
    measure: str = "jaccard",
) -> ScalarMappable:
    """A measure of each two values, the lower triangle: the mean over rows, and below it their range if there is room.

    Parameters
    ----------
    pairs : rows of the overlap or the unions table, of one dimension.
    values, labels : that dimension's values, and how to write them.
    framed : pairs of values to draw a frame around.
    own_chance : write the chance level of each cell in place of the range.
    measure : one of ``MEASURES``.
    """
    # Imported here, for it takes longer than a figure takes to draw, and not every one has a heatmap.
    import seaborn

    cells = measured_pairs(pairs, measure)
    side = len(values) - 1
    width = cell_width(ax.figure.get_figwidth(), ax.get_subplotspec().get_gridspec().ncols, side)
    means = np.full((side, side), np.nan)
    texts = np.full(means.shape, "", dtype=object)
    for i, j in zip(*(indices.tolist() for indices in np.tril_indices(side)), strict=True):
        key = frozenset((str(values[j]), str(values[i + 1])))
        if key not in cells:
            continue
        found, chance = cells[key]
        means[i, j] = found.mean
        texts[i, j] = _number(found.mean, width)
        if own_chance and width > _OWN:
            texts[i, j] += f"\nchance {chance:.2f}"
        elif not own_chance and width > _RANGE and found.highest > found.lowest:
            texts[i, j] += f"\n{found.lowest:.2f}–{found.highest:.2f}"
        if key in framed:
            # Drawn within the cell, for the edge of the panel would cut the frame of an outer one in half.
            ax.add_patch(Rectangle((j + 0.015, i + 0.015), 0.97, 0.97, zorder=3, **_FRAME))
    before = len(ax.texts)
    names = [_style.wrap(label) for label in labels]
    # Side by side, labels wider than a cell would run into each other.
    longest = max(len(line) for name in names[:-1] for line in name.splitlines())
    upright = longest * _CHARACTER > width - 0.05
    small = width <= _LINES
    seaborn.heatmap(
        means,
        ax=ax,
        cmap=_style.HEATMAP,
        vmin=0,
        vmax=1,
        cbar=False,
        linewidths=1,
        annot=texts,
        fmt="",
        annot_kws={"fontsize": 7},
        xticklabels=[_style.wrap(label, 22 if small else 11) for label in labels[:-1]],
        yticklabels=[_style.wrap_in_two(label) for label in labels[1:]] if small else names[1:],
    )
    # Seaborn turns to white text already on middle blues, where small digits are hard to read.
    for text, mean in zip(ax.texts[before:], means[np.isfinite(means)], strict=True):
        text.set_color("white" if mean > 0.55 else _style.INK)
    ax.tick_params(axis="x", rotation=90 if upright else 0, length=0)
    ax.tick_params(axis="y", rotation=0, length=0)
    ax.grid(False)
    return next(image for image in ax.collections if image.get_array() is not None)


def _number(value: float, width: float) -> str:
    """A number as a cell of this width has room for it: 0.25, .25, or nothing."""
    text = f"{value:.2f}".replace("-", "−")
    return text if width > _NUMBER else text.replace("0.", ".", 1).replace("1.00", "1") if width > _SHORT else ""


def chance_bar(
    figure: Figure,
    image: ScalarMappable,
    axes: list[list[Axes]],
    single: float | None = None,
    unions: float | None = None,
    label: str = MEASURES["jaccard"],
) -> None:
    """A colour bar of a measure with the chance level marked: of single rankings, and of unions if they are shown."""
    bar = figure.colorbar(image, ax=[ax for row in axes for ax in row], label=label, fraction=0.05, aspect=25)
    bar.outline.set_visible(False)
    # With two, the lower one's name hangs from its mark and the higher one's stands on its own, however close they are.
    marks = [] if single is None else [("chance", single, "center" if unions is None else "top")]
    marks += [] if unions is None else [("chance,\nunions", unions, "bottom")]
    for name, level, hangs in marks:
        bar.ax.axhline(level, color=_CHANCE_MARK, linewidth=1.6)
        bar.ax.annotate(
            f"{name}\n{level:.3f}",
            (0, level),
            xycoords=("axes fraction", "data"),
            xytext=(-3, 0),
            textcoords="offset points",
            ha="right",
            va=hangs,
            color=_CHANCE_MARK,
            fontsize=7,
        )


def legend_keys(study: Study, dimension: str, values: Sequence[str]) -> dict[str, Line2D]:
    """The legend's entries for methods, questions or models, all of them, wherever in the figure each is drawn."""
    look = {"method": _style.method_style, "question": _style.question_style, "model": _style.model_style}[dimension]
    return {study.label(dimension, value): Line2D([], [], linestyle="none", **look(study, value)) for value in values}


def frame_key() -> dict[str, Patch]:
    """The legend's entry for cells that are framed."""
    return {"Two questions of one category": Patch(**_FRAME)}


def chance_line(ax: Axes, level: float) -> None:
    """A chance level across a panel."""
    ax.axhline(level, **CHANCE, zorder=1)


def jitter(number: int, width: float) -> np.ndarray:
    """Steps aside for dots that would hide each other, the same at every drawing, shape (number,)."""
    return ((np.arange(number) * 0.618034) % 1 - 0.5) * width if number > 1 else np.zeros(number)


def draw_strips(axes: Sequence[Axes], rows: Mapping[str, tuple[pd.DataFrame, _style.Look]]) -> None:
    """Rows of single pairs, a panel for each measure: every pair a dot, mean and standard deviation, and chance.

    Parameters
    ----------
    axes : a panel for each of ``MEASURES``.
    rows : name → rows that have the measures and their chance levels, and colour and marker of their mean.
    """
    for ax, (measure, title) in zip(axes, MEASURES.items(), strict=True):
        for y, (frame, look) in enumerate(rows.values()):
            _strip(ax, y, frame[measure].dropna().to_numpy(), look)
            ax.plot([chance_level(frame, measure)] * 2, [y - 0.42, y + 0.46], zorder=3, **CHANCE)
        ax.set_title(title)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.set_ylim(len(rows) - 0.46, -0.54)
        low, high = ax.get_xlim()
        ax.set_xlim(min(-0.04, low), max(1.04, high))
        ax.xaxis.set_major_locator(MultipleLocator(0.25 if low > -0.3 else 0.5))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
        ax.grid(False, axis="y")


def strip_key() -> dict[str, Line2D]:
    """The legend's entries for dots and means of strips, whatever their colours."""
    dot = Line2D([], [], color=_style.tint(_style.INK, 0.6), marker="o", markersize=3, linestyle="none")
    return {"One pair of rankings": dot, "Mean ± standard deviation": Line2D([], [], color=_style.INK, marker="o")}


def _strip(ax: Axes, y: int, values: np.ndarray, look: _style.Look) -> None:
    if not len(values):
        return
    mean, sd, *_ = summary(values)
    dots = {"markersize": 3, "markeredgewidth": 0, "color": _style.tint(look["color"], 0.6)}
    ax.plot(values, y + 0.14 + jitter(len(values), 0.44), "o", **dots)
    ax.errorbar(mean, y + 0.14, xerr=sd, capsize=2, elinewidth=1.1, zorder=4, **look)
    numbers = f"{mean:.2f} ± {sd:.2f}".replace("-", "−")
    ax.text(0.99, y - 0.3, numbers, transform=ax.get_yaxis_transform(), ha="right", va="center", fontsize=7)

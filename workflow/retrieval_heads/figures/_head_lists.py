"""What the figures of single heads share: lists of heads, panel by panel, with their ranks on a log axis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, StrMethodFormatter

from retrieval_heads.analysis import head_profiles
from retrieval_heads.figures import _style
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import Grid as Shape
from retrieval_heads.tables.heads import head_name

Head = tuple[int, int]

RARE = "Listed in fewer than half of the rankings"


@dataclass(frozen=True)
class Grid:
    """Models whose heads can be matched, for they have as many layers with as many heads."""

    shape: Shape
    models: str
    """Their labels."""

    @property
    def layers(self) -> int:
        """How many layers a model has."""
        return self.shape.layers

    @property
    def per_layer(self) -> int:
        """How many heads a layer has."""
        return self.shape.heads

    @property
    def heads(self) -> int:
        """How many heads a model has."""
        return self.shape.total


def grids(table: pd.DataFrame, study: Study) -> list[Grid]:
    """The grids of the profiles table, in the order of the study's models."""
    shapes = head_profiles.select(table, "model").drop_duplicates("value").set_index("value")[["layers", "heads"]]
    models: dict[Shape, list[str]] = {}
    for model in study.in_config_order("model", shapes.index):
        models.setdefault(Shape(*map(int, shapes.loc[model])), []).append(study.label("model", model))
    return [Grid(shape, ", ".join(labels)) for shape, labels in models.items()]


def by_method(
    table: pd.DataFrame, study: Study, dimension: str = head_profiles.ALL
) -> Iterator[tuple[Grid, str, str, pd.DataFrame]]:
    """For each grid and method: grid, method, what to call the two in a title, and their rows of one dimension."""
    found = grids(table, study)
    for grid in found:
        rows = head_profiles.select(table, dimension, grid=grid.shape)
        for method in study.in_config_order("method", rows["method"]):
            label = study.label("method", method) + (f" ({grid.models})" if len(found) > 1 else "")
            yield grid, method, label, rows[rows["method"] == method]


def panels(
    titles: Sequence[str], lists: Sequence[Sequence[Head]], columns: int = 3, row: float = 0.17, pad: float = 12
) -> tuple[Figure, list[Axes]]:
    """A panel for each list of heads, their names from top to bottom.

    Parameters
    ----------
    columns : panels side by side, at most.
    row : height of a head's line in inches.
    pad : points between a panel and its title, which thresholds and columns of numbers write into.
    """
    columns = min(columns, len(lists))
    starts = range(0, len(lists), columns)
    tall = [max(2, *map(len, lists[start : start + columns])) for start in starts]
    titles = [_style.wrap(title, {1: 100, 2: 46}.get(columns, 29)) for title in titles]
    # Of short lists, a second line of a title would take the room.
    more = [max(title.count("\n") for title in titles[start : start + columns]) for start in starts]
    room = 0.55 * len(tall) + 0.16 * sum(lines for lines, heads in zip(more, tall, strict=True) if heads <= 2)
    figure = Figure(figsize=(_style.WIDTH, row * sum(tall) + room + 0.55), layout="constrained")
    cells = figure.add_gridspec(len(tall), columns, height_ratios=tall)
    axes = []
    for i, (title, heads) in enumerate(zip(titles, lists, strict=True)):
        ax = figure.add_subplot(cells[i // columns, i % columns])
        ax.set_title(title, pad=pad)
        ax.set_yticks(range(len(heads)), [head_name(*head) for head in heads])
        ax.set_ylim(tall[i // columns] - 0.4, -0.6)
        # A panel ends with its list, though its neighbour's be longer.
        ax.spines["bottom"].set_position(("data", len(heads) - 0.4))
        ax.spines["left"].set_bounds(-0.6, len(heads) - 0.4)
        ax.tick_params(axis="y", length=0)
        axes.append(ax)
    return figure, axes


def rank_axis(ax: Axes, heads: int, thresholds: Sequence[int] = ()) -> None:
    """Ranks on a log axis, and thresholds as broken lines with their numbers above."""
    ax.set_xscale("log")
    ax.set_xlim(0.8, 1.25 * heads)
    # Of three panels side by side, each has room for the numbers of two and a half powers of ten, or for the powers.
    steps = (1,) if heads > 500 and ax.get_gridspec().ncols > 2 else (1, 3)
    ticks = [step * 10**power for power in range(len(str(heads))) for step in steps if step * 10**power <= heads]
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    # Two numbers stand outside the space between their lines, which can be narrow.
    sides = {1: ("center",), 2: ("right", "left")}.get(len(thresholds), ())
    for threshold, side in zip(thresholds, sides, strict=True):
        _line(ax, threshold, zorder=0.5)
        ax.annotate(
            f"{threshold:,}",
            (threshold, 1),
            xycoords=("data", "axes fraction"),
            xytext=({"right": 3, "left": -3, "center": 0}[side], 2),
            textcoords="offset points",
            ha=side,
            fontsize=7,
            color=_style.RANDOM,
        )


def _line(ax: Axes, x: float, **options) -> None:
    """A broken line down to the end of a panel's list."""
    ax.plot([x, x], [-0.6, len(ax.get_yticks()) - 0.4], "--", color=_style.RANDOM, linewidth=1, **options)


def draw_dots(
    ax: Axes, rows: pd.DataFrame, heads: Sequence[Head], look: _style.Look, shift: float = 0, **options
) -> None:
    """The mean rank of each head on its line, hollow where fewer than half of the configurations list it.

    Parameters
    ----------
    rows : of the profiles table, one for each head at most.
    shift : moves the dots up or down, by a share of a line.
    options : passed on to ``Axes.plot``.
    """
    rows = rows.set_index(["layer", "head"]).reindex(pd.MultiIndex.from_tuples(heads))
    rare = (2 * rows["listed"] < rows["configurations"]).to_numpy()
    y = np.arange(len(heads)) + shift
    ax.plot(rows["mean_rank"].mask(rare), y, linestyle="none", **look, **options)
    ax.plot(rows["mean_rank"].where(rare), y, linestyle="none", markerfacecolor="white", **look)


def draw_ranges(ax: Axes, rows: pd.DataFrame, heads: Sequence[Head], look: _style.Look, shift: float = 0) -> None:
    """A thin line from the best to the worst rank of each head."""
    rows = rows.set_index(["layer", "head"]).reindex(pd.MultiIndex.from_tuples(heads))
    y = np.arange(len(heads)) + shift
    ax.hlines(y, rows["best_rank"], rows["worst_rank"], color=_style.tint(look["color"], 0.5), linewidth=0.8, zorder=1)


def rank_matrix(
    ax: Axes, rows: pd.DataFrame, heads: Sequence[Head], methods: Sequence[str], total: int, within: float = 0
) -> None:
    """The mean rank of each head with each method, written into cells that are darker the higher the rank.

    Italic is what fewer than half of the configurations list. Wide cells have a decimal.

    Parameters
    ----------
    rows : of the profiles table, one for each head and method at most.
    total : how many heads the model has.
    within : ranks below it are bold.
    """
    index, digits = pd.MultiIndex.from_tuples(heads), int(ax.get_gridspec().ncols == 1)
    of_method = {method: rows[rows["method"] == method].set_index(["layer", "head"]) for method in methods}
    ranks = np.column_stack([of_method[method]["mean_rank"].reindex(index) for method in methods])
    listed = [
        (2 * one["listed"] >= one["configurations"]).reindex(index, fill_value=False) for one in of_method.values()
    ]
    shades = _cells(ax, 1 - np.log(ranks) / np.log(total))
    for (y, x), rank in np.ndenumerate(ranks):
        if np.isfinite(rank):
            style = {
                "fontweight": "bold" if rank < within else None,
                "fontstyle": None if listed[x].iloc[y] else "italic",
            }
            _cell(ax, x, y, f"{rank:.{digits}f}", float(shades[y, x]), **style)


def share_matrix(ax: Axes, shares: pd.DataFrame) -> None:
    """Shares of heads (rows) with methods (columns), written in percent into cells that are darker the larger it is."""
    shades = _cells(ax, shares.to_numpy(float))
    for (y, x), share in np.ndenumerate(shares.to_numpy(float)):
        _cell(ax, x, y, f"{100 * share:.0f}" if share > 0 else "", float(shades[y, x]))


def name_columns(ax: Axes, names: Sequence[str] | None) -> None:
    """Names below columns, upright; none where a panel below has them."""
    ax.set_xticks(range(len(names or ())), names or (), rotation=90)
    ax.tick_params(length=0)


def _cells(ax: Axes, shades: np.ndarray) -> np.ndarray:
    """Draws the cells of a matrix, whose shades are from 0 to 1, and returns these as they are drawn."""
    edges = [np.arange(size + 1) - 0.5 for size in reversed(shades.shape)]
    # Short of the darkest, so that the colours are those of other heatmaps' middle.
    shades = np.ma.masked_invalid(0.9 * shades)
    ax.pcolormesh(*edges, shades, cmap=_style.HEATMAP, vmin=0, vmax=1, edgecolor="white", linewidth=0.8, zorder=1)
    ax.set_xlim(-0.5, shades.shape[1] - 0.5)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.grid(False)
    return shades.filled(0)


def _cell(ax: Axes, x: int, y: int, text: str, shade: float, **style) -> None:
    ink = "white" if shade > 0.55 else _style.INK
    ax.text(x, y, text, ha="center", va="center", color=ink, fontsize=6.5, zorder=2, **style)


def line_offsets(count: int) -> np.ndarray:
    """Where on a head's line each of so many values stands, so that none hides another."""
    return np.linspace(-0.27, 0.27, count) if count > 1 else np.zeros(1)


def number_column(ax: Axes, texts: Sequence[str], header: str) -> None:
    """Numbers at the right of a panel, one for each head, under a header."""
    for y, text in [(-0.6, header), *enumerate(texts)]:
        ax.annotate(
            text,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(4, 2 if y < 0 else 0),
            textcoords="offset points",
            va="bottom" if y < 0 else "center",
            fontsize=7,
        )


def rare_key(figure: Figure) -> dict[str, Line2D]:
    """The legend's entry for hollow dots, where there are some."""
    lines = [line for ax in figure.axes for line in ax.lines if line.get_markerfacecolor() == "white"]
    if not any(np.isfinite(np.asarray(line.get_xdata(), dtype=float)).any() for line in lines):
        return {}
    return {RARE: Line2D([], [], linestyle="none", marker="o", color=_style.INK, markerfacecolor="white")}


def chance_line(ax: Axes, chance: float) -> None:
    """Shares from 0 to 100%, and the share that a head has if top sets are drawn by lot."""
    _line(ax, chance, label="Top sets drawn by lot")
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.grid(False)
    shares = (0, 0.25, 0.5, 0.75, 1)
    ax.vlines(shares, -0.6, len(ax.get_yticks()) - 0.4, color=_style.FAINT, linewidth=0.5, zorder=0)
    ax.set_xticks(shares)

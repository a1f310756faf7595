"""The one visual language of all figures: colours, sizes, layout of panels, and how a figure is saved."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from retrieval_heads.analysis.summaries import envelope
from retrieval_heads.atomic_write import whole_file
from retrieval_heads.study.study import Study
from retrieval_heads.tables.select import at

WIDTH = 7.2
"""Width of a figure in inches: a printed page's text width, so that letters keep their size."""

# Okabe and Ito's colours, which readers with any kind of colour vision tell apart. Methods and questions take them from
# opposite ends, so that a colour of a method is not seen to mean a question.
_OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
# Of Tol's muted scheme, as safe, so that a model's colour is seen to mean neither a method nor a question.
_TOL_MUTED = ["#332288", "#CC6677", "#999933", "#44AA99", "#882255", "#88CCEE", "#117733"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
INK, RANDOM, FAINT = "#222222", "#7A7A7A", "#DDDDDD"
HEATMAP = "Blues"
NOTHING_ABLATED = "No top heads were ablated beside an unablated baseline."
"""What a figure about ablation says where there is none, as where ties leave every top set empty."""

_LAST = ("Mean", "Union", "Chance", "Random heads", "Guessing", "Limit")
"""How labels begin that come last in a legend, in this order."""

Look = dict[str, Any]
"""How something is drawn: keywords of matplotlib, such as color and marker."""

GUESSING = "Guessing, without the document"
CONTROLS = {"layer": "Random heads matched by layer", "none": "Random heads of any layer"}

mpl.use("agg")
mpl.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 8,
        "axes.titlesize": 8.5,
        "axes.labelsize": 8.5,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8,
        "figure.labelsize": 8.5,
        "axes.edgecolor": INK,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": FAINT,
        "grid.linewidth": 0.5,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.linewidth": 1.4,
        "lines.markersize": 4,
        "legend.frameon": False,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        # Without a salt of its own every SVG would differ from the one drawn before.
        "svg.hashsalt": "retrieval-heads",
    }
)


def method_style(study: Study, method: str) -> Look:
    """Colour and marker of a method, the same in every figure: by its place in the study."""
    return _style(study.order("method", [*study.methods, method]).index(method), _OKABE_ITO)


def question_style(study: Study, question: str) -> Look:
    """Colour and marker of a question."""
    return _style(study.order("question", [*study.config["questions"], question]).index(question), _OKABE_ITO[::-1])


def model_style(study: Study, model: str) -> Look:
    """Colour and marker of a model."""
    return _style(study.order("model", [*(study.config.get("models") or {}), model]).index(model), _TOL_MUTED)


def category_style(study: Study, category: str) -> Look:
    """Colour and marker of a category of questions."""
    place = study.order("category", [*study.categories.values(), category]).index(category)
    return _style(place, _TOL_MUTED[4::-1])


def ordered_style(place: int, count: int) -> Look:
    """Colour and marker of one of several ordered values, such as lengths: from dark to light."""
    return {
        "color": mpl.colormaps["copper"](0.1 + 0.85 * place / max(count - 1, 1)),
        "marker": _style(place, "k")["marker"],
    }


def _style(place: int, colours: Sequence[str]) -> Look:
    return {"color": colours[place % len(colours)], "marker": _MARKERS[place % len(_MARKERS)]}


def tint(colour: str, share: float) -> tuple[float, ...]:
    """A colour mixed with white: 0 leaves it, 1 is white."""
    return tuple(channel + (1 - channel) * share for channel in to_rgb(colour))


def panels(
    rows: Sequence[str], columns: Sequence[str], height: float, width: float = WIDTH, **options
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a panel for each (row, column), and its axes as a list of rows.

    A single row of more than three panels is broken into rows of two. A dimension with one value is not named.

    Parameters
    ----------
    height : of one row of panels, in inches.
    width : of the figure, in inches.
    options : passed on to ``Figure.subplots``.
    """
    broken = len(rows) == 1 and len(columns) > 3
    n_rows, n_columns = (-(-len(columns) // 2), 2) if broken else (len(rows), len(columns))
    figure = Figure(figsize=(width, height * n_rows + 0.5), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, **{"sharex": True, "sharey": True, "squeeze": False, **options})
    axes = [list(grid.flat[: len(columns)])] if broken else grid.tolist()
    for unused in grid.flat[len(columns) :] if broken else []:
        unused.remove()
        grid[-2, -1].tick_params(labelbottom=True)
    for ax, column in zip(axes[0], columns, strict=True):
        ax.set_title(wrap(column, 88 // n_columns) if len(columns) > 1 else "")
    for line, row in zip(axes, rows, strict=True):
        if len(rows) > 1 and len(columns) == 1:
            line[0].set_title(row)
        elif len(rows) > 1:
            place = {"xy": (1, 0.5), "xycoords": "axes fraction", "xytext": (4, 0), "textcoords": "offset points"}
            line[-1].annotate(wrap(row, 14), **place, rotation=270, va="center", fontsize=8.5)
    return figure, axes


def curve(ax: Axes, rows: pd.DataFrame, shift: float = 0.0, **look) -> ErrorbarContainer:
    """Accuracy against heads cut, from the baseline at 0, with 95% intervals.

    Parameters
    ----------
    rows : rows of the effects table that differ in k alone.
    shift : moves the points sideways, so that the intervals of several curves do not hide each other.
    """
    k, value = from_baseline(rows)
    low, high = (from_baseline(rows, end)[1] for end in ("_low", "_high"))
    return ax.errorbar(k + shift, value, yerr=arms(value, low, high), elinewidth=0.8, **look)


def arms(value, low, high) -> np.ndarray:
    """How far intervals reach down and up from their values; not below 0, where rounding puts an end past its value."""
    return np.maximum([np.subtract(value, low), np.subtract(high, value)], 0)


def from_baseline(rows: pd.DataFrame, end: str = "") -> tuple[np.ndarray, np.ndarray]:
    """k and accuracy (or an end of its interval) of rows that differ in k alone, with the baseline at k = 0."""
    rows = rows.sort_values("k")
    accuracy = [rows[f"baseline{end}"].iloc[0], *rows[f"accuracy{end}"]]
    return np.array([0, *rows["k"]], dtype=float), np.array(accuracy, dtype=float)


def control(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The random control to show where there is room for one, matched by layer if there is such, and its name."""
    matching = "layer" if (rows["matching"] == "layer").any() else "none"
    return rows[rows["matching"] == matching], CONTROLS[matching]


def random_band(ax: Axes, rows: pd.DataFrame) -> None:
    """The band of accuracies with random heads cut, for rows of one matching.

    Where rows hold the controls of several methods, the band reaches over all their intervals, and the line is their
    mean.
    """
    if rows.empty:
        return
    by_k = envelope(rows, "k", "accuracy")
    band(ax, by_k.index.astype(float), by_k["low"], by_k["mean"], by_k["high"], rows["matching"].iloc[0])


def band(ax: Axes, x: Sequence[float], low, mean, high, matching: str) -> None:
    """The look of random heads: an interval in grey, or hatched where they are of any layer, and the mean as a line."""
    of_layer = matching == "layer"
    ax.fill_between(
        x,
        low,
        high,
        facecolor=tint(RANDOM, 0.72) if of_layer else "none",
        edgecolor=tint(RANDOM, 0.62),
        hatch=None if of_layer else "////",
        linewidth=0,
        zorder=1,
        label=CONTROLS[matching],
    )
    ax.plot(
        x,
        mean,
        "-" if of_layer else "--",
        color=RANDOM if of_layer else tint(RANDOM, 0.35),
        linewidth=1,
        label=CONTROLS[matching],
        zorder=1.5,
    )


def guess_line(ax: Axes, rows: pd.DataFrame) -> None:
    """The accuracy that guessing gives, for rows of effects about the same prompts; nothing where it is not known."""
    if rows["guess"].notna().any():
        ax.axhline(rows["guess"].mean(), color=INK, linestyle=":", linewidth=0.9, zorder=1.6, label=GUESSING)


def ablation_curves(tables: Mapping[str, pd.DataFrame], study: Study, panel: str, line: str, height: float) -> Figure:
    """Accuracy as heads are cut, all lengths together: panels of models × one dimension, a curve for each of another.

    Parameters
    ----------
    tables : effects and against_random.
    panel, line : ``question`` and ``method``, or the other way round. Random band and guessing are those of the panel's
        value: for a question the controls of all methods, for a method those of all questions together.
    height : of one row of panels, in inches.
    """
    effects = at(tables["effects"], pooled=["context_length"])
    pooled = ["context_length"] if panel == "question" else ["question", "context_length"]
    controls, guesses = at(tables["against_random"], pooled=pooled), at(tables["effects"], pooled=pooled)
    models, across = study.order("model", effects["model"]), study.order(panel, effects[panel])
    lines, levels = study.order(line, effects[line]), sorted(effects["k"].unique())
    look = {"method": method_style, "question": question_style}[line]
    figure, axes = panels(
        [study.label("model", model) for model in models],
        [study.label(panel, value) for value in across],
        height=height,
    )
    for i, model in enumerate(models):
        for j, value in enumerate(across):
            here = effects[(effects["model"] == model) & (effects[panel] == value)]
            random = controls[(controls["model"] == model) & (controls[panel] == value)]
            random_band(axes[i][j], control(random)[0])
            asked = guesses[(guesses["model"] == model) & (guesses[panel] == value)]
            guess_line(axes[i][j], asked)
            for place, name in enumerate(lines):
                rows = here[here[line] == name]
                if not rows.empty:
                    shift = (place - (len(lines) - 1) / 2) * max(levels) / 60
                    curve(axes[i][j], rows, shift=shift, label=study.label(line, name), **look(study, name))
    accuracy_axes(axes, levels)
    figure.supxlabel("Heads cut")
    figure.supylabel("Accuracy")
    return figure


def accuracy_axes(axes: list[list[Axes]], levels: Sequence[int]) -> None:
    """Accuracy from 0 to 100%, and a tick at 0 and at each level that has room for one."""
    ticks = level_ticks(levels, len(axes[0]))
    for ax in (ax for row in axes for ax in row):
        ax.set_ylim(-0.04, 1.04)
        ax.yaxis.set_major_formatter(PercentFormatter(1))
        ax.set_xticks(ticks)


def level_ticks(levels: Sequence[int], columns: int) -> list[int]:
    """0, and the levels that have room for a tick where so many panels stand side by side."""
    ticks, apart = [0], max(levels) * max(1 / 8, columns / 25)
    for level in sorted(levels):
        if level - ticks[-1] >= apart or level == max(levels):
            ticks.append(level)
    if len(ticks) > 2 and ticks[-1] - ticks[-2] < apart:
        del ticks[-2]
    return ticks


def legend(figure: Figure, columns: int = 4, **handles) -> None:
    """One legend above all panels, each entry once; what the others are held against comes last.

    What shares a label in a panel, such as a line and its band, is drawn as one key.
    """
    entries: dict[str, object] = {}
    for ax in figure.axes:
        found: dict[str, list] = {}
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, []).append(handle)
        for label, keys in found.items():
            entries.setdefault(label, tuple(keys))
    entries.update(handles)
    labels = sorted(entries, key=lambda label: [label.startswith(word) for word in reversed(_LAST)])
    columns, width = min(columns, len(labels)), figure.get_figwidth()
    # By the width of a letter, and that of a key with the space around it.
    while columns > 1 and sum(0.5 + 0.06 * max(map(len, part)) for part in np.array_split(labels, columns)) > width:
        columns -= 1
    figure.legend([entries[label] for label in labels], labels, loc="outside upper center", ncols=columns)


def name_intervention(figure: Figure, study: Study) -> None:
    """Say below a figure's panels how heads were ablated."""
    if figure.axes:
        label, below = study.label("intervention", study.headline), figure.get_supxlabel()
        figure.supxlabel(f"{below} ({label})" if below else f"Ablation: {label}")


def note(text: str) -> Figure:
    """A small figure that says in one sentence why there is nothing to show.

    The sentence is its label too, which no other figure has: the findings say it in the figure's place.
    """
    lines = wrap(text, 56)
    figure = Figure(figsize=(WIDTH / 2, 0.3 + 0.16 * (lines.count("\n") + 1)))
    figure.text(0.5, 0.5, lines, ha="center", va="center", color=INK, linespacing=1.3)
    figure.set_label(text)
    return figure


def wrap(label: str, width: int = 11) -> str:
    """A label broken into short lines at spaces and hyphens, and where it is broken already."""
    return "\n".join(fill(line, width, break_long_words=False) for line in label.splitlines())


def save(figure: Figure, *paths: str | Path) -> None:
    """Save a figure whole or not at all, in the format of each path's suffix; the same figure gives the same bytes.

    The description in a file's metadata is the sentence of a :func:`note`; other figures have none.
    """
    said = {"Description": figure.get_label()} if figure.get_label() else {}
    for path in map(Path, paths):
        metadata = {**said, "Date": None} if path.suffix == ".svg" else said
        with whole_file(path) as file:
            figure.savefig(file, format=path.suffix[1:], dpi=200, metadata=metadata)

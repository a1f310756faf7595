"""How all figures are laid out: panels, the legend, and a note where there is nothing to show."""

from collections.abc import Sequence

import numpy as np
import scipy  # its parts are imported when first used
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.figures._labels import SHORT
from retrieval_heads.figures._style import INK, WIDTH, wrap
from retrieval_heads.study.study import Study

NOTHING_ABLATED = "No top heads were ablated beside an unablated baseline."
"""What a figure about ablation says where there is none, as where ties leave every top set empty."""

_LEGEND_LINES, _LEGEND_LINE = 2, 0.165
"""For how many lines of a legend the height of a figure has room, and the height of one in inches."""

_LETTERS = 13
"""How many letters of a row's name an inch has room for."""

_TITLE_LINE = 0.14
"""The height of a line of a panel's title, in inches."""

_SMALL = 6
"""How many small panels stand side by side."""

_LAST = ("Mean", "Union", "Chance", "No head", "Random heads", "Guessing", "Limit")
"""How labels begin that come last in a legend, in this order."""


def panels(
    rows: Sequence[str],
    columns: Sequence[str],
    height: float,
    width: float = WIDTH,
    beside: int | None = None,
    letters: int | None = None,
    **options,
) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a panel for each (row, column), and its axes as a list of rows.

    A single row of many panels is broken into several. A dimension with one value is not named.

    Parameters
    ----------
    height : of one row of panels, in inches.
    width : of the figure, in inches.
    beside : how many panels a row that is broken has; by default as many as :func:`panels_beside` says.
    letters : how many letters of a long title a panel has room for; by default as many as its share of the width.
    options : passed on to ``Figure.subplots``.
    """
    beside = beside or panels_beside(len(columns))
    broken = len(rows) == 1 and len(columns) > beside
    n_rows, n_columns = (-(-len(columns) // beside), beside) if broken else (len(rows), len(columns))
    room = 88 // n_columns
    titles = [wrap(one, letters if letters and len(one) > SHORT else room) for one in columns]
    titles = titles if len(columns) > 1 else [""]
    long = n_rows if broken else 1
    figure = Figure(figsize=(width, height * n_rows + long * _more(titles, 3) + 0.5), layout="constrained")
    grid = figure.subplots(n_rows, n_columns, **{"sharex": True, "sharey": True, "squeeze": False, **options})
    axes = [list(grid.flat[: len(columns)])] if broken else grid.tolist()
    if broken:
        _take_out(grid, len(columns))
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    for line, row in zip(axes, rows, strict=True):
        if len(rows) > 1 and len(columns) == 1:
            line[0].set_title(row)
        elif len(rows) > 1:
            at = {"xy": (1, 0.5), "xycoords": "axes fraction", "xytext": (4, 0), "textcoords": "offset points"}
            # A long name takes the height of its row.
            letters = 14 if len(row) <= SHORT else max(14, int(_LETTERS * height))
            line[-1].annotate(wrap(row, letters), **at, rotation=270, va="center", fontsize=8.5)
    return figure, axes


def small_multiples(groups: Sequence[str], names: Sequence[str], height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a small panel for each name, six side by side, and that once for each group, which stands above.

    Parameters
    ----------
    height : of one row of panels, in inches.

    Returns
    -------
    The figure, and the axes of each group.
    """
    rows = -(-len(names) // _SMALL)
    titles = [wrap(name, 88 // _SMALL) for name in names]
    tall = (height + _more(titles, 1)) * rows + (0.3 if len(groups) > 1 else 0)
    figure, axes = Figure(figsize=(WIDTH, tall * len(groups) + 0.5), layout="constrained"), []
    for part, group in zip(np.ravel(figure.subfigures(len(groups), 1, squeeze=False)), groups, strict=True):
        grid = part.subplots(rows, _SMALL, sharex=True, sharey=True, squeeze=False)
        _take_out(grid, len(names))
        for ax, title in zip(grid.flat, titles, strict=False):
            ax.set_title(title)
        if len(groups) > 1:
            part.suptitle(group, x=0.01, ha="left", fontsize=9)
        axes.append(list(grid.flat[: len(names)]))
    return figure, axes


def _take_out(grid: np.ndarray, used: int) -> None:
    """Remove the panels of a grid beyond those in use, all in its last row; those above them get the labels."""
    for place in range(used, grid.size):
        grid.flat[place].remove()
        grid[-2, place % grid.shape[1]].tick_params(labelbottom=True)


def _more(titles: Sequence[str], lines: int) -> float:
    """The height that titles take beyond so many lines, in inches."""
    return _TITLE_LINE * max(0, *(1 + title.count("\n") - lines for title in titles))


def panels_beside(number: int) -> int:
    """How many of so many panels stand side by side, where there is only one row of them to begin with."""
    return number if number <= 3 else 2 if number <= 6 else 3


def apart(places: Sequence[float], least: float) -> np.ndarray:
    """Places in the order of the given ones, as near to these as can be, each so far behind the one before at least."""
    steps = least * np.arange(len(places))
    return scipy.optimize.isotonic_regression(np.asarray(places, float) - steps).x + steps


def by_category(study: Study, questions: Sequence[str]) -> list[str]:
    """Questions with those of one category side by side, in the order in which categories first come."""
    categories = [study.categories.get(question) for question in questions]
    return sorted(questions, key=lambda question: categories.index(study.categories.get(question)))


def legend(figure: Figure, columns: int = 4, **handles) -> None:
    """One legend above all panels, each entry once; what the others are held against comes last.

    What shares a label in a panel, such as a line and its band, is drawn as one key. A figure grows by the lines of a
    long legend, so that they take nothing from its panels.
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
    while columns > 1 and sum(0.5 + 0.062 * max(map(len, part)) for part in np.array_split(labels, columns)) > width:
        columns -= 1
    lines = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + _LEGEND_LINE * max(lines - _LEGEND_LINES, 0))
    if figure.get_supylabel():  # beside the panels, not beside the legend
        figure.supylabel(figure.get_supylabel(), y=0.5 - _LEGEND_LINE * lines / figure.get_figheight() / 2)
    figure.legend([entries[label] for label in labels], labels, loc="outside upper center", ncols=columns)


def let_hang(axes: Sequence[Axes]) -> None:
    """Let the names below a panel hang into the empty place below it, where a broken row of panels ends early."""
    for ax in axes:
        place = ax.get_subplotspec()
        if place and not place.is_last_row():
            for label in ax.get_xticklabels():
                label.set_in_layout(False)


def name_intervention(figure: Figure, study: Study) -> None:
    """Say below a figure's panels how heads were ablated."""
    if figure.axes:
        label, below = study.label("intervention", study.headline), figure.get_supxlabel()
        if not below:
            figure.supxlabel(f"Ablation: {label}")
        else:
            figure.supxlabel(f"{below}. Ablation: {label}" if below.endswith(")") else f"{below} ({label})")


def note(text: str) -> Figure:
    """A small figure that says in one sentence why there is nothing to show.

    The sentence is its label too, which no other figure has: the findings say it in the figure's place.
    """
    lines = wrap(text, 56)
    figure = Figure(figsize=(WIDTH / 2, 0.3 + 0.16 * (lines.count("\n") + 1)))
    figure.text(0.5, 0.5, lines, ha="center", va="center", color=INK, linespacing=1.3)
    figure.set_label(text)
    return figure

"""How all figures are laid out: panels, the legend, and a note where there is nothing to show."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from retrieval_heads.figures._style import INK, WIDTH, wrap
from retrieval_heads.study.study import Study

NOTHING_ABLATED = "No top heads were ablated beside an unablated baseline."
"""What a figure about ablation says where there is none, as where ties leave every top set empty."""

_LAST = ("Mean", "Union", "Chance", "Random heads", "Guessing", "Limit")
"""How labels begin that come last in a legend, in this order."""


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


def by_category(study: Study, questions: Sequence[str]) -> list[str]:
    """Questions with those of one category side by side, in the order in which categories first come."""
    categories = [study.categories.get(question) for question in questions]
    return sorted(questions, key=lambda question: categories.index(study.categories.get(question)))


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

"""The one visual language of all figures: fonts, colours, markers and sizes."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb

from retrieval_heads.study.study import Study

WIDTH = 7.2
"""Width of a figure in inches: a printed page's text width, so that letters keep their size."""

# Okabe and Ito's colours, which readers with any kind of colour vision tell apart. Methods and questions take them from
# opposite ends, so that a colour of a method is not seen to mean a question.
_OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
# A study may have more methods than these colours: as far from them, and from each other, as dark and muted colours are
# for those who see no red or no green (at least 21 in Lab; Okabe and Ito's own come as close).
_METHODS = [*_OKABE_ITO, "#7B3F00", "#882255", "#1B2A6B", "#C8A165"]
# Of Tol's muted scheme, as safe, so that a model's colour is seen to mean neither a method nor a question.
_TOL_MUTED = ["#332288", "#CC6677", "#999933", "#44AA99", "#882255", "#88CCEE", "#117733"]
# Their number has no divisor in common with that of the colours, so that those begin anew with other markers.
_MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", "d", ">", "h", "*"]
INK, RANDOM, FAINT = "#222222", "#7A7A7A", "#DDDDDD"
HEATMAP = "Blues"
Look = dict[str, Any]
"""How something is drawn: keywords of matplotlib, such as color and marker."""

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
        # A dollar sign in a label is one.
        "text.parse_math": False,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
        # Without a salt of its own every SVG would differ from the one drawn before.
        "svg.hashsalt": "retrieval-heads",
    }
)


def method_style(study: Study, method: str) -> Look:
    """Colour and marker of a method, the same in every figure: by its position in the study."""
    return _style(study.in_config_order("method", [*study.methods, method]).index(method), _METHODS)


def question_style(study: Study, question: str) -> Look:
    """Colour and marker of a question."""
    return _style(
        study.in_config_order("question", [*study.config["questions"], question]).index(question), _OKABE_ITO[::-1]
    )


def model_style(study: Study, model: str) -> Look:
    """Colour and marker of a model."""
    return _style(study.in_config_order("model", [*(study.config.get("models") or {}), model]).index(model), _TOL_MUTED)


def category_style(study: Study, category: str) -> Look:
    """Colour and marker of a category of questions."""
    position = study.in_config_order("category", [*study.categories.values(), category]).index(category)
    return _style(position, _TOL_MUTED[4::-1])


def ordered_style(position: int, count: int) -> Look:
    """Colour and marker of one of several ordered values, such as lengths: from dark to light."""
    return {
        "color": mpl.colormaps["copper"](0.1 + 0.85 * position / max(count - 1, 1)),
        "marker": _style(position, "k")["marker"],
    }


def _style(position: int, colours: Sequence[str]) -> Look:
    return {"color": colours[position % len(colours)], "marker": _MARKERS[position % len(_MARKERS)]}


def tint(colour: str, share: float) -> tuple[float, ...]:
    """A colour mixed with white: 0 leaves it, 1 is white."""
    return tuple(channel + (1 - channel) * share for channel in to_rgb(colour))


def interval_arms(value, low, high) -> np.ndarray:
    """How far intervals reach down and up from their values; not below 0, where rounding puts an end past its value."""
    return np.maximum([np.subtract(value, low), np.subtract(high, value)], 0)


def wrap(label: str, width: int = 11) -> str:
    """A label broken into short lines at spaces and hyphens, and where it is broken already."""
    return "\n".join(fill(line, width, break_long_words=False) for line in label.splitlines())


def wrap_in_two(label: str) -> str:
    """A label of one line, broken into two at most, as short as that allows."""
    return next(text for width in range(11, 12 + len(label)) if (text := wrap(label, width)).count("\n") < 2)

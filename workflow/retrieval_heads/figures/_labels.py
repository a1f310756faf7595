"""Names of any length: as they are where they have room, else the longest for which a figure has."""

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from retrieval_heads.figures._style import wrap
from retrieval_heads.study.dimensions import DIMENSION, OTHERS
from retrieval_heads.study.study import Study

SHORT = 28
"""Up to how many characters every name of a study may have for its figures to be drawn as they are."""

_LENGTHS = (None, 36, 24, 16)
"""How long names may be, one after the other; None leaves them."""

PAGE = 11.0
"""The height of a printed page, less its margins and a caption, in inches."""

_LEAST = 0.7
"""What part of its width and height a panel keeps at least, of those that it has beside the shortest names."""

_TOUCH = 1
"""How many pixels two texts may share, or stand beyond the edge."""

_SMALL, _LINE, _LETTERS = 7, 0.135, 18
"""The key's letters in points, the height of its lines in inches, and how many letters an inch has room for."""


@dataclass(frozen=True)
class _Shortened(Study):
    """A study whose long names are shortened."""

    short: Mapping[str, str] = field(default_factory=dict)
    """Full name → short name."""

    def label(self, dimension: str, value: Any) -> str:
        full = super().label(dimension, value)
        return self.short.get(full, full)


def fitted(draw: Callable[[Study], Figure], study: Study) -> Figure:
    """A figure with the names of a study, of which those that clash are shortened, with a key to them below.

    Texts clash that run into each other or are cut off, that squeeze panels, and that make a figure higher than a page.
    Names of one dimension are shortened together. Where even the shortest clash, the figure has the fewest clashes.

    Parameters
    ----------
    draw : draws the figure of a study.
    """
    names = _names(study)
    # How heads are ablated is told by whole phrases anyway.
    given = {**names, "intervention": map(str, study.configured("intervention"))}
    if all(len(name) <= SHORT for name in chain.from_iterable(given.values())):
        return draw(study)

    def attempt(steps: Mapping[str, int]) -> tuple[Figure, _Seen, dict[str, dict[str, str]]]:
        shown = {one: shortened(found, _LENGTHS[steps[one]]) for one, found in names.items()}
        short = {full: name for of_one in shown.values() for full, name in of_one.items()}
        figure = draw(_Shortened(study.config, study.methods, study.made_with, study.replacements, short))
        _add_key(figure, short)
        return figure, _Seen(figure), shown

    last = len(_LENGTHS) - 1
    figure, least, _ = attempt(dict.fromkeys(names, last))
    best, fewest = figure, least.clashes(least)
    steps = dict.fromkeys(names, 0)
    while any(step < last for step in steps.values()):
        figure, seen, shown = attempt(steps)
        clashes = seen.clashes(least)
        if not clashes:
            return figure
        if clashes <= fewest:
            best, fewest = figure, clashes
        further = [one for one, step in steps.items() if step < last]
        guilty = [one for one in further if _are_in(shown[one].values(), seen.clashing)]
        for one in guilty or further:
            steps[one] += 1
    return best


def shortened(names: Sequence[str], most: int | None) -> dict[str, str]:
    """Names → as many characters of each at most, and no two alike: the beginning of a name.

    Of names that begin alike it is beginning and end, else the end; names that none of these tells apart are numbered.
    """
    names = list(dict.fromkeys(names))
    if most is None:
        return {name: name for name in names}
    half = most // 2
    ways: list[Callable[[str], str]] = [
        lambda name: f"{name[: most - 1].rstrip(' ,.:-(')}…",
        lambda name: f"{name[: most - 1 - half].rstrip()}…{name[-half:].lstrip()}",
        lambda name: f"…{name[1 - most :].lstrip()}",
    ]
    found = dict(zip(names, names, strict=True))
    alike = [name for name in names if len(name) > most]
    for way in ways:
        found |= {name: way(name) for name in alike}
        times = Counter(found.values())
        alike = [name for name in alike if times[found[name]] > 1]
    for number, name in enumerate(alike, start=1):
        found[name] = f"{name[: most - 2 - len(str(number))].rstrip()}… {number}"
    return found


def _names(study: Study) -> dict[str, list[str]]:
    """What the values of each dimension are called, of those whose values are words. No figure has imported lists."""
    every = [*DIMENSION.values(), *(one for one in OTHERS.values() if one.name != "import")]
    words = [one.name for one in every if one.kind == "text"]
    return {name: [study.label(name, value) for value in study.configured(name)] for name in words}


def _add_key(figure: Figure, short: Mapping[str, str]) -> None:
    """Write the full names of those that are shortened below a figure, which grows by as much."""
    drawn = [text.get_text() for text in _drawn(figure)]
    used = [full for full, name in short.items() if name != full and _are_in([name], drawn)]
    if not used:
        return
    key = [wrap(f"{short[full]} = {full}", int(_LETTERS * figure.get_figwidth())) for full in used]
    lines = sum(1 + entry.count("\n") for entry in key)
    figure.set_figheight(figure.get_figheight() + _LINE * lines + 0.15)
    # What stands below all panels is the key's title, for else both would stand in one place.
    none = [Line2D([], [], linestyle="none") for _ in key]
    look = {"fontsize": _SMALL, "handlelength": 0, "handletextpad": 0, "labelspacing": 0.25}
    title = {"title": figure.get_supxlabel() or None, "title_fontsize": rcParams["figure.labelsize"]}
    figure.legend(none, key, loc="outside lower center", **look, **title)
    if figure.get_supxlabel():
        figure.supxlabel("")


def _are_in(names: Collection[str], texts: Collection[str]) -> bool:
    """Whether one of these names stands in one of these texts, however that is broken into lines."""
    joined = ["".join(text.split()) for text in texts]
    return any("".join(name.split()) in text for name in names for text in joined)


class _Seen:
    """What is seen of a figure: its texts with their room, and the size of its panels."""

    def __init__(self, figure: Figure):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            figure.draw_without_rendering()
        self._collapsed = any("collapsed to zero" in str(one.message) for one in said)
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = _drawn(figure)
        boxes = [Text.get_window_extent(text, renderer) for text in texts]
        low, high = (np.array([getattr(box, end) for box in boxes]).reshape(-1, 2) for end in ("min", "max"))
        shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
        over = (shared > _TOUCH).all(axis=2) & ~np.eye(len(texts), dtype=bool)
        out = ((low < -_TOUCH) | (high > figure.bbox.max + _TOUCH)).any(axis=1)
        self.clashing = [texts[i].get_text() for i in np.flatnonzero(over.any(axis=1) | out)]
        """The texts that run into another, or are cut off."""
        self._panels = np.array([ax.get_window_extent().size for ax in figure.axes if ax.has_data()])
        self._height = figure.get_figheight()

    def clashes(self, least: "_Seen") -> int:
        """How many texts clash, and how many panels have lost too much of what they have beside the shortest names."""
        squeezed = len(self._panels) if self._collapsed else 0
        if not self._collapsed and len(self._panels) == len(least._panels) > 0:
            squeezed = (self._panels < _LEAST * least._panels).any(axis=1).sum()
        return len(self.clashing) + int(squeezed) + int(self._height > max(PAGE, least._height))


def _drawn(figure: Figure) -> list[Text]:
    """The texts that a figure shows; not those of ticks beyond the ends of their axes."""
    hidden: set[Text] = set()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high or not (ax.axison and axis.get_visible()):
                    hidden.update((tick.label1, tick.label2))
    texts = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible())
    return [text for text in dict.fromkeys(texts) if text not in hidden and text.get_text().strip()]

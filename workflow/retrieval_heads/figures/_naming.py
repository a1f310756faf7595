"""Names beside marks: each where it hides no other name and no mark, with a thin line to its mark where that is far."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation

from retrieval_heads.figures import _style

HALO = [withStroke(linewidth=1.8, foreground="white")]
"""Letters with a white edge, which stay readable above lines."""

_DISTANCES = (7, 10, 13, 18, 24, 31, 39, 48, 58, 70, 85)
"""How far from its mark a name may begin, in points."""

_DIRECTIONS = [2 * pi * step / 16 for step in (0, 1, 15, 2, 14, 3, 13, 8, 7, 9, 4, 12, 6, 10, 5, 11)]
"""In which directions; those to the right first."""

_LINE_FROM = 12
"""From which distance on a line leads to the mark, in points."""

_SWEEPS = 3
"""How often each name is placed anew among the others; a first one knows nothing of those that come after it."""

_STEPS = np.linspace(0, 1, 12)[:, None]
"""The points of a line that are looked at, as shares of its length."""


def name_marks(ax: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[str], **look) -> list[Annotation]:
    """Write names beside marks of a panel, the first with the first choice of a place.

    The panel's place in the figure must be final: all else is drawn, and the figure laid out.

    Parameters
    ----------
    x, y : of the marks, in data.
    names : what to write beside each.
    look : of the text.
    """
    figure = ax.get_figure(root=True)
    point, renderer = figure.dpi / 72, FigureCanvasAgg(figure).get_renderer()
    drawn = _Drawn(ax, point, renderer)
    found = []
    for place, name in zip(np.column_stack([x, y]), names, strict=True):
        text = ax.annotate(name, place, ha="center", va="center", zorder=6, path_effects=HALO, **look)
        # What hangs on a mark changes nothing of the layout that it is placed in.
        text.set_in_layout(False)
        size = text.get_window_extent(renderer)
        found.append((text, _Places.around(ax.transData.transform(place), np.array([size.width, size.height]), point)))
    above = [drawn.costs(places) for _, places in found]
    chosen: dict[int, int] = {}
    for _ in range(_SWEEPS):
        for i, (_, places) in enumerate(found):
            others = [(found[j][1], at) for j, at in chosen.items() if j != i]
            chosen[i] = int(np.argmin(above[i] + _beside(places, others, point)))
    for i, (text, places) in enumerate(found):
        at = chosen[i]
        text.set_anncoords("offset points")
        text.set_position((places.middle[at] - places.mark) / point)
        if places.distance[at] >= _LINE_FROM:
            _draw_line(ax, text.xy, (places.end[at] - places.mark) / point)
    return [text for text, _ in found]


@dataclass(frozen=True)
class _Places:
    """The places that a name may have, C of them, in pixels.

    Parameters
    ----------
    mark : the mark that it names, (2,).
    distance : how far from it the name begins, in points, (C,).
    middle : of the name, (C, 2).
    half : half of the name's width and height, (2,).
    """

    mark: np.ndarray
    distance: np.ndarray
    middle: np.ndarray
    half: np.ndarray

    @classmethod
    def around(cls, mark: np.ndarray, size: np.ndarray, point: float) -> "_Places":
        distance, angle = map(np.ravel, np.meshgrid(_DISTANCES, _DIRECTIONS, indexing="ij"))
        towards = np.column_stack([np.cos(angle), np.sin(angle)])
        # Beside a mark a name begins where its direction points to; above and below, it is centred.
        aside = np.where(np.abs(towards) < 0.3, 0, np.sign(towards))
        return cls(mark, distance, mark + distance[:, None] * point * towards + aside * size / 2, size / 2)

    @property
    def low(self) -> np.ndarray:
        return self.middle - self.half

    @property
    def high(self) -> np.ndarray:
        return self.middle + self.half

    @property
    def end(self) -> np.ndarray:
        """Where a line from the mark reaches the name, (C, 2)."""
        return np.clip(self.mark, self.low, self.high)

    @property
    def line(self) -> np.ndarray:
        """Points of it, (C, steps, 2)."""
        return self.mark + _STEPS * (self.end - self.mark)[:, None]


class _Drawn:
    """What is drawn in a panel already, and what it costs to write or to draw a line above it."""

    def __init__(self, ax: Axes, point: float, renderer: RendererAgg):
        self._point, inside = point, ax.get_window_extent()
        self._edge = inside.min, inside.max
        written = [text.get_window_extent(renderer).padded(2 * point) for text in ax.texts]
        self._written = np.array([[box.min, box.max] for box in written]).reshape(-1, 2, 2)
        marks, bars = [], []
        for line in ax.lines:
            marks += list(line.get_xydata()) if line.get_marker() != "None" else []
        for collection in ax.collections:
            if isinstance(collection, PathCollection):
                marks += list(np.asarray(collection.get_offsets()))
            elif isinstance(collection, LineCollection):
                bars += [ends[0] + _STEPS * (ends[1] - ends[0]) for ends in collection.get_segments()]
        self._marks, self._bars = (ax.transData.transform(np.reshape(ink, (-1, 2))) for ink in (marks, bars))

    def costs(self, places: _Places) -> np.ndarray:
        """What speaks against each place: other texts most, then the panel's edge, then hidden and crossed marks."""
        low, high = places.low - self._point, places.high + self._point
        outside = ((places.low < self._edge[0]) | (places.high > self._edge[1])).any(axis=1)
        over = 3 * _inside(self._marks, low, high).sum(axis=1) + _inside(self._bars, low, high).sum(axis=1)
        costs = 300 * outside + over + places.distance / 10 + _hidden(places, self._written, self._point)
        far = np.flatnonzero(places.distance >= _LINE_FROM)
        # Not the line's beginning, which is at its own mark.
        lines = places.line[far, 3:]
        for ink, near, weight in ((self._marks, 3, 4), (self._bars, 2, 0.5)):
            if len(ink):
                passed = np.linalg.norm(lines[:, :, None] - ink, axis=3).min(axis=1) < near * self._point
                costs[far] += weight * passed.sum(axis=1)
        return costs


def _beside(places: _Places, others: Sequence[tuple[_Places, int]], point: float) -> np.ndarray:
    """What speaks against each place because of other names, and of their lines, in the places that they have now."""
    if not others:
        return np.zeros(len(places.distance))
    taken = np.array([[one.low[at], one.high[at]] for one, at in others])
    costs = _hidden(places, taken, point)
    for one, at in others:
        costs += 4 * _inside(one.line[at], places.low - point, places.high + point).any(axis=1)
        costs += 4 * _crossing(places.mark, places.end, one.mark, one.end[at])
    return costs


def _hidden(places: _Places, taken: np.ndarray, point: float) -> np.ndarray:
    """The cost of writing over texts, shape (texts, 2, 2), and of a line through them."""
    low, high = places.low - point, places.high + point
    costs = 1000.0 * ((low[:, None] < taken[:, 1]) & (high[:, None] > taken[:, 0])).all(axis=2).sum(axis=1)
    far = np.flatnonzero(places.distance >= _LINE_FROM)
    lines = places.line[far][:, None]
    through = np.all((lines > taken[:, None, 0]) & (lines < taken[:, None, 1]), axis=3)
    costs[far] += 4 * np.any(through, axis=2).sum(axis=1)
    return costs


def _inside(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether points lie in spaces, (spaces, points)."""
    return np.all((points > low[:, None]) & (points < high[:, None]), axis=2)


def _crossing(start: np.ndarray, ends: np.ndarray, other_start: np.ndarray, other_end: np.ndarray) -> np.ndarray:
    """Whether lines from one start cross another line, (ends,)."""

    def side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (c[..., 0] - a[..., 0])

    apart = side(start, ends, other_start) * side(start, ends, other_end) < 0
    return apart & (side(other_start, other_end, start) * side(other_start, other_end, ends) < 0)


def _draw_line(ax: Axes, place: np.ndarray, end: np.ndarray) -> None:
    look = {"arrowstyle": "-", "color": _style.RANDOM, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
    line = ax.annotate("", place, end, textcoords="offset points", arrowprops=look, zorder=2.5)
    line.set_in_layout(False)

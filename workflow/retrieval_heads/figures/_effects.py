"""What the figures of single heads' effects share: the models and lengths, the modes, and the scale of effects."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from retrieval_heads.analysis.shown_heads import mean_ranks
from retrieval_heads.figures import _style
from retrieval_heads.study.study import Study

NOTHING_MEASURED = "No prompt of the yardstick could be asked, so that nothing is known of single heads."
CARRYING, NEEDED = "Carrying", "Needed"
"""What effects say of a head: of how much of this answer it is the carrier, and how much it is needed for anything."""


class Cell(NamedTuple):
    """A model at a context length."""

    title: str
    model: str
    context_length: int
    modes: dict[str, str]
    """What is known of its heads, and by which mode: what they carry if there is one, and what they are needed for."""

    questions: frozenset[str]
    """What was asked to know it."""

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of a table that are about this cell."""
        return frame[(frame["model"] == self.model) & (frame["context_length"] == self.context_length)]

    def effects(self, summary: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """What is known of its heads, each as rows of the head_effect_summary table, layer by layer."""
        here = self.of(summary).sort_values(["layer", "head"])
        return {what: here[here["mode"] == mode].reset_index(drop=True) for what, mode in self.modes.items()}

    def ranks(self, rankings: pd.DataFrame, study: Study) -> dict[str, pd.DataFrame]:
        """Method → the mean rank of every head over these questions."""
        asked = self.of(rankings)
        asked = asked[asked["question"].isin(self.questions)]
        methods = study.in_config_order("method", asked["method"])
        return {method: mean_ranks(asked[asked["method"] == method]) for method in methods}

    def quality(self, quality: pd.DataFrame, measure: str, k: int | None = None) -> dict[str, pd.DataFrame]:
        """What is known of its heads → rows of the ranking_quality table of a measure, over all questions.

        Parameters
        ----------
        k : the level, of a measure that has levels.
        """
        here = self.of(quality)
        chosen = (here["measure"] == measure) & here["question"].isna() & (k is None or here["k"] == k)
        here = here[chosen.fillna(False).astype(bool)].dropna(subset="value")
        return {what: here[here["mode"] == mode].set_index("ranking") for what, mode in self.modes.items()}


def stacked(heights: Sequence[float]) -> tuple[Figure, list[SubFigure]]:
    """A figure with a part of its own for each of several heights, in inches, one below the other."""
    figure = Figure(figsize=(_style.WIDTH, sum(heights)), layout="constrained")
    return figure, list(np.ravel(figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)))


def cells(tables: Mapping[str, pd.DataFrame], study: Study) -> list[Cell]:
    """Each model at each context length of the yardstick.

    Parameters
    ----------
    tables : with head_effect_summary, needed_or_carrying and ranking_quality.
    """
    found = []
    summary, both, quality = (tables[name] for name in ("head_effect_summary", "needed_or_carrying", "ranking_quality"))
    for model in study.in_config_order("model", summary["model"]):
        of_model = summary[summary["model"] == model]
        for length in study.in_config_order("context_length", of_model["context_length"]):
            title = f"{study.label('model', model)}, {study.label('context_length', length)}"
            cell = Cell(title, model, int(length), {}, frozenset())
            if len(paired := cell.of(both)):
                modes = {CARRYING: paired["carrying_mode"].iloc[0], NEEDED: paired["needed_mode"].iloc[0]}
            else:
                first = cell.of(summary).iloc[0]
                modes = {NEEDED if pd.isna(first["logodds_effect"]) else CARRYING: first["mode"]}
            judged = cell.of(quality)
            asked = judged.loc[judged["mode"].isin(modes.values()) & judged["intervention"].isna(), "question"].dropna()
            found.append(cell._replace(modes=modes, questions=frozenset(asked)))
    return found


def replaced(study: Study, mode: str) -> str:
    """What replaces a head's output, as it is written."""
    return study.replacements.get(mode, {}).get("label", mode)


def linear_up_to(effects: Iterable[float]) -> float:
    """Up to which size a scale of effects is linear: 1 or 3 times a power of ten, at most a tenth of the largest."""
    largest = max(map(abs, effects), default=0) or 1.0
    return max(size for size in _sizes(largest) if size <= largest / 10)


def _sizes(largest: float) -> list[float]:
    top = int(np.floor(np.log10(largest)))
    return [digit * 10.0**power for power in range(top - 3, top + 1) for digit in (1, 3)]


def effect_axis(axis: Axis, linear: float, low: float, high: float) -> None:
    """Gives an axis the scale of effects: linear near 0, where most heads are, and logarithmic beyond."""
    getattr(axis.axes, f"set_{axis.axis_name}scale")("asinh", linear_width=linear)
    getattr(axis.axes, f"set_{axis.axis_name}lim")(low, high)
    sizes = [size for size in _sizes(max(abs(low), abs(high))) if size >= linear]
    ticks = [0, *sizes, *(-size for size in sizes)]
    axis.set_major_locator(FixedLocator(sorted(tick for tick in ticks if low <= tick <= high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def room(values: Iterable[float], linear: float, below: float = 0.06, above: float = 0.06) -> tuple[float, float]:
    """Limits of an axis of effects, around 0 and all values that are known, with a share of their span beside them."""
    known = [value for value in values if np.isfinite(value)]
    low, high = np.arcsinh(np.array([min([0, *known]), max([0, *known])]) / linear)
    span = max(high - low, 1)
    return float(np.sinh(low - below * span) * linear), float(np.sinh(high + above * span) * linear)


def number(value: float) -> str:
    """An effect on a scale."""
    return f"{value:g}".replace("-", "−")

"""What ablation is held against in figures: random heads, and guessing without the document."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from retrieval_heads.analysis.envelopes import envelope
from retrieval_heads.figures._style import INK, RANDOM, tint
from retrieval_heads.study.matchings import MATCHINGS

GUESSING = "Guessing, without the document"
RANDOM_HEADS = {name: f"Random heads {matching.label}" for name, matching in MATCHINGS.items()}
"""What random heads are called in a legend, by how they were matched."""


def one_control(rows: pd.DataFrame) -> pd.DataFrame:
    """The random control to show where there is room for one: the first of the matchings that there is."""
    return rows[rows["matching"] == next((name for name in MATCHINGS if (rows["matching"] == name).any()), "")]


def accuracy_band(ax: Axes, rows: pd.DataFrame) -> None:
    """The band of accuracies with random heads ablated, for rows of one matching.

    Where rows hold the controls of several methods, the band reaches over all their intervals, and the line is their
    mean.
    """
    if not rows.empty:
        band = envelope(rows, "k", "accuracy")
        random_band(ax, band.index.astype(float), band["low"], band["mean"], band["high"], rows["matching"].iloc[0])


def random_band(ax: Axes, x: Sequence[float], low, mean, high, matching: str) -> None:
    """The look of random heads: an interval in grey, or hatched unless they match by layer, and the mean as a line."""
    of_layer = matching == "layer"
    hatch, line = {"layer": (None, "-"), "group": ("\\\\\\\\", "-."), "none": ("////", "--")}[matching]
    ax.fill_between(
        x,
        low,
        high,
        facecolor=tint(RANDOM, 0.72) if of_layer else "none",
        edgecolor=tint(RANDOM, 0.62),
        hatch=hatch,
        linewidth=0,
        zorder=1,
        label=RANDOM_HEADS[matching],
    )
    ax.plot(
        x,
        mean,
        line,
        color=RANDOM if of_layer else tint(RANDOM, 0.35),
        linewidth=1,
        label=RANDOM_HEADS[matching],
        zorder=1.5,
    )


def guess_line(ax: Axes, rows: pd.DataFrame) -> None:
    """The accuracy that guessing gives, for rows of effects about the same prompts; nothing where it is not known."""
    if rows["guess"].notna().any():
        ax.axhline(rows["guess"].mean(), color=INK, linestyle=":", linewidth=0.9, zorder=1.6, label=GUESSING)

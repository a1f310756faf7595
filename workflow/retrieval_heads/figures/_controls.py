"""What ablation is held against in figures: random heads, and guessing without the document."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from retrieval_heads.analysis.envelopes import envelope
from retrieval_heads.figures._style import INK, RANDOM, tint

GUESSING = "Guessing, without the document"
RANDOM_HEADS = {"layer": "Random heads matched by layer", "none": "Random heads of any layer"}
"""What random heads are called in a legend, by how they were matched."""


def one_control(rows: pd.DataFrame) -> pd.DataFrame:
    """The random control to show where there is room for one: matched by layer if there is such."""
    return rows[rows["matching"] == ("layer" if (rows["matching"] == "layer").any() else "none")]


def accuracy_band(ax: Axes, rows: pd.DataFrame) -> None:
    """The band of accuracies with random heads ablated, for rows of one matching.

    Where rows hold the controls of several methods, the band reaches over all their intervals, and the line is their
    mean.
    """
    if not rows.empty:
        band = envelope(rows, "k", "accuracy")
        random_band(ax, band.index.astype(float), band["low"], band["mean"], band["high"], rows["matching"].iloc[0])


def random_band(ax: Axes, x: Sequence[float], low, mean, high, matching: str) -> None:
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
        label=RANDOM_HEADS[matching],
    )
    ax.plot(
        x,
        mean,
        "-" if of_layer else "--",
        color=RANDOM if of_layer else tint(RANDOM, 0.35),
        linewidth=1,
        label=RANDOM_HEADS[matching],
        zorder=1.5,
    )


def guess_line(ax: Axes, rows: pd.DataFrame) -> None:
    """The accuracy that guessing gives, for rows of effects about the same prompts; nothing where it is not known."""
    if rows["guess"].notna().any():
        ax.axhline(rows["guess"].mean(), color=INK, linestyle=":", linewidth=0.9, zorder=1.6, label=GUESSING)

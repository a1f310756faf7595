"""In which layers of a model the top heads lie."""

import numpy as np
import pandas as pd

from retrieval_heads.analysis.ties import told_apart


def layer_shares(top: pd.DataFrame, layers: int) -> np.ndarray:
    """The share of a configuration's top heads that each layer holds, shape (configurations that have some, layers).

    Parameters
    ----------
    top : rows of the rankings table that belong to top sets, of one model and method.
    """
    counts = top.groupby(["question", "context_length", "layer"]).size().unstack("layer", fill_value=0)
    counts = counts.reindex(columns=range(layers), fill_value=0).to_numpy(float)
    return counts / counts.sum(axis=1, keepdims=True)


def leading_layers(layers: pd.Series, number: int) -> pd.Series:
    """The layers that hold most of some heads, and the share of the heads that lies in each, the largest first.

    At most so many, and none that holds as many heads as one that is left out.
    """
    shares = layers.value_counts(normalize=True).sort_index().to_frame("share")
    return told_apart(shares, ["share"], [False], number)["share"]


def middle_half(layers: pd.Series) -> tuple[int, int]:
    """The layers between which the middle half of some heads lies."""
    low, high = (int(layers.quantile(quantile)) for quantile in (0.25, 0.75))
    return low, high


def top_set_shares(rows: pd.DataFrame, layers: int, per_layer: int) -> np.ndarray:
    """Share of all methods' configurations whose top set holds a head, shape (layers, heads per layer).

    Parameters
    ----------
    rows : profiles of one grid and one value of a dimension, of all methods.
    """
    times = np.zeros((layers, per_layer))
    np.add.at(times, (rows["layer"], rows["head"]), rows["top_share"] * rows["configurations"])
    return times / rows.drop_duplicates("method")["configurations"].sum()


def share_in_layers(share: np.ndarray) -> np.ndarray:
    """The share of the top heads that lies in each layer, shape (layers,), from :func:`top_set_shares`."""
    return share.sum(axis=1) / share.sum()

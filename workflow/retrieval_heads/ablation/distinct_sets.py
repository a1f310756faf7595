"""Head sets that are the same are ablated once, and those that begin alike are run side by side."""

from collections.abc import Iterable

import pandas as pd
from torch import Tensor


def number_distinct(sets: pd.DataFrame, by: Iterable[str] = ()) -> pd.Series:
    """The number of each row's set among the distinct ones, from 0 in order of appearance.

    Two rows have the same set if their ``heads`` are the same in any order, and their columns ``by`` too.
    """
    keys = [sets[name] for name in by] + [sets["heads"].map(sorted).map(tuple)]
    return sets.groupby(keys, sort=False).ngroup()


def in_sharing_order(head_mask: Tensor) -> list[int]:
    """The order in which sets that agree in their first layers are neighbours, so that a batch shares those layers.

    Parameters
    ----------
    head_mask : (N, L, H), of N sets.
    """
    return sorted(range(len(head_mask)), key=lambda number: head_mask[number].flatten().tolist())

"""Head sets as a model takes them: factors of the heads' outputs."""

from collections.abc import Iterable

import pandas as pd
import torch
from torch import Tensor

from retrieval_heads.tables.heads import parse_head


def head_masks(grid: tuple[int, int], sets: Iterable[Iterable[str]]) -> Tensor:
    """Factors (N, L, H) of the heads' outputs for N sets of heads to ablate: 0 for the heads in the set, else 1.

    Parameters
    ----------
    grid : the model's number of layers, and of heads in each.
    sets : names of heads, such as L3H7.
    """
    sets = list(sets)
    masks = torch.ones(len(sets), *grid)
    for mask, names in zip(masks, sets, strict=True):
        for name in names:
            mask[parse_head(name)] = 0
    return masks


def in_sharing_order(masks: Tensor) -> list[int]:
    """The order in which sets that agree in their first layers are neighbours, so that a batch shares those layers."""
    return sorted(range(len(masks)), key=lambda number: masks[number].flatten().tolist())


def number_distinct(sets: pd.DataFrame, by: Iterable[str] = ()) -> pd.Series:
    """The number of each row's set among the distinct ones, from 0 in order of appearance.

    Two rows have the same set if their ``heads`` are the same in any order, and their columns ``by`` too.
    """
    keys = [sets[name] for name in by] + [sets["heads"].map(sorted).map(tuple)]
    return sets.groupby(keys, sort=False).ngroup()

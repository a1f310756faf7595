"""Rows by the grid of heads of their models: between other grids, other overlaps are due to chance."""

import pandas as pd

from retrieval_heads.tables import heads


def by_grid(rows: pd.DataFrame) -> list[tuple[str, dict[str, int], pd.DataFrame]]:
    """Rows of each grid, with what a sentence and what ``Claim.of`` add to say which models they are about; with one
    grid, nothing."""
    grids = list(heads.by_grid(rows))
    if len(grids) == 1:
        return [("", {}, of_grid) for _, of_grid in grids]
    return [(f" in models of {grid} heads", grid._asdict(), of_grid) for grid, of_grid in grids]

"""Rows by the grid of heads of their models: between other grids, other overlaps are due to chance."""

import pandas as pd

from retrieval_heads.tables import heads


def by_grid(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Rows of each grid, with what a sentence adds to say which models they are about; with one grid, nothing."""
    grids = list(heads.by_grid(rows))
    return [(f" in models of {grid} heads" if len(grids) > 1 else "", of_grid) for grid, of_grid in grids]

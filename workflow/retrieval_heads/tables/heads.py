"""Heads, and the grids that they form, in tables and in text."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from retrieval_heads.study.heads import Head, head_name, parse_head

__all__ = ["GRID", "Grid", "Head", "by_grid", "head_name", "of_grid", "parse_head"]


class Grid(NamedTuple):
    """The layers of a model, and the heads in each. Heads of two models can be matched where their grids are equal."""

    layers: int
    heads: int

    @classmethod
    def of(cls, row: Mapping) -> "Grid":
        """The grid that a row of a table is about."""
        return cls(int(row["layers"]), int(row["heads"]))

    @property
    def total(self) -> int:
        """How many heads a model has."""
        return self.layers * self.heads

    def __str__(self) -> str:
        """As it is written for people: ``32 × 32``."""
        return f"{self.layers} × {self.heads}"


GRID = Grid._fields
"""The columns of a table that tell one grid from another."""


def by_grid(frame: pd.DataFrame) -> Iterator[tuple[Grid, pd.DataFrame]]:
    """The rows of each grid, of a table with the columns ``layers`` and ``heads``; the one with fewer layers first."""
    for grid, rows in frame.groupby(list(GRID), sort=True):
        yield Grid(*map(int, grid)), rows


def of_grid(frame: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """The rows of one grid."""
    return frame[(frame["layers"] == grid.layers) & (frame["heads"] == grid.heads)]

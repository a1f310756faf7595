"""Reading the tables that figures and report are made from, by their files' names."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from retrieval_heads import effects, tables

_TABLES = {
    table.name: table
    for table in (
        tables.RANKINGS,
        tables.ABLATION_SUMMARY,
        tables.OVERLAP,
        tables.DATASET_COUNTS,
        effects.EFFECTS,
        effects.AGAINST_RANDOM,
    )
}


def read_tables(paths: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Name → table, for files named after their tables."""
    return {Path(path).stem: tables.read(path, _TABLES[Path(path).stem]) for path in paths}

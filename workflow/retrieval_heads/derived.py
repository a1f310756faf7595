"""Reading the tables that figures and report are made from, by their files' names, and choosing rows of them."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from retrieval_heads import tables

_TABLES = {
    table.name: table
    for table in (
        tables.RANKINGS,
        tables.ABLATION,
        tables.ABLATION_SUMMARY,
        tables.OVERLAP,
        tables.UNIONS,
        tables.PROFILES,
        tables.RELIABILITY,
        tables.EFFECTS,
        tables.AGAINST_RANDOM,
        tables.STEPS,
        tables.MEAN_DROPS,
        tables.TESTS,
        tables.DATASET_COUNTS,
    )
}


def read_tables(paths: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Name → table, for files named after their tables."""
    return {Path(path).stem: tables.read(path, _TABLES[Path(path).stem]) for path in paths}


def at(frame: pd.DataFrame, *, pooled: Iterable[str] = (), **values: object) -> pd.DataFrame:
    """Rows of effects, against_random or steps with these values, pooled over exactly these of question and length."""
    chosen = pd.Series(True, index=frame.index)
    pooled = tuple(pooled)
    for name in ("question", "context_length"):
        chosen &= frame[name].isna() == (name in pooled)
    for name, value in values.items():
        chosen &= frame[name] == value
    return frame[chosen.astype(bool)]

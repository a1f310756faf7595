"""Comparing the rows of tables by their keys."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from retrieval_heads import tables
from retrieval_heads.verification.check import Problem, problem
from retrieval_heads.verification.made import Made

NONE = "\0"
"""In place of an empty value, so that keys with empty values compare as equal."""


def keys(frame: pd.DataFrame, columns: Iterable[str]) -> pd.Index:
    """The values of some columns in each row, to compare as sets."""
    chosen = frame[list(columns)].astype(object)
    return pd.MultiIndex.from_frame(chosen.where(chosen.notna(), NONE))


def told(values: pd.Index) -> str:
    """One of some keys, for a message."""
    first = values[0]
    return ", ".join(str(value) for value in (first if isinstance(first, tuple) else (first,)) if value != NONE)


def same(here: pd.Index, there: pd.Index, missing: str, more: str) -> Iterator[str]:
    """In what two sets of keys differ, in words."""
    if len(lacks := there.difference(here)):
        yield f"{missing} {told(lacks)} ({len(lacks)} in all)"
    elif len(others := here.difference(there)):
        yield f"{more} {told(others)} ({len(others)} in all)"


def differs(made: Made, name: str, wanted: pd.DataFrame, wrong: str) -> Iterator[Problem]:
    """A problem if a table does not hold these rows, in whatever order."""
    form = tables.by_name(name)
    here, there = (
        form.typed(frame[form.columns].reset_index(drop=True)).set_index(keys(frame, form.key)).sort_index()
        for frame in (made.table(name), wanted)
    )
    numbers = [column for column, type_ in form.fields if pa.types.is_floating(type_)]
    equal = here.index.equals(there.index) and all(
        np.allclose(here[column].astype(float), there[column].astype(float), rtol=1e-9, atol=1e-12, equal_nan=True)
        if column in numbers
        else here[column]
        .astype(object)
        .where(here[column].notna(), NONE)
        .astype(str)
        .equals(there[column].astype(object).where(there[column].notna(), NONE).astype(str))
        for column in form.columns
    )
    if not equal:
        yield problem(made, made.file_of(name), wrong)

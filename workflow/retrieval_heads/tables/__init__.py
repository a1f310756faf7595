"""The tables that pass from stage to stage: one schema each, checked on every write and every read.

A table is a pandas DataFrame in memory and a Parquet file on disk. Names and types are a public interface, described
for readers in ``docs/tables.md``. Layers and heads count from 0.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from retrieval_heads import plugins
from retrieval_heads.atomic_write import whole_file
from retrieval_heads.errors import StudyError


@dataclass(frozen=True)
class Table:
    """A table's columns, which of them may be null, and which together identify a row."""

    name: str
    fields: tuple[tuple[str, pa.DataType], ...]
    key: tuple[str, ...]
    nullable: frozenset[str] = frozenset()

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return [name for name, _ in self.fields]

    @property
    def integers(self) -> list[str]:
        """Names of the columns that hold whole numbers."""
        return [name for name, type_ in self.fields if pa.types.is_integer(type_)]

    def schema(self, strict: bool = True) -> pa.Schema:
        """The Arrow schema; where it is not strict, every column may be null."""
        return pa.schema([pa.field(name, type_, not strict or name in self.nullable) for name, type_ in self.fields])

    def typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns of this table in which whole numbers stay whole; pandas makes floats of them beside empty values."""
        return frame.astype(dict.fromkeys(self.nullable.intersection(self.integers, frame.columns), "Int32"))

    def empty(self) -> pd.DataFrame:
        """This table without rows."""
        return self.typed(self.schema().empty_table().to_pandas())


MadeWith = Mapping[str, Mapping[str, str]]
"""For each model that a table rests on, the ``dtype`` and the ``device`` that it ran with."""

_MADE_WITH = b"retrieval_heads.made_with"
"""Where the metadata of a Parquet file tell that, as JSON."""


def write(frame: pd.DataFrame, path: str | Path, table: Table, made_with: MadeWith | None = None) -> None:
    """Write a table whole or not at all.

    Parameters
    ----------
    made_with : how the models were run that the table rests on; read again by :func:`made_with`.

    Raises
    ------
    StudyError
        when columns are missing or of another type, a value is null or not finite where it must not be, or two rows
        share a key.
    """
    path = Path(path)
    missing = [name for name in table.columns if name not in frame.columns]
    if missing:
        raise StudyError(f"{path}: the {table.name} table lacks the columns {', '.join(missing)}.")
    try:
        data = pa.Table.from_pandas(frame[table.columns], schema=table.schema(strict=False), preserve_index=False)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise StudyError(f"{path}: the {table.name} table does not fit its schema: {error}.") from error
    _check(data, path, table)
    # With what tells pandas which types its columns have, for those who read the file by pandas alone.
    metadata = dict(pa.Schema.from_pandas(table.empty(), preserve_index=False).metadata)
    if made_with:
        metadata[_MADE_WITH] = json.dumps(made_with, sort_keys=True).encode()
    with whole_file(path) as file:
        pq.write_table(data.cast(table.schema()).replace_schema_metadata(metadata), file, compression="zstd")


def read(path: str | Path, table: Table) -> pd.DataFrame:
    """Read a table and check it against its schema.

    Raises
    ------
    StudyError
        when the file is missing, is no Parquet file, or does not hold this table.
    """
    path, columns = Path(path), {}
    with _opened(path) as file:
        missing = [name for name in table.columns if name not in file.schema_arrow.names]
        # One column at a time, and of its texts each once, for tables of scores have millions of rows.
        for name in () if missing else table.columns:
            columns[name] = _compact(file.read(columns=[name])[name])
    if missing:
        raise StudyError(f"{path}: the {table.name} table lacks the columns {', '.join(missing)}.")
    try:
        for name, type_ in table.fields:
            if columns[name].type != _encoded(type_):
                columns[name] = columns[name].cast(type_)
    except (pa.ArrowException, ValueError) as error:
        raise StudyError(f"{path}: the {table.name} table does not fit its schema: {error}.") from error
    data = pa.table(columns)
    _check(data, path, table)
    frame = data.to_pandas(self_destruct=True)
    for name in frame.columns[frame.dtypes == "category"]:
        frame[name] = frame[name].astype(object)
    return table.typed(frame)


def read_all(paths: Iterable[str | Path], table: Table) -> pd.DataFrame:
    """Read the parts of a table, one file for each, and put them one below the other.

    Raises
    ------
    StudyError
        also when a model ran in different dtypes for them (:func:`made_with`).
    """
    paths = list(paths)
    made_with(paths)
    frames = [read(path, table) for path in paths]
    return pd.concat(frames, ignore_index=True) if frames else table.empty()


def made_with(paths: Iterable[str | Path], here: MadeWith | None = None) -> dict[str, dict[str, str]]:
    """How models were run for some tables that are used together; tables of no model tell nothing.

    Parameters
    ----------
    here : how they run in the job that uses the tables.

    Returns
    -------
    For each model its ``dtype``, and its ``device``: several with a comma where shards ran on different ones.

    Raises
    ------
    StudyError
        when one model ran in different dtypes: what is told of it would depend on which part was made where.
    """
    told: list[tuple[str, MadeWith]] = [("this job", here or {})]
    for path in map(Path, paths):
        with _opened(path) as file:
            told.append((str(path), json.loads((file.schema_arrow.metadata or {}).get(_MADE_WITH, b"{}"))))
    dtypes: dict[str, tuple[str, str]] = {}
    devices: dict[str, set[str]] = {}
    for name, models in told:
        for model, run in models.items():
            dtype, first = dtypes.setdefault(model, (run["dtype"], name))
            if run["dtype"] != dtype:
                raise StudyError(
                    f"{first} and {name}: {model} ran in {dtype} for the one and in {run['dtype']} for the other, so "
                    f"they do not go together; write models.{model}.dtype: {dtype} in the config, and run again."
                )
            devices.setdefault(model, set()).update(run["device"].split(", "))
    return {model: {"dtype": dtypes[model][0], "device": ", ".join(sorted(devices[model]))} for model in sorted(dtypes)}


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    if not path.is_file():
        raise StudyError(f"{path}: no such file; run the rule that makes it.")
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        raise StudyError(f"{path}: not a readable Parquet file; delete it and run again.") from error


def _compact(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # Not where texts are lacking: pandas would take these for numbers that are none.
    return column.dictionary_encode() if pa.types.is_string(column.type) and not column.null_count else column


def _encoded(type_: pa.DataType) -> pa.DataType:
    return pa.dictionary(pa.int32(), type_)


def _check(data: pa.Table, path: Path, table: Table) -> None:
    for name, type_ in table.fields:
        column = data[name]
        if name not in table.nullable and column.null_count:
            raise StudyError(f"{path}: column {name} of the {table.name} table has {column.null_count} empty values.")
        if pa.types.is_floating(type_) and pa.compute.all(pa.compute.is_finite(column)).as_py() is False:
            raise StudyError(f"{path}: column {name} of the {table.name} table has values that are not finite.")
    keys = table.typed(data.select(list(table.key)).to_pandas())
    if (twice := keys.duplicated()).any():
        row = ", ".join(f"{name} = {value}" for name, value in keys[twice].iloc[0].items())
        raise StudyError(f"{path}: the {table.name} table has two rows for {row}.")


def read_tables(paths: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Name → table, for files named after their tables, of which none may be made in another dtype than others."""
    paths = list(paths)
    made_with(paths)
    return {Path(path).stem: read(path, by_name(Path(path).stem)) for path in paths}


def by_name(name: str) -> Table:
    """The table of a name, from the file of that name in this folder.

    What reads tables by name depends on their files, though it does not import them: a rule adds them to its code.
    """
    return getattr(plugins.module("tables", name), name.upper())


def every() -> dict[str, Table]:
    """Name → table of all there are, but for that of documents, whose columns are those of a study's questions."""
    modules = ((name, plugins.module("tables", name)) for name in plugins.names("tables"))
    return {name: table for name, module in modules if isinstance(table := vars(module).get(name.upper()), Table)}

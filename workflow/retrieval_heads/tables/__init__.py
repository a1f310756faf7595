"""The tables that pass from stage to stage: one schema each, checked on every write and every read.

A table is a pandas DataFrame in memory and a Parquet file on disk. Names and types are a public interface, described
for readers in ``docs/tables.md``. Layers and heads count from 0.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrieval_heads import making, plugins
from retrieval_heads.atomic_write import atomic_file
from retrieval_heads.errors import StudyError, disk_trouble, is_out_of_memory


@dataclass(frozen=True)
class Table:
    """What is known of a table.

    Parameters
    ----------
    name : its own.
    fields : names and types of the columns, in order.
    key : the columns that together identify a row.
    nullable : the columns that may be null.
    lengths : for columns of lists that all have a length of their own, the columns whose product it is.
    """

    name: str
    fields: tuple[tuple[str, pa.DataType], ...]
    key: tuple[str, ...]
    nullable: frozenset[str] = frozenset()
    lengths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

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


_MADE_WITH = b"retrieval_heads.made_with"
"""The key under which a Parquet file's metadata tell what it was made with, as JSON."""

_ALIKE = {
    "content": "delete {older} and run again",
    "commit": "delete {older} and run again",
    "dtype": "write models.{model}.dtype: {value} in the config, and run again",
    "quantization": "delete {older} and run again",
}
"""What must be the same of a model for all tables that are used together, and what to do where it is not."""

_ROW_GROUP_BYTES = 2**21
"""What a row group takes in memory, about: small beside a job's memory, large beside the cost of reading one."""


def write(frame: pd.DataFrame, path: str | Path, table: Table, told: Mapping[str, Any] | None = None) -> None:
    """Write a table whole or not at all.

    Parameters
    ----------
    told : what it was made with, read again by :func:`made_with`; where not given, what :func:`made_with_here` gives.

    Raises
    ------
    StudyError
        when columns are missing or of another type, a value is null or not finite where it must not be, a list has
        another length than it should, or two rows share a key.
    """
    path = Path(path)
    missing = [name for name in table.columns if name not in frame.columns]
    if missing:
        raise StudyError(f"{path}: the {table.name} table lacks the columns {', '.join(missing)}.")
    try:
        data = pa.Table.from_pandas(frame[table.columns], schema=table.schema(strict=False), preserve_index=False)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise StudyError(f"{path}: the {table.name} table does not fit its schema: {error}.") from error
    _check_values(data, path, table)
    _check_keys(data, path, table)
    # With what tells pandas which types its columns have, for those who read the file by pandas alone.
    metadata = dict(pa.Schema.from_pandas(table.empty(), preserve_index=False).metadata)
    if told := made_with_here() if told is None else told:
        metadata[_MADE_WITH] = json.dumps(told, sort_keys=True).encode()
    data = data.cast(table.schema()).replace_schema_metadata(metadata)
    rows = math.ceil(len(data) * min(1, _ROW_GROUP_BYTES / max(1, data.nbytes)))
    with atomic_file(path) as file:
        # Compression alone makes smaller files than dictionaries and compression, of lists of numbers by a third.
        pq.write_table(data, file, compression="zstd", use_dictionary=False, row_group_size=max(1, rows))


def read(path: str | Path, table: Table, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Read a table, or some columns of it, and check it against its schema.

    Raises
    ------
    StudyError
        when the file is missing, is no Parquet file, or does not hold this table.
    """
    path = Path(path)
    wanted = table.columns if columns is None else list(columns)
    with _opened(path, table) as file:
        data = _cast(file.read(columns=list({*wanted, *table.key})), path, table)
    _check_keys(data, path, table)
    return table.typed(data.select(wanted).to_pandas())


def read_parts(paths: Iterable[str | Path], table: Table) -> pd.DataFrame:
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


@dataclass(frozen=True)
class Stream:
    """The rows of a table's parts in order, of which one row group at a time is in memory.

    Each time that it is gone through, it gives one DataFrame for each row group of each file, and checks what
    :func:`read_parts` checks. The columns of a file's key alone are read whole, before its rows.

    Parameters
    ----------
    paths : the files of the parts.
    table : which they hold.
    """

    paths: Sequence[str | Path]
    table: Table

    def __iter__(self) -> Iterator[pd.DataFrame]:
        made_with(self.paths)
        for path in map(Path, self.paths):
            with _opened(path, self.table) as file:
                keys = file.read(columns=list(self.table.key))
                _check_keys(_cast(keys, path, self.table), path, self.table)
                del keys
                for number in range(file.num_row_groups):
                    group = file.read_row_group(number, columns=self.table.columns)
                    yield self.table.typed(_cast(group, path, self.table).to_pandas())


def streams_by_folder(paths: Iterable[str | Path], table: Table) -> list[Stream]:
    """The parts of a table, those that share a folder together: of scores, those of one model, variant and length."""
    folders: dict[Path, list[str | Path]] = {}
    for path in paths:
        folders.setdefault(Path(path).parent, []).append(path)
    return [Stream(parts, table) for parts in folders.values()]


def read_tables(paths: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Name → table, for files named after their tables, of which none may be made in another dtype than others."""
    paths = list(paths)
    made_with(paths)
    return {Path(path).stem: read(path, by_name(Path(path).stem)) for path in paths}


def made_with(paths: Iterable[str | Path], here: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What some tables that are used together were made with.

    Parameters
    ----------
    here : what the job tells of itself that uses them (:func:`retrieval_heads.making.told`).

    Returns
    -------
    ``rule`` and ``config`` of the one table, or of the job that uses them all; ``code``, rule → digest of its code, of
    all rules that they rest on; ``seed``; and ``models``, name → ``content``, ``commit``, ``dtype``, ``device``,
    ``threads``, ``quantization`` and versions of libraries. What is not known is left out; of what may differ from one
    to the other there are several with a comma.

    Raises
    ------
    StudyError
        when one model had other content, or ran in another dtype or quantization, for the one than for the other: its
        results would depend on which part was made where. And when their seeds differ.
    """
    paths = list(paths)
    sources: list[tuple[str, Mapping[str, Any]]] = [("this job", here)] if here else []
    sources += [(str(path), _told(Path(path))) for path in paths]
    alone = sources[0][1] if len(sources) == 1 or here else {}
    found: dict[str, Any] = {name: alone[name] for name in ("rule", "config") if name in alone}
    if codes := _joined(told.get("code", {}) for _, told in sources):
        found["code"] = codes
    seeds = {told["seed"]: name for name, told in reversed(sources) if "seed" in told}
    if len(seeds) > 1:
        (seed, first), (other, name), *_ = reversed(seeds.items())
        raise StudyError(
            f"{first} and {name}: made with seed {seed} and seed {other}, so they do not go together; delete the older "
            "one and run again."
        )
    if seeds:
        (found["seed"],) = seeds
    if models := sorted({model for _, told in sources for model in told.get("models", {})}):
        found["models"] = {
            model: _one_model(model, [(name, told.get("models", {}).get(model, {})) for name, told in sources])
            for model in models
        }
    return found


def dtypes(paths: Iterable[str | Path]) -> dict[str, str]:
    """Model → the dtype in which it ran for some tables that are used together; raises as :func:`made_with` does."""
    return {model: run["dtype"] for model, run in made_with(paths)["models"].items()}


def made_with_here() -> dict[str, Any]:
    """What a table is made with that the job at work writes: as it tells, and as the tables tell that it is given.

    Raises
    ------
    StudyError
        when these do not go together (:func:`made_with`).
    """
    return made_with(making.tables_read(), making.told())


def _told(path: Path) -> dict[str, Any]:
    """What one table tells."""
    with _opened(path) as file:
        text = (file.schema_arrow.metadata or {}).get(_MADE_WITH, b"{}")
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not _is_made_with(told):
        raise StudyError(f"{path}: what it tells of how it was made is damaged; delete it and run again.")
    return told


def _is_made_with(told: Any) -> bool:
    """Whether this is what :func:`made_with` gives."""

    def is_all(values: Any, fits: Callable[[Any], bool]) -> bool:
        return isinstance(values, dict) and all(map(fits, values.values()))

    def is_text(value: Any) -> bool:
        return isinstance(value, str)

    forms: dict[str, Callable[[Any], bool]] = {
        "rule": is_text,
        "config": is_text,
        "code": lambda code: is_all(code, is_text),
        "seed": lambda seed: type(seed) is int,
        "models": lambda models: is_all(models, lambda run: is_all(run, is_text)),
    }
    return isinstance(told, dict) and all(name in forms and forms[name](value) for name, value in told.items())


def _one_model(model: str, runs: Sequence[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """How one model ran, as several sources tell, each with its name."""
    for fact, fix in _ALIKE.items():
        values = [(run[fact], name) for name, run in runs if fact in run]
        for value, name in values:
            if value != values[0][0]:
                known, first = values[0]
                what = f"{model} ran in {known}" if fact == "dtype" else f"the {fact} of {model} was {known}"
                other = f"in {value}" if fact == "dtype" else value
                raise StudyError(
                    f"{first} and {name}: {what} for the one and {other} for the other, so they do not go together; "
                    f"{fix.format(model=model, value=known, older='the older one')}."
                )
    return _joined(run for _, run in runs)


def _joined(every: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Mappings as one: of each key its value, or several, each once, with a comma."""
    values: dict[str, set[str]] = {}
    for one in every:
        for key, value in one.items():
            values.setdefault(key, set()).update(value.split(", "))
    return {key: ", ".join(sorted(values[key], key=lambda value: (len(value), value))) for key in sorted(values)}


def by_name(name: str) -> Table:
    """The table of a name, from the file of that name in this folder.

    What reads tables by name depends on their files, though it does not import them: a rule adds them to its code.
    """
    return getattr(plugins.module("tables", name), name.upper())


def all_tables() -> dict[str, Table]:
    """Name → table of all there are, but for that of documents, whose columns are those of a study's questions."""
    modules = ((name, plugins.module("tables", name)) for name in plugins.names("tables"))
    return {name: table for name, module in modules if isinstance(table := vars(module).get(name.upper()), Table)}


@contextmanager
def _opened(path: Path, table: Table | None = None) -> Iterator[pq.ParquetFile]:
    """A Parquet file to read from, which has all columns of the table."""
    if not path.is_file():
        raise StudyError(f"{path}: no such file; run the rule that makes it.")
    try:
        with pq.ParquetFile(path) as file:
            if table and (missing := [name for name in table.columns if name not in file.schema_arrow.names]):
                raise _outdated(path, table, f"lacks the columns {', '.join(missing)}")
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        if is_out_of_memory(error):
            raise
        damaged = f"{path}: not a readable Parquet file; delete it and run again."
        raise StudyError(disk_trouble(error, path) or damaged) from error


def _outdated(path: Path, table: Table, why: str) -> StudyError:
    """What is said of a file that holds another form of the table: all of its study's results are of that version."""
    stages = [folder for folder in path.parents if folder.name in (table.name, "tables")]
    study = stages[0].parent if stages else path.parent
    return StudyError(
        f"{path}: the {table.name} table is of an earlier version and {why}; delete {study} and run again."
    )


def _cast(data: pa.Table, path: Path, table: Table) -> pa.Table:
    """Columns that were read, in the types of the table's schema and with values that it allows."""
    try:
        data = pa.table({name: data[name].cast(type_) for name, type_ in table.fields if name in data.column_names})
    except (pa.ArrowException, ValueError) as error:
        raise _outdated(path, table, f"does not fit its schema: {error}") from error
    _check_values(data, path, table)
    return data


def _check_values(data: pa.Table, path: Path, table: Table) -> None:
    """Refuse values that may not stand in these columns of the table."""
    for name in data.column_names:
        column, of_table = data[name], f"{path}: column {name} of the {table.name} table"
        if name not in table.nullable and column.null_count:
            raise StudyError(f"{of_table} has {column.null_count} empty values.")
        if pa.types.is_list(column.type):
            factors = [data[factor] for factor in table.lengths.get(name, ())]
            if factors and pc.any(pc.not_equal(pc.list_value_length(column), reduce(pc.multiply, factors))).as_py():
                raise StudyError(f"{of_table} has lists of another length than {' × '.join(table.lengths[name])}.")
            column = pc.list_flatten(column)
            if column.null_count:
                raise StudyError(f"{of_table} has {column.null_count} empty values in its lists.")
        if pa.types.is_floating(column.type) and not pc.all(fine := pc.is_finite(column), min_count=0).as_py():
            raise StudyError(f"{of_table} has values that are not finite, first {_place(data, table, name, fine)}.")


def _place(data: pa.Table, table: Table, name: str, fine: pa.ChunkedArray) -> str:
    """Where the first value of a column is that is not fine: the key of its row, and its place in a list.

    Parameters
    ----------
    fine : whether each value of the column is, of lists one behind the other.
    """
    place, row, within = pc.index(pc.fill_null(fine, True), False).as_py(), 0, None
    if pa.types.is_list(data[name].type):
        lengths = pc.fill_null(pc.list_value_length(data[name]), 0).to_pylist()
        row, within = 0, place
        while within >= lengths[row]:
            within, row = within - lengths[row], row + 1
    else:
        row = place
    known = [key for key in table.key if key in data.column_names]
    where = [f"{key} = {data[key][row].as_py()}" for key in known]
    shape = table.lengths.get(name, ())
    if within is not None and len(shape) == 2:
        of_layer = data[shape[1]][row].as_py()
        where += [f"{name.removesuffix('s')} = {at}" for name, at in zip(shape, divmod(within, of_layer), strict=True)]
    return f"for {', '.join(where)}"


def _check_keys(data: pa.Table, path: Path, table: Table) -> None:
    """Refuse rows that share a key."""
    keys = table.typed(data.select(list(table.key)).to_pandas())
    if (repeated := keys.duplicated()).any():
        row = ", ".join(f"{name} = {value}" for name, value in keys[repeated].iloc[0].items())
        raise StudyError(f"{path}: the {table.name} table has two rows for {row}.")

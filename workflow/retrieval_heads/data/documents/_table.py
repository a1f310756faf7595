"""A user's table of documents: its rows, and what their ids, answers, passages and splits say."""

import csv
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from retrieval_heads.data.answers import canonical, locate, statements
from retrieval_heads.errors import StudyError
from retrieval_heads.job import log
from retrieval_heads.reading import parse_json
from retrieval_heads.seeds import generator

SPLITS = ("train", "test")


class Table(NamedTuple):
    """A file's columns and rows. Rows are counted from 1, without the header."""

    file: str
    columns: list[str]
    rows: list[dict[str, object]]

    def column(self, name: str, key: str) -> list[str | None]:
        """A column's cells as text, None where they are empty.

        Raises
        ------
        StudyError
            when there is no such column, which the config's ``key`` names, or a cell is neither text nor number.
        """
        if name not in self.columns:
            raise StudyError(f"{key}: {self.file} has no column {name}; it has {', '.join(self.columns)}.")
        return [self._text(row.get(name), number, name) for number, row in enumerate(self.rows, 1)]

    def full_column(self, name: str, key: str) -> list[str]:
        """The same of a column that may have no empty cell."""
        cells = []
        for number, cell in enumerate(self.column(name, key), 1):
            if cell is None:
                raise StudyError(f"{self.file}: row {number} has an empty {name}; fill it or remove the row.")
            cells.append(cell)
        return cells

    def _text(self, cell: object, number: int, name: str) -> str | None:
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return None
        if isinstance(cell, bool | list | dict | bytes):
            raise StudyError(f"{self.file}: row {number} has no text in column {name} but {cell!r:.40}; write text.")
        # Whole numbers become fractional ones in a column that has empty cells.
        text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StudyError(f"{self.file}: row {number} has half a character in column {name}; correct it.") from error
        return text.strip() or None


class Passage(NamedTuple):
    """The part of a document's text that states an answer, and the cell that says so, such as "row 2, column told"."""

    text: str
    cell: str


class Entry(NamedTuple):
    """What a table says about one document; the split is None where it is to be drawn.

    passages: for the questions that have one, the passage with the answer. twins: for those that have one, the value
    that its twin states in place of the answer.
    """

    doc_id: str
    split: str | None
    answers: dict[str, str | None]
    passages: dict[str, Passage]
    twins: dict[str, str]


def read_table(file: str, key: str) -> Table:
    """Read a CSV, Parquet or JSON Lines file, which its ending tells apart.

    Raises
    ------
    StudyError
        when the file is not there, which the config's ``key`` names, is none of these, broken, or empty.
    """
    path = Path(file)
    if not path.is_file():
        raise StudyError(f"{key}: there is no file {file}; check the path.")
    if (read := _READERS.get(path.suffix)) is None:
        raise StudyError(f"{file}: files of documents end in {', '.join(_READERS)}; save it as one of these.")
    try:
        columns, rows = read(path)
    except UnicodeDecodeError as error:
        raise StudyError(f"{file}: this file is not UTF-8 text; save it as such.") from error
    except OSError as error:
        raise StudyError(f"{file}: this file cannot be read; check its rights.") from error
    require_unique(columns, lambda a, _: f"{file}: two columns are called {columns[a]}; rename one.")
    if not rows:
        raise StudyError(f"{file}: this file has no rows; write one for each document.")
    return Table(file, columns, rows)


def read_entries(table: Table, ids: Sequence[str], config: dict) -> list[Entry]:
    """What each row says of its document, checked.

    Parameters
    ----------
    ids : the documents' names, in the order of the rows.
    config : the study's config; ``documents.answers``, ``passages``, ``twins`` and ``split`` name columns.

    Raises
    ------
    StudyError
        with file, row and column, for an id that is there twice, an answer or a twin not of its question's type, a
        passage or a twin without an answer, a twin that is the answer, another split.
    """
    require_unique(
        ids, lambda a, b: f"{table.file}: rows {a + 1} and {b + 1} are both called {ids[a]}; rename or remove one."
    )
    settings, questions = config["documents"], config["questions"]
    answers = {}
    for question, entry in questions.items():
        column = settings["answers"].get(question, question)
        cells = table.column(column, f"documents.answers.{question}")
        answers[question] = [
            None if cell is None else _canonical(cell, entry["type"], f"{table.file}: row {number}, column {column}")
            for number, cell in enumerate(cells, 1)
        ]
    passages: list[dict[str, Passage]] = [{} for _ in ids]
    for question, column in settings["passages"].items():
        for number, cell in enumerate(table.column(column, f"documents.passages.{question}"), 1):
            where = f"row {number}, column {column}"
            if cell is not None and answers[question][number - 1] is None:
                raise StudyError(f"{table.file}: {where}: a passage without an answer; give both or none.")
            if cell is not None:
                passages[number - 1][question] = Passage(cell, where)
    twins: list[dict[str, str]] = [{} for _ in ids]
    for question, column in settings["twins"].items():
        for number, cell in enumerate(table.column(column, f"documents.twins.{question}"), 1):
            if cell is None:
                continue
            where, answer = f"{table.file}: row {number}, column {column}", answers[question][number - 1]
            twin = _canonical(cell, questions[question]["type"], where)
            if answer is None:
                raise StudyError(f"{where}: a twin without an answer; give both or none.")
            if statements(twin, answer, questions[question]["type"]):
                raise StudyError(f"{where}: the twin {cell!r:.60} states the answer; give another value.")
            twins[number - 1][question] = twin
    splits: list = [None] * len(ids)
    if (column := settings["split"]) is not None:
        splits = table.full_column(column, "documents.split")
        for number, split in enumerate(splits, 1):
            if split not in SPLITS:
                raise StudyError(f"{table.file}: row {number} has {split} in column {column}; write train or test.")
    return [
        Entry(doc_id, split, {question: answers[question][i] for question in questions}, passages[i], twins[i])
        for i, (doc_id, split) in enumerate(zip(ids, splits, strict=True))
    ]


def make_rows(
    entries: Sequence[Entry], texts: Sequence[str], config: dict, seed: int, file: str
) -> Iterator[dict[str, object]]:
    """The documents of a study, the training ones first, with the place at which each states its answers.

    An answer that the text does not state cannot be asked for. It is left out, and told in the log.

    Parameters
    ----------
    texts : for each entry its text.
    file : what to name where they do not make a study.

    Raises
    ------
    StudyError
        as `check_rows`.
    """
    places = check_rows(entries, texts, config, file)
    splits = _splits(entries, config["documents"]["test_share"], seed)
    unstated = dict.fromkeys(config["questions"], 0)
    for split in SPLITS:
        for entry, text, stated in zip(entries, texts, places, strict=True):
            if splits[entry.doc_id] != split:
                continue
            row: dict[str, object] = {"doc_id": entry.doc_id, "split": split, "text": text}
            for question, start in stated.items():
                answer = entry.answers[question]
                unstated[question] += answer is not None and start is None
                row[question], row[f"{question}_start"] = (None if start is None else answer), start
                row[f"{question}_twin"] = None if start is None else entry.twins.get(question)
            yield row
    for question, number in unstated.items():
        if number:
            log.info("%s: %d answers are left out, as their document does not state them", question, number)


def check_rows(entries: Sequence[Entry], texts: Sequence[str], config: dict, file: str) -> list[dict[str, int | None]]:
    """Find the places that state the answers: for each document, question → character, None where there is none.

    Raises
    ------
    StudyError
        for documents of the same text, which would be in both splits; a split without a document; and a passage that
        the text does not have exactly once, or that does not state its answer.
    """
    require_unique(
        texts,
        lambda a, b: f"{file}: {entries[a].doc_id} and {entries[b].doc_id} have the same text; remove one of them.",
    )
    given = [entry.split for entry in entries]
    empty = set(SPLITS) - set(given) if None not in given else set(SPLITS) if len(given) < 2 else set()
    if empty:
        raise StudyError(
            f"{file}: no document is left for the {max(empty)} split; give at least one for each of train and test."
        )
    return [
        {
            question: _place(entry, text, question, asked["type"], file)
            for question, asked in config["questions"].items()
        }
        for entry, text in zip(entries, texts, strict=True)
    ]


def _place(entry: Entry, text: str, question: str, type: str, file: str) -> int | None:
    """The character at which a text states an answer: in the passage given for it, else the first time."""
    if (answer := entry.answers[question]) is None:
        return None
    passage = entry.passages.get(question)
    within = None if passage is None else _find(passage, text, file)
    stated = locate(text, answer, type, within=within)
    if stated is None and passage is not None:
        raise StudyError(
            f"{file}: {passage.cell}: the passage {passage.text!r:.60} does not state the answer {answer}; correct one."
        )
    return None if stated is None else stated.start


def _find(passage: Passage, text: str, file: str) -> range:
    """The characters of a passage, whose white space may differ from the text's."""
    pattern = r"\s+".join(map(re.escape, passage.text.split()))
    found = [match.span(1) for match in re.finditer(f"(?=({pattern}))", text)]
    if len(found) != 1:
        how = f"{len(found)} times; give more of it" if found else "nowhere; copy it from there"
        raise StudyError(f"{file}: {passage.cell}: the passage {passage.text!r:.60} stands in the text {how}.")
    return range(*found[0])


def require_unique(values: Sequence[str], sentence: Callable[[int, int], str]) -> None:
    """Refuse a value that is there twice, with a sentence made from the places of both."""
    first: dict[str, int] = {}
    for i, value in enumerate(values):
        if (before := first.setdefault(value, i)) != i:
            raise StudyError(sentence(before, i))


def _splits(entries: Sequence[Entry], test_share: float, seed: int) -> dict[str, str]:
    splits = {entry.doc_id: entry.split for entry in entries}
    given = {doc_id: split for doc_id, split in splits.items() if split is not None}
    if len(given) == len(splits):
        return given
    # By a draw of each document's own, so that a further document moves no more than one other.
    order = sorted(splits, key=lambda doc_id: generator(seed, "split", doc_id).random())
    tests = min(max(1, round(test_share * len(order))), len(order) - 1)
    return {doc_id: "test" if place < tests else "train" for place, doc_id in enumerate(order)}


def _canonical(answer: str, type: str, where: str) -> str:
    try:
        return canonical(answer, type)
    except StudyError as error:
        raise StudyError(f"{where}: {str(error)[:1].lower()}{str(error)[1:]}") from None


def _read_csv(path: Path) -> tuple[list[str], list[dict]]:
    csv.field_size_limit(sys.maxsize)  # a filing's section may be longer than the module expects of a field
    # The signature that spreadsheets put first is no part of the first column's name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            columns, rows = list(reader.fieldnames or []), list(reader)
        except csv.Error as error:
            raise StudyError(
                f"{path}: line {reader.reader.line_num} is not valid CSV ({error}); correct it."
            ) from error
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise StudyError(
                f"{path}: row {number} has not as many fields as the header; put a field with commas or line breaks "
                "in quotes."
            )
    return columns, rows


def _read_json_lines(path: Path) -> tuple[list[str], list[dict]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, f"{path}: line {number}")
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise StudyError(f"{path}: line {number} is no JSON object; write one object on each line.")
        rows.append(row)
    return list(dict.fromkeys(column for row in rows for column in row)), rows


def _read_parquet(path: Path) -> tuple[list[str], list[dict]]:
    # Imported here, as other files of documents need no more than Python to be checked.
    import pyarrow
    import pyarrow.parquet

    try:
        data = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise StudyError(f"{path}: not a readable Parquet file; write it anew.") from error
    return data.column_names, data.to_pylist()


_READERS: dict[str, Callable[[Path], tuple[list[str], list[dict]]]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".jsonl": _read_json_lines,
}

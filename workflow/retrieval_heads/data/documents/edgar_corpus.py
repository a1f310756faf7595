"""Sections of annual reports from EDGAR-CORPUS, joined by file name with a table of true answers.

EDGAR-CORPUS (Loukas et al. 2021, arXiv 2109.14394) has one row for each filing: ``filename``, ``year``, and a column
for each section of the 10-K form, ``section_1`` being "Item 1. Business". It is read with the library ``datasets``.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from retrieval_heads.data.documents._table import Entry, make_rows, read_entries, read_table
from retrieval_heads.errors import StudyError
from retrieval_heads.job import log

KEYS = {
    "sections": {
        "type": "string",
        "format": "path",
        "description": "Where the sections of EDGAR-CORPUS are, a folder or hf://datasets/owner/name.",
    },
    "years": {
        "type": ["null", "array"],
        "minItems": 1,
        "uniqueItems": True,
        "items": {"type": "integer"},
        "default": None,
        "description": "Which years of the corpus to read; null takes all.",
    },
    "ground_truth": {
        "type": "string",
        "format": "path",
        "description": "A CSV, Parquet or JSON Lines file with a row of true answers for each filing.",
    },
    "file_name": {
        "type": "string",
        "minLength": 1,
        "default": "filename",
        "description": "The column with a filing's file name, in the corpus and in the table of answers.",
    },
    "section": {
        "type": "string",
        "minLength": 1,
        "default": "section_1",
        "description": "The column of the corpus that is the needle.",
    },
    "answers": {"$ref": "#/$defs/answers"},
    "passages": {"$ref": "#/$defs/passages"},
    "twins": {"$ref": "#/$defs/twins"},
    "split": {"$ref": "#/$defs/split"},
    "test_share": {"$ref": "#/$defs/test_share"},
}

_HUB = "hf://"
_BUILDERS = {".jsonl": "json", ".parquet": "parquet"}


def check(config: dict, packages: bool) -> None:
    """Check the answers, and that there are sections to read; what is in these is known when they are read.

    Raises
    ------
    StudyError
        when a file or folder is not there, an answer is wrong, or the library is missing.
    """
    settings = config["documents"]
    _entries(config)
    if not settings["sections"].startswith(_HUB):
        _section_files(settings)
    if packages and find_spec("datasets") is None:
        raise StudyError(
            "documents.source: edgar_corpus needs the package datasets, which is not installed; "
            "run pip install --no-deps -r requirements-edgar.txt."
        )


def files(config: dict) -> list[str]:
    """The table of answers, and the files with sections where these are local."""
    settings = config["documents"]
    local = [] if settings["sections"].startswith(_HUB) else _section_files(settings)
    return [settings["ground_truth"], *local]


def make(config: dict, seed: int) -> Iterator[dict]:
    """Its filings as documents, for ``documents.make_documents``.

    Reads from ``config["documents"]`` where the sections are (sections, years), the table of answers (ground_truth),
    columns (file_name, section, split, answers, passages, twins), and the share of documents to draw for the test split
    (test_share).
    """
    settings = config["documents"]
    entries = _entries(config)
    texts = _texts(settings, {entry.doc_id for entry in entries})
    without = [entry.doc_id for entry in entries if not texts.get(entry.doc_id)]
    if without:
        log.info(
            "%d of %d filings have no %s in the corpus and are left out, such as %s",
            *(len(without), len(entries), settings["section"], without[0]),
        )
    if len(without) == len(entries):
        raise StudyError(
            f"{settings['ground_truth']}: the corpus has a {settings['section']} for none of its filings, such as "
            f"{without[0]}; check that both write file names alike, and documents.years."
        )
    entries = [entry for entry in entries if texts.get(entry.doc_id)]
    yield from make_rows(entries, [texts[entry.doc_id] for entry in entries], config, seed, settings["ground_truth"])


def _entries(config: dict) -> list[Entry]:
    settings = config["documents"]
    table = read_table(settings["ground_truth"], "documents.ground_truth")
    return read_entries(table, table.full_column(settings["file_name"], "documents.file_name"), config)


def _section_files(settings: dict) -> list[str]:
    """The files with sections, sorted; a year is a folder's or a file's name.

    One kind of file alone is read, for a corpus may lie there in both.
    """
    root, years = settings["sections"].rstrip("/"), settings["years"]
    if root.startswith(_HUB):
        from huggingface_hub import HfFileSystem
        from huggingface_hub.errors import HfHubHTTPError

        try:
            found = [_HUB + name for name in HfFileSystem().find(root)]
        except (HfHubHTTPError, OSError) as error:
            raise StudyError(f"documents.sections: {root} cannot be fetched; check name and network.") from error
    else:
        if not Path(root).is_dir():
            raise StudyError(f"documents.sections: there is no folder {root}; check the path.")
        found = [str(path) for path in Path(root).rglob("*") if path.is_file()]
    for suffix in _BUILDERS:
        chosen = sorted(name for name in found if PurePosixPath(name).suffix == suffix)
        if chosen:
            break
    else:
        raise StudyError(f"documents.sections: {root} holds no {' or '.join(_BUILDERS)} file; check the path.")
    if years is None:
        return chosen
    by_year = {year: [name for name in chosen if _is_of(name.removeprefix(root), year)] for year in years}
    for year, names in by_year.items():
        if not names:
            raise StudyError(f"documents.years: {root} has no file or folder called {year}; take it out.")
    return [name for names in by_year.values() for name in names]


def _is_of(name: str, year: int) -> bool:
    path = PurePosixPath(name)
    return f"{year}" in (*path.parent.parts, path.stem)


def _texts(settings: dict, wanted: set[str]) -> dict[str, str]:
    """File name → section, of the filings wanted."""
    # Imported here, as no other source needs it, and it takes a while.
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    names = _section_files(settings)
    key, section = settings["file_name"], settings["section"]
    texts: dict[str, str] = {}
    builder = _BUILDERS[PurePosixPath(names[0]).suffix]
    for name in names:
        try:
            # As a stream, for a copy in the library's own cache would be many gigabytes.
            rows = load_dataset(builder, data_files=[name], split="train", streaming=True)
            for row in rows:
                if missing := [column for column in (key, section) if column not in row]:
                    raise StudyError(f"{name}: there is no column {missing[0]}; it has {', '.join(row)}.")
                if row[key] not in wanted:
                    continue
                if row[key] in texts:
                    raise StudyError(f"{name}: {row[key]} is in the corpus twice; remove one of its rows.")
                texts[row[key]] = (row[section] or "").strip()
        except (DatasetGenerationError, ValueError, OSError) as error:
            raise StudyError(f"{name}: {builder} cannot be read from this file; get it anew.") from error
    return texts

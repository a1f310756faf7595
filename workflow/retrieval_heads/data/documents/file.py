"""Documents of the user's own: a CSV, Parquet or JSON Lines file with a column of texts and one for each answer."""

from collections.abc import Iterator

from retrieval_heads.data.documents._table import Entry, check_rows, make_rows, read_entries, read_table

KEYS = {
    "file": {
        "type": "string",
        "format": "path",
        "description": "A CSV, Parquet or JSON Lines file with a row for each document.",
    },
    "text": {"type": "string", "minLength": 1, "default": "text", "description": "The column with the texts."},
    "id": {
        "type": ["string", "null"],
        "minLength": 1,
        "default": None,
        "description": "The column with the documents' names; null numbers the rows.",
    },
    "answers": {"$ref": "#/$defs/answers"},
    "passages": {"$ref": "#/$defs/passages"},
    "twins": {"$ref": "#/$defs/twins"},
    "split": {"$ref": "#/$defs/split"},
    "test_share": {"$ref": "#/$defs/test_share"},
}


def check(config: dict, packages: bool) -> None:
    """Read the whole file, so that no row can stop the study later.

    Raises
    ------
    StudyError
        with the file, row or column that is wrong.
    """
    check_rows(*_read(config), config, config["documents"]["file"])


def files(config: dict) -> list[str]:
    """The one file."""
    return [config["documents"]["file"]]


def make(config: dict, seed: int) -> Iterator[dict]:
    """Its rows as documents, for ``documents.make_documents``.

    Reads from ``config["documents"]`` the file, its columns (text, id, split, passages, twins, and answers where a
    question's column is not called like the question), and the share of documents to draw for the test split
    (test_share).
    """
    yield from make_rows(*_read(config), config, seed, config["documents"]["file"])


def _read(config: dict) -> tuple[list[Entry], list[str]]:
    settings = config["documents"]
    table = read_table(settings["file"], "documents.file")
    texts = table.full_column(settings["text"], "documents.text")
    if settings["id"] is None:
        ids = [f"row-{number:04d}" for number in range(1, len(texts) + 1)]
    else:
        ids = table.full_column(settings["id"], "documents.id")
    return read_entries(table, ids, config), texts

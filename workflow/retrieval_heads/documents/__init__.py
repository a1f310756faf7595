"""The documents of a study, which hold the facts that questions ask for.

A source of documents is a module of this package with a function ``make``, and a line in `SOURCES`.
"""

from collections.abc import Callable, Iterable

import pandas as pd

from retrieval_heads.documents import generator
from retrieval_heads.errors import StudyError

# From the study's config and seed to one dict a document: doc_id, split, text, and for every question `<question>` and
# `<question>_start`, both None where the document does not answer it.
SOURCES: dict[str, Callable[[dict, int], Iterable[dict]]] = {
    "generator": generator.make,
}


def make_documents(config: dict, seed: int) -> pd.DataFrame:
    """The documents table of a study.

    Parameters
    ----------
    config : the whole study's config, of which ``documents`` and ``questions`` are read.
    seed : the study's seed.

    Returns
    -------
    DataFrame
        one row a document, with the columns of ``tables.documents_table(config["questions"])``: the answer to question
        ``q`` in canonical form in ``q``, and the character of ``text`` where it is stated in ``q_start``.

    Raises
    ------
    StudyError
        when the source is unknown, cannot answer a question, or lacks its files.
    """
    source = config["documents"]["source"]
    if source not in SOURCES:
        raise StudyError(f"documents.source: there is no source {source!r}; choose one of {', '.join(SOURCES)}.")
    starts = [f"{question}_start" for question in config["questions"]]
    columns = ["doc_id", "split", "text", *(c for q in config["questions"] for c in (q, f"{q}_start"))]
    frame = pd.DataFrame(SOURCES[source](config, seed), columns=columns)
    return frame.astype({start: "Int32" for start in starts}).assign(source=source)

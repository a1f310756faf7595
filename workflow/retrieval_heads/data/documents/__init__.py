"""The documents of a study, which hold the facts that questions ask for.

Each source of documents is a file of this package, named as a config's ``documents.source`` names it, with three
functions. ``check(config, packages)`` finds out before any work whether the config and its files fit (``packages``: and
the Python packages of this process, which jobs then have too); ``files(config)`` lists the files that are read;
``make(config, seed)`` yields one dict a document: doc_id, split, text, and for every question
``<question>`` and ``<question>_start``, both None where the document does not state the answer, and, where the source
gives one, ``<question>_twin``, the value that the document's twin states in its place. A source that can have a
sentence of a document say the same of somebody else may have ``decoys(config)``, which gives the function that does.
``KEYS`` has the JSON
schema of each key that ``documents`` takes for this source, as a literal; those without a default are required.
"""

from types import ModuleType
from typing import TYPE_CHECKING

from retrieval_heads import plugins
from retrieval_heads.errors import StudyError

if TYPE_CHECKING:
    import pandas as pd


def document_source(config: dict) -> ModuleType:
    """The file that handles a config's source of documents.

    Raises
    ------
    StudyError
        when there is none of this name.
    """
    source = config["documents"]["source"]
    if source not in (known := plugins.names("data.documents")):
        raise StudyError(f"documents.source: there is no source {source!r}; choose one of {', '.join(known)}.")
    return plugins.module("data.documents", source)


def make_documents(config: dict, seed: int) -> "pd.DataFrame":
    """The documents table of a study.

    Parameters
    ----------
    config : the whole study's config, of which ``documents`` and ``questions`` are read.
    seed : the study's seed.

    Returns
    -------
    DataFrame
        one row a document, with the columns of ``tables.documents_table(config["questions"])``: the answer to question
        ``q`` in canonical form in ``q``, the character of ``text`` where it is stated in ``q_start``, and the value
        that its twin states, where the source gives one, in ``q_twin``.

    Raises
    ------
    StudyError
        when the source is unknown, cannot answer a question, or lacks its files.
    """
    # Imported here, for the Snakefile only checks a source, and should do so in no time.
    import pandas as pd

    from retrieval_heads.tables.documents import documents_table

    starts = [f"{question}_start" for question in config["questions"]]
    columns = [name for name in documents_table(config["questions"]).columns if name != "source"]
    frame = pd.DataFrame(document_source(config).make(config, seed), columns=columns)
    return frame.astype({start: "Int32" for start in starts}).assign(source=config["documents"]["source"])

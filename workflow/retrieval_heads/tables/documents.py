"""The documents table: what needles are made of, and the facts that they state."""

from collections.abc import Iterable

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, TEXT


def documents_table(questions: Iterable[str]) -> Table:
    """The documents table: per question the answer, the character at which the text states it, and the value that
    the user gives its twin, all nullable."""
    answers = tuple(field for q in questions for field in ((q, TEXT), (f"{q}_start", INTEGER), (f"{q}_twin", TEXT)))
    return Table(
        "documents",
        (("doc_id", TEXT), ("split", TEXT), ("text", TEXT), *answers, ("source", TEXT)),
        key=("doc_id",),
        nullable=frozenset(name for name, _ in answers),
    )

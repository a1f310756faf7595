"""The prose that surrounds a needle: one long text, or the other documents."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrieval_heads.errors import StudyError, disk_trouble

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from retrieval_heads.data.encoding import Encoder

# What a config says in place of a folder, to have the other documents as prose.
DOCUMENTS = "documents"
BREAK = "\n\n"  # between paragraphs, and between documents

# What a stretch of prose may begin behind: a blank line, with white space in it or not; any end of a line; the end of a
# sentence, with quotes and brackets that close there.
_LINE_END = r"(?:\r\n|[\n\r\v\f\x85\u2028\u2029])"
_CLOSING = r"[\"'’”»)\]」』）]*"
_BORDERS = [
    re.compile(rf"{_LINE_END}[^\S\n\r]*{_LINE_END}\s*|\u2029\s*"),
    re.compile(rf"{_LINE_END}\s*"),
    re.compile(rf"[.!?…؟।]{_CLOSING}\s+|[。！？｡]{_CLOSING}\s*"),
]
_ENOUGH_STARTS = 10  # so that few documents share a stretch


def haystack_files(haystack: str) -> list[str]:
    """The files that hold the prose; none where the documents are it."""
    return [] if haystack == DOCUMENTS else sorted(map(str, Path(haystack).glob("*.txt")))


def load_haystack(folder: str | Path) -> str:
    """All ``*.txt`` files of a folder, in the order of their names, with a blank line between them.

    Raises
    ------
    StudyError
        when the folder is missing, has no such file, or has one that is empty or no UTF-8 text.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder; set the haystack to one with prose in *.txt files.")
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise StudyError(f"{folder}: this folder holds no *.txt file; put the prose of the haystack there.")
    return BREAK.join(_read(path) for path in paths)


class Stretch(NamedTuple):
    """A haystack: its token ids, and the tokens, end exclusive, of each whole document in it; None if it is prose."""

    ids: list[int]
    documents: list[tuple[int, int]] | None


class Prose:
    """One long text, of which each needle gets a stretch of its own.

    A stretch begins with a paragraph, behind a blank line. Where the text has too few of those, it begins with a line,
    and where it has too few lines, with a sentence.
    """

    def __init__(self, text: str, encoder: Encoder, context_length: int):
        self._context_length = context_length
        self.ids, spans = encoder.spans(text, "prompts.haystack")
        first: dict[int, int] = {}  # where a token's text begins, without the blanks before it → the token
        for token, (start, end) in enumerate(spans):
            if piece := text[start:end].lstrip():
                first.setdefault(end - len(piece), token)
        ends, self._starts = {0}, []
        for border in _BORDERS:
            ends |= {match.end() for match in border.finditer(text)}
            self._starts.append(sorted(first[end] for end in ends if end in first))
        self._break = encoder.ids(BREAK, "a break")

    def take(self, document: dict, count: int, draw: Callable[..., np.random.Generator], more: int = 0) -> Stretch:
        """A stretch of count + more tokens.

        Parameters
        ----------
        document : the needle, as a row of the documents table.
        count : how many tokens.
        draw : gives the generator of a random choice, by what further tells it apart.
        more : how many tokens to go on by; where the text ends, it goes on from its beginning. The first ``count`` are
            the same whatever this is.

        Raises
        ------
        StudyError
            when the text is too short, or just long enough for one stretch.
        """
        if count > len(self.ids):
            raise StudyError(_too_short("it has", len(self.ids), self._context_length, count, "add prose"))
        if not count + more:
            return Stretch([], None)
        for starts in self._starts:
            starts = [start for start in starts if start + count <= len(self.ids)]
            if len(starts) >= _ENOUGH_STARTS:
                break
        if len(starts) < 2:
            raise StudyError(
                f"prompts.haystack: a context of {self._context_length} needs {count} of its {len(self.ids)} tokens, "
                "so that all stretches would begin at the same paragraph, line or sentence; add prose or give shorter "
                "prompts.context_lengths."
            )
        start = draw().choice(starts)
        return Stretch(_going_on(self.ids[start:], self.ids, count + more, self._break), None)


class OtherDocuments:
    """The other documents of a needle's split, in an order of its own, which speak as the needle does.

    Never those of the other split, so that no document takes part in both ranking and ablation.
    """

    def __init__(self, documents: pd.DataFrame, encoder: Encoder, context_length: int):
        self._context_length = context_length
        self._break = encoder.ids(BREAK, "a break")
        self._splits: dict[str, dict[str, list[int]]] = {}
        for doc_id, split, text in zip(documents["doc_id"], documents["split"], documents["text"], strict=True):
            self._splits.setdefault(split, {})[doc_id] = encoder.ids(text.strip(), f"document {doc_id}")

    def take(self, document: dict, count: int, draw: Callable[..., np.random.Generator], more: int = 0) -> Stretch:
        """As many documents as it takes, with breaks between them; the last one is cut.

        See :meth:`Prose.take`.
        """
        others = {key: ids for key, ids in self._splits[document["split"]].items() if key != document["doc_id"]}
        stretch: list[int] = []
        whole: list[tuple[int, int]] = []
        # By a draw of each document's own, so that a further one leaves the order of the others as it was.
        for key in sorted(others, key=lambda key: draw(key).random()):
            if len(stretch) >= count + more:
                break
            stretch += self._break if stretch else []
            whole.append((len(stretch), len(stretch) + len(others[key])))
            stretch += others[key]
        if len(stretch) < count:
            which = f"the other documents of the {document['split']} split have"
            raise StudyError(_too_short(which, len(stretch), self._context_length, count, "add documents"))
        whole = [(start, end) for start, end in whole if end <= count]
        return Stretch(_going_on(stretch, stretch, count + more, self._break), whole)


def _going_on(stretch: list[int], again: list[int], count: int, between: list[int]) -> list[int]:
    """The first ``count`` tokens of a stretch, or of as many rounds of ``again`` behind it as that takes."""
    while len(stretch) < count:
        stretch = [*stretch, *between, *again]
    return stretch[:count]


def _too_short(which: str, found: int, context_length: int, needed: int, remedy: str) -> str:
    return (
        f"prompts.haystack: {which} {found} tokens, and a context of {context_length} needs {needed}; "
        f"{remedy} or give shorter prompts.context_lengths."
    )


def _read(path: Path) -> str:
    try:
        # Some editors begin a text with a mark of its encoding, which is none of its characters.
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        no_text = f"{path}: cannot be read as UTF-8 text; save it as such or remove it."
        raise StudyError(disk_trouble(error, path) or no_text) from error
    if not text:
        raise StudyError(f"{path}: this file is empty; write prose into it or remove it.")
    return text

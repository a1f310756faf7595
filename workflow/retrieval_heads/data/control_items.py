"""What is asked where there is nothing to retrieve: facts that no context states, and small sums.

What a model loses of these with heads ablated, it does not lose for want of retrieval.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from retrieval_heads.data.answers import Judgement, canonical, judge
from retrieval_heads.errors import StudyError
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.controls import ITEM_KINDS


@dataclass(frozen=True)
class Item:
    """A question that no context answers.

    Parameters
    ----------
    kind : a key of :data:`~retrieval_heads.study.controls.ITEM_KINDS`.
    text, answer_prefix : what a model reads, as of a study's question.
    answer : what is right.
    accepted : other forms of it.
    """

    kind: str
    text: str
    answer_prefix: str
    answer: str
    accepted: tuple[str, ...] = ()

    @property
    def type(self) -> str:
        """The type of its answer."""
        return ITEM_KINDS[self.kind]

    def judge(self, generated: str) -> Judgement:
        """The verdict on a generated text: that by the first form of the answer that it states, if by any."""
        verdicts = [judge(generated, form, self.type) for form in (self.answer, *self.accepted)]
        return next((verdict for verdict in verdicts if verdict.correct), verdicts[0])


def load_items(files: Iterable[str | Path]) -> list[Item]:
    """The items of some files, each of which has the name of its kind, in their order.

    Raises
    ------
    StudyError
        when a file is no list of items, or asks the same twice.
    """
    found = []
    for file in map(Path, files):
        entries = read_yaml(file, "correct it")
        if not isinstance(entries, list) or not entries:
            raise StudyError(f"{file}: lists no items; write some, each with text, answer_prefix and answer.")
        items = [_item(file, number, entry) for number, entry in enumerate(entries, 1)]
        texts = [item.text for item in items]
        if twice := {text for text in texts if texts.count(text) > 1}:
            raise StudyError(f"{file}: asks {min(twice)!r} twice; keep one of them.")
        found += items
    return found


def _item(file: Path, number: int, entry: object) -> Item:
    """One item of a file, every value of which is text, but for ``accepted``, a list of texts."""
    given = entry if isinstance(entry, dict) else {}
    texts = [given.get(key) for key in ("text", "answer_prefix", "answer")]
    accepted = given.get("accepted", [])
    fits = set(given) <= {"text", "answer_prefix", "answer", "accepted"} and isinstance(accepted, list)
    if not fits or not all(isinstance(text, str) for text in (*texts, *accepted)):
        raise StudyError(
            f"{file}: item {number} should have text, answer_prefix and answer, each a text in quotes, and perhaps "
            "accepted, a list of such; correct it."
        )
    for key in ("text", "answer"):
        if not given[key].strip():
            raise StudyError(f"{file}: item {number} has an empty {key}; write one.")
    for form in (given["answer"], *accepted):
        try:
            canonical(form, ITEM_KINDS[file.stem])
        except StudyError as error:
            raise StudyError(f"{file}: item {number}: {str(error)[0].lower()}{str(error)[1:]}") from error
    return Item(file.stem, **{**given, "accepted": tuple(accepted)})

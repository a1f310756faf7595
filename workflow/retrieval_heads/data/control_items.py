"""What is asked where there is nothing to retrieve: facts that no context states, and small sums.

What a model loses of these with heads ablated, it does not lose for want of retrieval.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from retrieval_heads.data.answers import Judgement, judge
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
        try:
            items = [
                Item(file.stem, **{**entry, "accepted": tuple(entry.get("accepted", ()))})
                for entry in read_yaml(file, "correct it")
            ]
        except (TypeError, AttributeError) as error:
            raise StudyError(
                f"{file}: not a list of items with text, answer_prefix, answer and perhaps accepted; correct it."
            ) from error
        texts = [item.text for item in items]
        if twice := {text for text in texts if texts.count(text) > 1}:
            raise StudyError(f"{file}: asks {min(twice)!r} twice; keep one of them.")
        found += items
    return found

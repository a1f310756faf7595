"""What a type of answers is: which values of it a text states, and which of them answer a question."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from retrieval_heads.data.answers._letters import Value, fold, loose


class AnswerType(ABC):
    """A type of answers, such as years. Each is a file of its own, named as in a config's ``questions.*.type``.

    A type of values says how to read them (:meth:`values`); what it shares with others is here.
    """

    after: ClassVar[re.Pattern | None] = None
    """What must follow a value so that no further text can make it another; None where nothing tells that."""

    @abstractmethod
    def values(self, text: str) -> Iterator[Value]:
        """The values that a text states, in order of appearance and apart from each other."""

    def canonical(self, answer: str) -> str:
        """The one way to write an answer.

        Raises
        ------
        ValueError
            with what the answer holds in place of one value.
        """
        found = {value.value for value in self.values(answer)}
        if len(found) != 1:
            raise ValueError("several values" if found else "no value")
        return found.pop()

    def find(self, text: str, answer: str) -> Iterator[Value]:
        """Where a text states an answer, which is given in canonical form."""
        return (value for value in self.values(text) if value.value == answer)

    def written(self, answer: str, like: str) -> str:
        """An answer, given in canonical form, in the form in which a text writes another."""
        return answer

    def is_in(self, value: Value, document: str) -> bool:
        """Whether a document states a value that was generated, which then is a distractor if it is wrong."""
        return any(value.value == stated.value for stated in self.values(document))

    def is_settled(self, generated: str, answer: str) -> bool:
        """Whether a text answers already, and gets the same verdict however it goes on."""
        first = next(self.values(generated), None)
        return (
            first is not None
            and first.value == answer
            # Written so that the looser rule holds too, by what no further text can change.
            and loose(answer) in loose(generated[: first.end])
            and self.after is not None
            and bool(self.after.match(fold(generated), first.end))
        )

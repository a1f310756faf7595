"""What a head-scoring method is. Each is a file in ``methods/``, named as in a study's config."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from torch import Tensor

from retrieval_heads import plugins


class Reading(StrEnum):
    """The forward passes that a method can read attention rows from."""

    QUESTION = "question"  # the prompt's suffix, which asks the question
    NULL = "null"  # the suffix that asks nothing, after the same context
    DECODE = "decode"  # one generated token


@dataclass(frozen=True)
class Prompt:
    """Where things are in a prompt, as token positions; ends are exclusive."""

    input_ids: list[int]
    needle_start: int
    needle_end: int
    answer_start: int
    answer_end: int

    @property
    def needle(self) -> slice:
        """The needle's positions."""
        return slice(self.needle_start, self.needle_end)


class HeadScorer(ABC):
    """A method that gives each attention head one score for a prompt. Higher means more retrieval.

    A method sees each layer's attention rows once, keeps what it needs of them (:meth:`reduce`), and combines that into
    scores when the prompt is done (:meth:`score`). A new method is one file with one subclass; the study's config may
    give values for its fields.
    """

    name: ClassVar[str]
    """Key in config and tables, and the name of the method's file."""

    label: ClassVar[str]
    """How figures and report write it."""

    paper: ClassVar[str]
    """Where the method was published."""

    reads: ClassVar[dict[Reading, bool]]
    """The passes to read, and for each whether all suffix rows are needed (True) or the last one alone (False)."""

    needs_success: ClassVar[bool] = False
    """Whether a prompt that the model does not answer gets no score. The type of its question decides that."""

    @abstractmethod
    def reduce(self, rows: Tensor, prompt: Prompt) -> Tensor:
        """Keep of one layer's rows what scoring needs.

        rows: (H, Q, K) float32, Q = 1 where only the last row is read; returns (H, …).
        """

    @abstractmethod
    def score(self, readings: dict[Reading, list[Tensor]], generated: list[int], prompt: Prompt) -> Tensor:
        """Scores (L, H) from the reduced rows.

        readings: for each pass read, tensors (L, H, …): one for a suffix; for DECODE, entry t belongs to the row that
        produced generated token t + 1 (the suffix's last row produced token 0); entries past the last generated token
        mean nothing.
        """


def make_methods(settings: dict[str, dict]) -> list[HeadScorer]:
    """The methods of a study, from its config's ``methods``: name → values for the method's parameters.

    The values are those of a config that `config.complete` has checked.
    """
    return [_make(name, parameters) for name, parameters in settings.items()]


def _make(name: str, parameters: dict) -> HeadScorer:
    module = plugins.module("methods", name)
    (method,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, HeadScorer) and value.__module__ == module.__name__
    )
    return method(**parameters)

"""What a head-scoring method is given, and what it gives."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from retrieval_heads import plugins
from retrieval_heads.engine.runner import AttentionCall, Runner
from retrieval_heads.errors import StudyError
from retrieval_heads.study.method_entries import replacement_named
from retrieval_heads.study.modes import fitted_modes, twin_modes

Span = tuple[int, int]
"""The first token of something and the one behind its last."""


@dataclass(frozen=True)
class Prompt:
    """A prompt's tokens, and where things are in it, as token positions; ends are exclusive.

    input_ids: the context, which holds the needle, and the suffix, which asks the question. answer: the expected
    answer's tokens as they would follow the prompt. answer_start, sentence_start and their ends: of the place from
    which the answer is taken, and of the sentence that states it there. statements: of all places in the needle that
    state the whole answer; where none are given, that place alone. documents: of the whole documents of the haystack;
    none where it is prose. twin: the twin's context, as long as this one, and twin_answer the tokens of its answer as
    they would follow the same suffix; None where the prompt has no twin, or none that it may be compared with.
    question_end: of the suffix's tokens that ask, before those that begin the answer. name: its key, for messages.
    """

    input_ids: list[int]
    needle_start: int
    needle_end: int
    answer_start: int
    answer_end: int
    suffix_start: int
    answer: list[int]
    sentence_start: int | None = None
    sentence_end: int | None = None
    statements: tuple[Span, ...] = ()
    documents: tuple[Span, ...] = ()
    twin: list[int] | None = None
    twin_answer: list[int] | None = None
    question_end: int | None = None
    name: str = ""

    @property
    def needle(self) -> slice:
        """The needle's positions."""
        return slice(self.needle_start, self.needle_end)

    def span(self, name: str) -> slice:
        """The positions of the ``needle``, of the ``sentence`` in it that states the answer, or of the ``answer``.

        Raises
        ------
        ValueError
            when the prompt does not tell the sentence.
        """
        start, end = getattr(self, f"{name}_start"), getattr(self, f"{name}_end")
        if start is None or end is None:
            raise ValueError(f"This prompt does not tell where the {name} is: give {name}_start and {name}_end.")
        return slice(start, end)

    @property
    def context(self) -> list[int]:
        """The tokens that all prompts about a document share."""
        return self.input_ids[: self.suffix_start]

    @property
    def suffix(self) -> list[int]:
        """The tokens that ask the question."""
        return self.input_ids[self.suffix_start :]

    @property
    def question_length(self) -> int:
        """How many of the suffix's tokens ask, before those that begin the answer.

        Raises
        ------
        ValueError
            when the prompt does not tell.
        """
        if self.question_end is None:
            raise ValueError("This prompt does not tell where the question ends: give question_end.")
        return self.question_end - self.suffix_start


@dataclass(frozen=True)
class Document:
    """The prompts about one document, which share their context, and the suffix that asks nothing behind it.

    null_question_end: of the tokens that ask nothing, before those that begin the answer, counted as in a prompt.
    """

    prompts: list[Prompt]
    null_suffix: list[int]
    null_question_end: int | None = None

    @property
    def context(self) -> list[int]:
        """The tokens that all its prompts begin with."""
        return self.prompts[0].context

    @property
    def null(self) -> Prompt:
        """What asks nothing, as a prompt about the same needle."""
        ids = [*self.context, *self.null_suffix]
        return replace(self.prompts[0], input_ids=ids, answer=[], question_end=self.null_question_end)


class Scored(NamedTuple):
    """What a method gives P prompts.

    scores: (P, L, H) for L layers of H heads, NaN throughout for a prompt that the method does not apply to. margins:
    for each prompt, by how much the closest of the choices in its scores is decided, such as which key is the
    strongest: in ln of a probability, which attention is too. Infinite where none is made.
    """

    scores: Tensor
    margins: list[float]


class HeadScorer(ABC):
    """A method that gives each attention head of a model one score for each prompt. Higher means more retrieval.

    A method is one file in ``methods/``, named as in a study's config, with one subclass of this class or of
    :class:`retrieval_heads.methods.AttentionRowScorer`. Its dataclass fields are its parameters in the config.
    """

    name: ClassVar[str]
    """Key in config and tables, and the name of the method's file."""

    label: ClassVar[str]
    """How figures and findings write it."""

    paper: ClassVar[str]
    """Where the method was published."""

    needs_success: ClassVar[bool] = False
    """Whether the scores of a prompt that the model does not answer are left out. The type of its question decides what
    an answer is."""

    replaced_by: ClassVar[str | None] = None
    """The parameter that names what takes the place of heads' outputs: a file of ``ablation/replacements``, or
    ``twin`` for the one that comes from the twin. Read without importing the file, so that what it needs is there: a
    state, or twins. None for a method that replaces nothing."""

    state: ClassVar[Mapping[str, Tensor]] = {}
    """What that replacement was fitted to, on the model's device; empty for one that needs no fit."""

    limits: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What values of its parameters must be beside their types: parameter → JSON schema, as a literal."""

    documents: int | None = None
    """How many documents of the train split it scores, the first ones; None for all. A costly method has it as a
    parameter."""

    @property
    def replacement(self) -> str | None:
        """The file of ``ablation/replacements`` that takes the place of heads' outputs."""
        return None if self.replaced_by is None else replacement_named(getattr(self, self.replaced_by))

    @property
    def needs_twin(self) -> bool:
        """Whether it compares a prompt with its twin. Then it scores no prompt without one, and none of which the model
        does not answer both."""
        return self.replacement in twin_modes()

    def replaced(self, call: AttentionCall) -> Tensor:
        """What takes the place of the outputs of a layer's heads, of a shape that broadcasts to (B, Q, H, D).

        Raises
        ------
        StudyError
            when that must be fitted to the model, and was not.
        """
        if self.replacement in fitted_modes() and not self.state:
            raise StudyError(
                f"{self.name}: {self.replacement} must be fitted to the prompts of a study; rank heads in one, or "
                "choose another value."
            )
        # Replacements are a layer above methods, and are known here by their name alone.
        made: Any = plugins.subclass("ablation.replacements", str(self.replacement), object)()
        return made.output(call, self.state)

    def require(self, runner: Runner) -> None:  # noqa: B027  # most methods take any model
        """Refuse a model that the method cannot measure, before any work.

        Raises
        ------
        StudyError
            with the architecture's name.
        """

    @abstractmethod
    def score(self, runner: Runner, documents: Sequence[Document]) -> Tensor:
        """The scores (P, L, H) of all P prompts of some documents, in order, for L layers of H heads.

        NaN throughout for a prompt that the method does not apply to; it has no row in the table.

        Parameters
        ----------
        runner : the model, which gives attention rows, values, heads' outputs and their gradients
            (:meth:`retrieval_heads.engine.runner.Runner.trace`), log-probabilities and generations.
        documents : as many as fit the runner's budget, with contexts of equal length.
        """

"""Methods that need nothing but attention rows: they all share one pass over each document.

A context is run once. All its questions and the null question are then read behind it in one batch, and answered; each
layer's attention rows are handed to every method as they come, and each keeps only what it needs of them.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import torch
from torch import Tensor

from retrieval_heads.engine.runner import Answered, Decoding, RowsRead, Runner, naming
from retrieval_heads.methods._base import Document, HeadScorer, Prompt, Scored


class Reading(StrEnum):
    """What a method can read attention rows from."""

    QUESTION = "question"  # the prompt's suffix, which asks the question
    NULL = "null"  # the suffix that asks nothing, behind the same context
    DECODE = "decode"  # one generated token


Readings = dict[Reading, list[Tensor]]
"""What a method has kept of the rows of a prompt: for QUESTION and NULL one tensor (L, H, …); for DECODE one for each
token read, of which entry t belongs to the row that produced generated token t + 1. The suffix's last row produced
token 0; entries past the last generated token mean nothing."""


class AttentionRowScorer(HeadScorer):
    """A method that scores heads by attention rows alone.

    It sees each layer's rows once, keeps what it needs of them (:meth:`reduce`), and combines that into scores when the
    prompt is done (:meth:`combine`).
    """

    reads: ClassVar[dict[Reading, bool]]
    """What to read, and for each whether all suffix rows are needed (True) or the last one alone (False)."""

    @abstractmethod
    def reduce(self, rows: Tensor, prompt: Prompt) -> Tensor:
        """Keep of one layer's rows what scoring needs.

        rows: (H, Q, K) float32, Q = 1 where only the last row is read; returns (H, …).
        """

    @abstractmethod
    def combine(self, readings: Readings, generated: list[int], prompt: Prompt) -> Tensor:
        """Scores (L, H) of one prompt from its reduced rows.

        generated: the tokens of the model's answer, without what ended it.
        """

    def decide(self, readings: Readings, generated: list[int], prompt: Prompt) -> tuple[Tensor, float]:
        """The same, and the margin of a method that makes choices (:class:`~retrieval_heads.methods.Scored`)."""
        return self.combine(readings, generated, prompt), math.inf

    def score(self, runner: Runner, documents: Sequence[Document]) -> Tensor:
        """Scores (P, L, H) from a pass of its own; see :func:`score_rows` for several methods in one pass."""
        _, scored = score_rows(runner, documents, [self])
        return scored[self.name].scores


def score_rows(
    runner: Runner,
    documents: Sequence[Document],
    methods: Sequence[AttentionRowScorer],
    decoding: Decoding | None = None,
) -> tuple[Answered, dict[str, Scored]]:
    """Answer all P prompts of some documents, and score them by the attention rows of that one pass.

    Parameters
    ----------
    documents : with contexts of equal length.
    decoding : where generations end; default the runner's.

    Returns
    -------
    The answers to the prompts, in order; and what each method gives them, by its name.
    """
    # Every context is continued by equally many rows: its questions, then the null question, which is repeated where a
    # document has fewer questions than others.
    rows_per_context = 1 + max(len(document.prompts) for document in documents)
    rows: list[_Row] = []
    for document in documents:
        null = len(rows) + len(document.prompts)
        rows += [_Row(prompt, prompt.suffix, prompt.answer, Reading.QUESTION, null) for prompt in document.prompts]
        repeats = rows_per_context - len(document.prompts)
        readings = [Reading.NULL, *[None] * (repeats - 1)]
        rows += [_Row(document.null, document.null_suffix, [], reading, null) for reading in readings]
    routing = _Routing(methods, rows)
    with naming([document.prompts[0].name for document in documents]):
        prefix = runner.prefill([document.context for document in documents])
    with naming([row.prompt.name for row in rows]):
        answered = runner.answer(
            prefix,
            [row.suffix for row in rows],
            decoding,
            answers=[row.answer for row in rows],
            generate=[row.reading is Reading.QUESTION for row in rows],
            observe=routing.observe,
        )
    asked = [number for number, row in enumerate(rows) if row.reading is Reading.QUESTION]
    scored = {}
    for method in methods:
        decided = [
            method.decide(routing.readings(method, number), answered.tokens[number], rows[number].prompt)
            for number in asked
        ]
        scored[method.name] = Scored(torch.stack([of_heads for of_heads, _ in decided]), [m for _, m in decided])
    logprobs = answered.answer_logprob or []
    of_prompts = Answered(
        [answered.tokens[number] for number in asked],
        [answered.text[number] for number in asked],
        [logprobs[number] for number in asked],
        [answered.margin[number] for number in asked],
    )
    return of_prompts, scored


@dataclass(frozen=True)
class _Row:
    """A row of the batch: what it reads, and for whom.

    prompt: for the null question that which asks nothing. reading: what its suffix is read as; None for a
    row that only fills up. null: the number of the row that reads the null question behind the same context.
    """

    prompt: Prompt
    suffix: list[int]
    answer: list[int]
    reading: Reading | None
    null: int


@dataclass
class _Routing:
    """Hands the rows of each pass to the methods that read them, and keeps what they make of them.

    kept: (method, row of the batch, reading) → first token read → one entry for each layer. What is read again, as
    after a draft that turned out wrong, replaces what was there.
    """

    methods: Sequence[AttentionRowScorer]
    rows: Sequence[_Row]
    kept: dict[tuple[str, int, Reading], dict[int, list[Tensor]]] = field(default_factory=dict)

    def observe(self, read: RowsRead) -> None:
        """Take up one layer's rows of a pass."""
        for number, tokens in read.tokens.items():
            row = self.rows[number]
            for reading, wanted in _readings(row, tokens):
                readers = [method for method in self.methods if reading in method.reads]
                if not readers:
                    continue
                attention = read.attention(number, wanted)
                for method in readers:
                    kept = self.kept.setdefault((method.name, number, reading), {})
                    if read.layer == 0:
                        kept[wanted.start] = []
                    rows = attention if method.reads[reading] else attention[:, -1:]
                    kept[wanted.start].append(method.reduce(rows, row.prompt))

    def readings(self, method: AttentionRowScorer, number: int) -> Readings:
        """What a method has kept for one prompt."""
        found: Readings = {}
        for reading in method.reads:
            row = self.rows[number].null if reading is Reading.NULL else number
            kept: Mapping[int, list[Tensor]] = self.kept.get((method.name, row, reading), {})
            found[reading] = [torch.stack(kept[token]) for token in sorted(kept)]
        return found


def _readings(row: _Row, tokens: range) -> list[tuple[Reading, range]]:
    """What a pass over some tokens of a row is read as, and the tokens of each; the suffix's first token is 0."""
    length = len(row.suffix)
    found = [(row.reading, range(length))] if row.reading is not None and tokens.start < length else []
    if row.reading is Reading.QUESTION:
        found += [(Reading.DECODE, range(token, token + 1)) for token in range(max(length, tokens.start), tokens.stop)]
    return found

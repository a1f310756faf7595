"""What heads look at in the rows that produce an answer: the first token, or the token that is copied, and where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from retrieval_heads.data.answers import canonical, find_values, judge
from retrieval_heads.data.encoding import decode
from retrieval_heads.data.selection import group_by_context, lengths
from retrieval_heads.engine.runner import Runner
from retrieval_heads.job import progress
from retrieval_heads.methods import AttentionRowScorer, Prompt, Reading, Readings
from retrieval_heads.methods._attention_rows import score_rows
from retrieval_heads.methods._scoring import make_document
from retrieval_heads.tables.looks import (
    ANSWER,
    ANSWER_CHANCE,
    DISTRACTOR,
    DISTRACTOR_CHANCE,
    ELSEWHERE,
    LOOKS,
    SHARES,
    SINK,
    looks_row,
)

_AROUND = 24
"""How many tokens before and behind one are read to tell whether it is part of a value."""


def observe_looks(runner: Runner, prompts: pd.DataFrame, answer_types: Mapping[str, str]) -> pd.DataFrame:
    """Where every head looks hardest, in each row that produces a token of the model's answer.

    A row counts as a *sink* if its strongest key is the first token. It is a *hit*, as of Wu et al. 2024 (arXiv
    2404.15574, section 2), if the prompt has the very token there that the row produces; here at any place. Hits are at
    the answer (any statement of it in the needle), at a distractor (another value of the question's type, in needle or
    haystack), or elsewhere.

    Parameters
    ----------
    runner : whose ``decoding`` says where answers end.
    prompts : usable rows of the prompts table of one model and context length, in the table's order; perhaps none.
    answer_types : question → type of its answer, which tells distractors and what is right.

    Returns
    -------
    The looks table. A model that would not be measured exactly is refused first.
    """
    if prompts.empty:
        return LOOKS.empty()
    runner.require_measurable(*lengths(prompts, runner.decoding.max_new_tokens))
    groups = list(group_by_context(prompts))
    done = runner.budget.batches(
        groups,
        int(prompts["suffix_start"].iloc[0]),
        "batch_tokens",
        lambda batch: list(_looks(runner, batch, answer_types)),
    )
    with progress(len(groups), "documents to look at"):
        rows = [row for batch in done for row in batch]
    return pd.DataFrame(rows, columns=LOOKS.columns)


@dataclass(frozen=True)
class _StrongestKey(AttentionRowScorer):
    """The position of each row's strongest key, (T, L, H), of at most so many rows; −1 where an answer has fewer."""

    most: int

    name: ClassVar = "strongest_key"
    reads: ClassVar = {Reading.QUESTION: False, Reading.DECODE: False}

    def reduce(self, rows: Tensor, prompt: Prompt) -> Tensor:
        """(H, 1, K) → (H,)."""
        return rows[:, -1].argmax(-1)

    def combine(self, readings: Readings, generated: list[int], prompt: Prompt) -> Tensor:
        """Of the rows that produce the generated tokens."""
        every = torch.stack([*readings[Reading.QUESTION], *readings[Reading.DECODE]])
        found = torch.full((self.most, *every.shape[1:]), -1)
        found[: len(generated)] = every[: len(generated)].cpu()
        return found


def _looks(runner: Runner, groups: Sequence[pd.DataFrame], answer_types: Mapping[str, str]) -> Iterator[dict]:
    """Rows of the table, of the prompts of some documents with contexts of equal length."""
    documents = [make_document(runner.tokenizer, group) for group in groups]
    method = _StrongestKey(runner.decoding.max_new_tokens)
    answered, scored = score_rows(runner, documents, [method])
    number = 0
    for group, document in zip(groups, documents, strict=True):
        for row, prompt in zip(group.itertuples(), document.prompts, strict=True):
            generated, type = answered.tokens[number], answer_types[row.question]
            places = _Places(runner.tokenizer, prompt, row.answer, type)
            shares = places.shares(scored[method.name].scores[number][: len(generated)].numpy(), generated)
            correct = judge(answered.text[number], row.answer, type).correct
            yield looks_row(row, correct, len(generated), shares)
            number += 1


class _Places:
    """What stands at each place of a prompt: the answer, a distractor, or anything else."""

    def __init__(self, tokenizer, prompt: Prompt, answer: str, type: str):
        self._tokenizer, self._prompt, self._type = tokenizer, prompt, type
        self._answer = canonical(answer, type)
        stated = prompt.statements or ((prompt.answer_start, prompt.answer_end),)
        self._stated = {place for start, end in stated for place in range(start, end)}
        self._known: dict[int, str] = {}

    def kind(self, place: int) -> str:
        """Of a token behind the first."""
        if place not in self._known:
            self._known[place] = self._find(place)
        return self._known[place]

    def _find(self, place: int) -> str:
        if place in self._stated:
            return ANSWER
        context = self._prompt.context
        if place >= len(context):
            return ELSEWHERE
        first = max(0, place - _AROUND)
        before, here, around = (
            decode(self._tokenizer, context[first:end]) for end in (place, place + 1, place + 1 + _AROUND)
        )
        # The blank before a word is in its token, and no part of a value.
        start = len(here) - len(here[len(before) :].lstrip())
        others = (value for value in find_values(around, self._type) if value.value != self._answer)
        # The one value of a text is its first sentence, which is none of which there could be others.
        stated = self._type != "text" and any(value.start < len(here) and start < value.end for value in others)
        return DISTRACTOR if stated else ELSEWHERE

    def shares(self, strongest: np.ndarray, generated: Sequence[int]) -> dict[str, np.ndarray]:
        """Each of the table's shares of the rows, (L, H), from the position of each row's strongest key, (T, L, H)."""
        ids = np.array([*self._prompt.input_ids, *generated])
        found = {name: np.zeros(strongest.shape[1:]) for name in SHARES}
        for step, (row, token) in enumerate(zip(strongest, generated, strict=True)):
            found[SINK] += row == 0
            # Places of the token, among the keys that the row sees.
            held = 1 + np.flatnonzero(ids[1 : len(self._prompt.input_ids) + step] == token)
            kinds = np.array([self.kind(int(place)) for place in held], dtype=str)
            for kind in (ANSWER, DISTRACTOR, ELSEWHERE):
                found[kind] += np.isin(row, held[kinds == kind])
            hit = np.isin(row, held)
            for name, kind in ((ANSWER_CHANCE, ANSWER), (DISTRACTOR_CHANCE, DISTRACTOR)):
                found[name] += hit * (kinds == kind).mean() if len(held) else 0
        return {name: total / max(1, len(generated)) for name, total in found.items()}

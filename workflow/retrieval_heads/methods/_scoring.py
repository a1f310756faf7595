"""Scoring every head on every prompt by methods of any kind, and the tables that come of it."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from retrieval_heads.data.answers import is_settled, judge
from retrieval_heads.data.selection import OK, expected_answer, group_by_context, lengths, twin_of
from retrieval_heads.engine.budget import shard_slice
from retrieval_heads.engine.runner import Answered, Runner, naming
from retrieval_heads.job import finished_units, progress
from retrieval_heads.methods import AttentionRowScorer, Document, HeadScorer, Prompt, TraceScorer
from retrieval_heads.methods._attention_rows import score_rows
from retrieval_heads.methods._base import Scored
from retrieval_heads.methods._traces import score_traces
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables.columns import known_margin
from retrieval_heads.tables.generations import GENERATIONS
from retrieval_heads.tables.scores import SCORES, score_row


def score_split(
    runner: Runner,
    prompts: pd.DataFrame,
    methods: Sequence[HeadScorer],
    answer_types: dict[str, str],
    shard: int = 0,
    shards: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scores and generations tables of all prompts, or of one of several shards of their documents.

    See :func:`score_groups` for the other parameters. A model that would not be measured exactly is refused first.
    """
    runner.require_measurable(*lengths(prompts, runner.decoding.max_new_tokens))
    for method in methods:
        method.require(runner)
    first = prompts["doc_id"].unique()
    groups: Sequence[pd.DataFrame] = list(group_by_context(prompts))
    scores: list[dict] = []
    generations = [pd.DataFrame(columns=GENERATIONS.columns)]
    length, budget = int(prompts["suffix_start"].iloc[0]), runner.budget
    groups = shard_slice(groups, shard, shards, batch_size=max(1, budget.batch_tokens // length))
    of_all = [method for method in methods if method.documents is None]
    done = budget.batches(
        groups, length, "batch_tokens", lambda batch: score_groups(runner, batch, of_all, answer_types)
    )
    with progress(len(groups), "documents to score"):
        for new_scores, new_generations in done:
            scores += new_scores
            generations += new_generations
    generated = pd.concat(generations, ignore_index=True)
    for method in methods:
        if method.documents is not None:
            chosen = [group for group in groups if group["doc_id"].iloc[0] in first[: method.documents]]
            scores += score_one_by_one(runner, chosen, method, generated, answer_types)
    return pd.DataFrame(scores, columns=SCORES.columns), generated


def score_one_by_one(
    runner: Runner,
    groups: Sequence[pd.DataFrame],
    method: HeadScorer,
    generated: pd.DataFrame,
    answer_types: Mapping[str, str],
) -> list[dict]:
    """Rows of the scores table by a costly method, which is given one prompt at a time.

    Parameters
    ----------
    groups : for each document, rows of the prompts table that share a context.
    generated : the generations table, which tells what the model answers.
    answer_types : question → type of its answer, which decides whether the model answers a twin.
    """
    answered = set(generated.loc[generated["success"].astype(bool), "prompt_id"])
    rows = []
    with progress(sum(map(len, groups)), f"prompts to score by {method.label}"):
        for group in groups:
            document = make_document(runner.tokenizer, group)
            if method.needs_twin:
                document = with_answered_twins(runner, document, group, answered, answer_types)
            for row, prompt in zip(group.itertuples(), document.prompts, strict=True):
                with finished_units(1):
                    if method.needs_success and row.prompt_id not in answered:
                        continue
                    with naming([prompt.name]):
                        scores = method.score(runner, [replace(document, prompts=[prompt])])[0]
                        _require_finite(runner, method, scores)
                    rows += [] if scores.isnan().all() else [score_row(row, method.name, scores.numpy(force=True))]
    return rows


def _require_finite(runner: Runner, method: HeadScorer, scores: Tensor) -> None:
    """Refuse scores (L, H) of a prompt that are not finite, unless all are missing, as it is none for the method."""
    if not scores.isnan().all():
        runner.require_finite_heads(scores, f"the scores by {method.label}")


def score_groups(
    runner: Runner,
    groups: Sequence[pd.DataFrame],
    methods: Sequence[HeadScorer],
    answer_types: dict[str, str],
) -> tuple[list[dict], list[pd.DataFrame]]:
    """Score all heads with all methods on the prompts of some documents, whose contexts have the same length.

    Parameters
    ----------
    groups : for each document, rows of the prompts table that share a context.
    answer_types : question → type of its answer, which decides what is a success.

    Returns
    -------
    Rows of the scores table and parts of the generations table. A method that needs success has no row for a prompt
    that the model does not answer; none has one for a prompt that it does not apply to.
    """
    documents = [make_document(runner.tokenizer, group) for group in groups]

    def compare(number: int, texts: Sequence[str]) -> Document:
        rows = list(groups[number].itertuples())
        right = {
            row.prompt_id
            for row, text in zip(rows, texts, strict=True)
            if judge(text, row.answer, answer_types[row.question]).correct
        }
        return with_answered_twins(runner, documents[number], groups[number], right, answer_types)

    answered, scored = score_documents(runner, documents, methods, compare)
    made_scores, made_generations = [], []
    rows = chain.from_iterable(group.itertuples() for group in groups)
    for number, (row, generated) in enumerate(zip(rows, answered.text, strict=True)):
        prompt = {key: getattr(row, key) for key in (*CELL, "prompt_id")}
        success = judge(generated, row.answer, answer_types[row.question]).correct
        told = {"generated": generated, "success": success, "margin": known_margin(answered.margin[number])}
        made_generations.append(pd.DataFrame([prompt | told]))
        for method in methods:
            scores, margins = scored[method.name]
            with naming([row.prompt_id]):
                _require_finite(runner, method, scores[number])
            if (success or not method.needs_success) and not scores[number].isnan().all():
                made_scores.append(score_row(row, method.name, scores[number].numpy(force=True), margins[number]))
    return made_scores, made_generations


def score_documents(
    runner: Runner,
    documents: Sequence[Document],
    methods: Sequence[HeadScorer],
    compare: Callable[[int, Sequence[str]], Document] | None = None,
) -> tuple[Answered, dict[str, Scored]]:
    """Run methods of any kind: those that read attention rows in one pass for all, those that read traces in another
    that goes on from the same contexts, then each other one by itself.

    Parameters
    ----------
    compare : gives a document, by its number and by the model's answers to its prompts, with the twins of those prompts
        alone that may be compared with them; None takes all twins. It is asked where a method needs twins.

    Returns
    -------
    The model's answers to all P prompts, in order; and what each method gives them, by its name.
    """
    answered, scored = score_rows(
        runner, documents, [method for method in methods if isinstance(method, AttentionRowScorer)]
    )
    traced = [method for method in methods if isinstance(method, TraceScorer)]
    documents, found, texts = list(documents), [], iter(answered.text)
    for number, document in enumerate(documents):
        told = [next(texts) for _ in document.prompts]
        if compare is not None and any(method.needs_twin for method in methods):
            # Before the document's traces, which read behind the same twin.
            documents[number] = compare(number, told)
        found.append(score_traces(runner, [documents[number]], traced))
    for name in [method.name for method in traced]:
        parts = [one[name] for one in found]
        scored[name] = Scored(torch.cat([part.scores for part in parts]), [m for part in parts for m in part.margins])
    for method in methods:
        if method.name not in scored:
            scores = method.score(runner, documents)
            scored[method.name] = Scored(scores, [math.inf] * len(scores))
    return answered, scored


def with_answered_twins(
    runner: Runner,
    document: Document,
    rows: pd.DataFrame,
    answered: Collection[str],
    answer_types: Mapping[str, str],
) -> Document:
    """A document with the twins of those prompts alone that the model answers, and whose twin it answers too.

    Parameters
    ----------
    rows : of the prompts table, one for each of the document's prompts.
    answered : the ids of prompts that the model answers.
    answer_types : question → type of its answer.
    """
    pairs = list(zip(rows.itertuples(), document.prompts, strict=True))
    asked = [(row, prompt) for row, prompt in pairs if prompt.twin is not None and row.prompt_id in answered]
    right: set[str] = set()
    if asked:
        wanted = [(row.twin_answer, answer_types[row.question]) for row, _ in asked]
        with naming([f"the twin of {row.prompt_id}" for row, _ in asked]):
            texts = runner.answer(
                runner.twin(asked[0][1].twin or []),  # that of all prompts about the document
                [prompt.suffix for _, prompt in asked],
                replace(runner.decoding, stop_when=lambda row, text: is_settled(text, *wanted[row])),
                answers=[prompt.twin_answer or [] for _, prompt in asked],
            ).text
        right = {
            row.prompt_id
            for (row, _), text, want in zip(asked, texts, wanted, strict=True)
            if judge(text, *want).correct
        }
    prompts = [
        prompt if row.prompt_id in right else replace(prompt, twin=None, twin_answer=None) for row, prompt in pairs
    ]
    return replace(document, prompts=prompts)


def make_document(tokenizer: PreTrainedTokenizerBase, group: pd.DataFrame) -> Document:
    """The prompts that share a context, from rows of the prompts table."""
    rows = list(group.itertuples())
    twins = [twin_of(tokenizer, row) if row.twin_status == OK else (None, None) for row in rows]
    prompts = [
        Prompt(
            list(row.input_ids),
            row.needle_start,
            row.needle_end,
            row.answer_start,
            row.answer_end,
            row.suffix_start,
            expected_answer(tokenizer, row),
            row.sentence_start,
            row.sentence_end,
            _spans(row.statement_starts, row.statement_ends),
            _spans(row.document_starts, row.document_ends),
            twin=twin,
            twin_answer=twin_answer,
            question_end=row.question_end,
            name=row.prompt_id,
        )
        for row, (twin, twin_answer) in zip(rows, twins, strict=True)
    ]
    return Document(prompts, list(rows[0].null_ids[rows[0].suffix_start :]), rows[0].null_question_end)


def _spans(starts: Sequence[int] | None, ends: Sequence[int] | None) -> tuple[tuple[int, int], ...]:
    """Spans from two columns of the prompts table; none where they are null."""
    return () if starts is None or ends is None else tuple(zip(map(int, starts), map(int, ends), strict=True))

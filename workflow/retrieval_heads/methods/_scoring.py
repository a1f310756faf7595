"""Scoring every head on every prompt by methods of any kind, and the tables that come of it."""

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import chain

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from retrieval_heads.data.answers import judge
from retrieval_heads.data.selection import expected_answer, group_by_context, lengths
from retrieval_heads.engine.budget import shard_slice
from retrieval_heads.engine.runner import Answered, Runner
from retrieval_heads.job import progress
from retrieval_heads.methods import AttentionRowScorer, Document, HeadScorer, Prompt, TraceScorer
from retrieval_heads.methods._attention_rows import score_rows
from retrieval_heads.methods._traces import score_traces
from retrieval_heads.study.dimensions import CELL
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
    first = first_documents(prompts, methods)
    groups: Sequence[pd.DataFrame] = list(group_by_context(prompts))
    scores: list[dict] = []
    generations = [pd.DataFrame(columns=GENERATIONS.columns)]
    length, budget = int(prompts["suffix_start"].iloc[0]), runner.budget
    groups = shard_slice(groups, shard, shards, batch_size=max(1, budget.batch_tokens // length))
    done = budget.batches(
        groups, length, "batch_tokens", lambda batch: score_groups(runner, batch, methods, answer_types, first)
    )
    with progress(len(groups), "documents to score"):
        for new_scores, new_generations in done:
            scores += new_scores
            generations += new_generations
    return pd.DataFrame(scores, columns=SCORES.columns), pd.concat(generations, ignore_index=True)


def score_groups(
    runner: Runner,
    groups: Sequence[pd.DataFrame],
    methods: Sequence[HeadScorer],
    answer_types: dict[str, str],
    first: Mapping[str, Collection[str]] | None = None,
) -> tuple[list[dict], list[pd.DataFrame]]:
    """Score all heads with all methods on the prompts of some documents, whose contexts have the same length.

    Parameters
    ----------
    groups : for each document, rows of the prompts table that share a context.
    answer_types : question → type of its answer, which decides what is a success.
    first : method → the only documents that it scores, for methods that do not score all (:func:`first_documents`).

    Returns
    -------
    Rows of the scores table and parts of the generations table. A method that needs success has no row for a prompt
    that the model does not answer; none has one for a prompt that it does not apply to.
    """
    documents = [make_document(runner.tokenizer, group) for group in groups]
    scored = {name: [group["doc_id"].iloc[0] in chosen for group in groups] for name, chosen in (first or {}).items()}
    answered, scores = score_documents(runner, documents, methods, scored)
    made_scores, made_generations = [], []
    rows = chain.from_iterable(group.itertuples() for group in groups)
    for number, (row, generated) in enumerate(zip(rows, answered.text, strict=True)):
        prompt = {key: getattr(row, key) for key in (*CELL, "prompt_id")}
        success = judge(generated, row.answer, answer_types[row.question]).correct
        made_generations.append(pd.DataFrame([{**prompt, "generated": generated, "success": success}]))
        made_scores += [
            score_row(row, method.name, scores[method.name][number].numpy(force=True))
            for method in methods
            if (success or not method.needs_success) and not scores[method.name][number].isnan().all()
        ]
    return made_scores, made_generations


def first_documents(prompts: pd.DataFrame, methods: Sequence[HeadScorer]) -> dict[str, set[str]]:
    """The documents that a method scores, for each that scores the first ones alone: method → their ids."""
    documents = prompts["doc_id"].unique()
    return {method.name: set(documents[: method.documents]) for method in methods if method.documents is not None}


def score_documents(
    runner: Runner,
    documents: Sequence[Document],
    methods: Sequence[HeadScorer],
    scored: Mapping[str, Sequence[bool]] | None = None,
) -> tuple[Answered, dict[str, Tensor]]:
    """Run methods of any kind: those that read attention rows in one pass for all, those that read traces in another
    that goes on from the same contexts, then each other one by itself.

    Parameters
    ----------
    scored : method → which of the documents it scores, for methods that do not score all.

    Returns
    -------
    The model's answers to all P prompts, in order; and the scores (P, L, H) of each method by its name, NaN where it
    gives none.
    """
    answered, scores = score_rows(
        runner, documents, [method for method in methods if isinstance(method, AttentionRowScorer)]
    )
    scores |= score_traces(runner, documents, [method for method in methods if isinstance(method, TraceScorer)])
    for method in methods:
        if method.name in scores:
            continue
        chosen = (scored or {}).get(method.name, [True] * len(documents))
        prompts = [one for document, one in zip(documents, chosen, strict=True) for _ in document.prompts]
        found = torch.full((len(prompts), runner.layers, runner.heads), math.nan)
        if any(chosen):
            some = [document for document, one in zip(documents, chosen, strict=True) if one]
            found[torch.tensor(prompts)] = method.score(runner, some).float().cpu()
        scores[method.name] = found
    return answered, scores


def make_document(tokenizer: PreTrainedTokenizerBase, group: pd.DataFrame) -> Document:
    """The prompts that share a context, from rows of the prompts table."""
    rows = list(group.itertuples())
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
        )
        for row in rows
    ]
    return Document(prompts, list(rows[0].null_ids[rows[0].suffix_start :]))


def _spans(starts: Sequence[int] | None, ends: Sequence[int] | None) -> tuple[tuple[int, int], ...]:
    """Spans from two columns of the prompts table; none where they are null."""
    return () if starts is None or ends is None else tuple(zip(map(int, starts), map(int, ends), strict=True))

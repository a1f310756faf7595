"""Scoring every head on every prompt by methods of any kind, and the tables that come of it."""

from collections.abc import Sequence
from itertools import chain

import pandas as pd
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from retrieval_heads.data.answers import judge
from retrieval_heads.data.selection import expected_answer, group_by_context, lengths
from retrieval_heads.engine.budget import shard_slice
from retrieval_heads.engine.runner import Answered, Runner
from retrieval_heads.job import finished_units, progress
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
            scores += score_one_by_one(runner, chosen, method, generated)
    return pd.DataFrame(scores, columns=SCORES.columns), generated


def score_one_by_one(
    runner: Runner, groups: Sequence[pd.DataFrame], method: HeadScorer, generated: pd.DataFrame
) -> list[dict]:
    """Rows of the scores table by a costly method, which is given one prompt at a time.

    Parameters
    ----------
    groups : for each document, rows of the prompts table that share a context.
    generated : the generations table, which tells what the model answers.
    """
    answered = set(generated.loc[generated["success"].astype(bool), "prompt_id"])
    rows = []
    with progress(sum(map(len, groups)), f"prompts to score by {method.label}"):
        for group in groups:
            document = make_document(runner.tokenizer, group)
            for row, prompt in zip(group.itertuples(), document.prompts, strict=True):
                with finished_units(1):
                    if method.needs_success and row.prompt_id not in answered:
                        continue
                    scores = method.score(runner, [Document([prompt], document.null_suffix)])[0]
                    rows += [] if scores.isnan().all() else [score_row(row, method.name, scores.numpy(force=True))]
    return rows


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
    answered, scores = score_documents(runner, documents, methods)
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


def score_documents(
    runner: Runner, documents: Sequence[Document], methods: Sequence[HeadScorer]
) -> tuple[Answered, dict[str, Tensor]]:
    """Run methods of any kind: those that read attention rows in one pass for all, those that read traces in another
    that goes on from the same contexts, then each other one by itself.

    Returns
    -------
    The model's answers to all P prompts, in order; and the scores (P, L, H) of each method by its name.
    """
    answered, scores = score_rows(
        runner, documents, [method for method in methods if isinstance(method, AttentionRowScorer)]
    )
    scores |= score_traces(runner, documents, [method for method in methods if isinstance(method, TraceScorer)])
    scores |= {method.name: method.score(runner, documents) for method in methods if method.name not in scores}
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

"""Scoring every head on every prompt: one prefill of a document's context for all questions and all methods."""

from collections.abc import Iterator, Sequence
from itertools import chain

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.data.answers import judge
from retrieval_heads.data.selection import expected_answer, group_by_context, lengths
from retrieval_heads.engine.attention import AttentionCall
from retrieval_heads.engine.budget import Budget, part_of
from retrieval_heads.engine.inference import Batch, continue_prefix, prefill
from retrieval_heads.engine.self_check import require_measurable
from retrieval_heads.job import progress
from retrieval_heads.methods import HeadScorer, Prompt, Reading
from retrieval_heads.tables import GENERATIONS, SCORES


def score_split(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: pd.DataFrame,
    methods: Sequence[HeadScorer],
    answer_types: dict[str, str],
    budget: Budget,
    shard: int = 0,
    shards: int = 1,
    **generation,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scores and generations tables of all prompts, or of one of several shards of their documents.

    See :func:`score_documents` for the other parameters. A model that would not be measured exactly is refused first.
    """
    require_measurable(model, *lengths(prompts, generation["max_new_tokens"]))
    groups: Sequence[pd.DataFrame] = list(group_by_context(prompts))
    scores, generations = [pd.DataFrame(columns=SCORES.columns)], [pd.DataFrame(columns=GENERATIONS.columns)]
    length = int(prompts["suffix_start"].iloc[0])
    groups = part_of(groups, shard, shards, together=max(1, budget.batch_tokens // length))
    done = budget.batches(
        groups,
        length,
        "batch_tokens",
        lambda batch: score_documents(model, tokenizer, batch, methods, answer_types, **generation),
    )
    with progress(len(groups), "documents to score"):
        for new_scores, new_generations in chain.from_iterable(done):
            scores += new_scores
            generations.append(new_generations)
    return pd.concat(scores, ignore_index=True), pd.concat(generations, ignore_index=True)


def score_documents(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    groups: Sequence[pd.DataFrame],
    methods: Sequence[HeadScorer],
    answer_types: dict[str, str],
    *,
    max_new_tokens: int,
    stop: Sequence[str],
) -> list[tuple[list[pd.DataFrame], pd.DataFrame]]:
    """Score all heads with all methods on the prompts of some documents, whose contexts have the same length.

    Parameters
    ----------
    groups : for each document, rows of the prompts table that share a context.
    answer_types : question → type of its answer, which decides what is a success.
    max_new_tokens, stop : where a generation ends.

    Returns
    -------
    For each document, parts of the scores table and its rows of the generations table. A method that needs success has
    no scores for a prompt that the model does not answer.
    """
    documents = [list(group.itertuples()) for group in groups]
    end = documents[0][0].suffix_start
    # Every document has as many rows: its questions, and the null question once, or more often where one is missing.
    each = max(map(len, documents)) + 1
    read, suffixes, answers, generate, null = [], [], [], [], []
    for number, rows in enumerate(documents):
        prompts, nulls = [_prompt(row) for row in rows], each - len(rows)
        read += prompts + prompts[:1] * nulls
        suffixes += [prompt.input_ids[end:] for prompt in prompts] + [list(rows[0].null_ids[end:])] * nulls
        answers += [expected_answer(tokenizer, row) for row in rows] + [[]] * nulls
        generate += [True] * len(rows) + [False] * nulls
        null += [number * each + len(rows)] * each
    readers = _Readers(methods, read, [len(suffix) for suffix in suffixes], null)
    answered = continue_prefix(
        model,
        tokenizer,
        prefill(model, [rows[0].input_ids[:end] for rows in documents]),
        suffixes,
        answers=answers,
        generate=generate,
        max_new_tokens=max_new_tokens,
        stop=stop,
        observe=readers.observe,
    )

    results = []
    for number, rows in enumerate(documents):
        scores, generations = [], []
        for place, row in enumerate(rows, number * each):
            same = {"model": row.model, "question": row.question, "context_length": row.context_length}
            generated = answered.text[place]
            success = judge(generated, row.answer, answer_types[row.question]).correct
            generations.append({**same, "prompt_id": row.prompt_id, "generated": generated, "success": success})
            for method in methods:
                if method.needs_success and not success:
                    continue
                table = method.score(readers.of(method, place), answered.tokens[place], read[place])
                layers, heads = table.shape
                scores.append(
                    pd.DataFrame(
                        {
                            **same,
                            "method": method.name,
                            "prompt_id": row.prompt_id,
                            "layer": [layer for layer in range(layers) for _ in range(heads)],
                            "head": list(range(heads)) * layers,
                            "score": table.numpy(force=True).astype(float).ravel(),
                        }
                    )
                )
        results.append((scores, pd.DataFrame(generations)))
    return results


def _prompt(row) -> Prompt:
    return Prompt(list(row.input_ids), row.needle_start, row.needle_end, row.answer_start, row.answer_end)


class _Readers:
    """Hands each attention call's rows to the methods that read them, and keeps what the methods make of them.

    prompts: one for each place of the batch, the null question's with the needle of its document; asked: the number of
    tokens of each suffix; null: for each place, where its document's null question is.
    """

    def __init__(
        self, methods: Sequence[HeadScorer], prompts: Sequence[Prompt], asked: Sequence[int], null: Sequence[int]
    ):
        self._methods, self._prompts, self._asked, self._null = methods, prompts, asked, null
        # (method, place, reading) → first token read → one entry for each layer. A draft that turned out wrong is
        # replaced by what was decoded in its place.
        self._kept: dict[tuple[str, int, Reading], dict[int, list[torch.Tensor]]] = {}

    def observe(self, call: AttentionCall, batch: Batch) -> None:
        for place, row in enumerate(batch.rows):
            for reading, tokens in self._readings(row, batch.spans[place]):
                wanting = [method for method in self._methods if reading in method.reads]
                if not wanting:
                    continue
                rows = batch.attention(call, place, tokens)
                for method in wanting:
                    kept = self._kept.setdefault((method.name, row, reading), {})
                    if call.layer == 0:
                        kept[tokens.start] = []
                    read = rows if method.reads[reading] else rows[:, -1:]
                    kept[tokens.start].append(method.reduce(read, self._prompts[row]))

    def _readings(self, row: int, span: range) -> Iterator[tuple[Reading, range]]:
        """What a pass that brings these tokens of a row is read for."""
        null, asked = self._null[row], self._asked[row]
        if row <= null and span.start < asked:
            yield Reading.NULL if row == null else Reading.QUESTION, range(asked)
        if row < null:
            for token in range(max(asked, span.start), span.stop):
                yield Reading.DECODE, range(token, token + 1)

    def of(self, method: HeadScorer, place: int) -> dict[Reading, list[torch.Tensor]]:
        """A method's readings for one prompt, each (L, H, …)."""
        found = {}
        for reading in method.reads:
            kept = self._kept.get((method.name, self._null[place] if reading == Reading.NULL else place, reading), {})
            found[reading] = [torch.stack(kept[token]) for token in sorted(kept)]
        return found

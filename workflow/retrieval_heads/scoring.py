"""Scoring every head on every prompt: one prefill of the context per document for all questions and all methods."""

import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.attention import AttentionCall
from retrieval_heads.inference import Batch, continue_prefix, prefill, suffix_groups
from retrieval_heads.method import HeadScorer, Prompt, Reading
from retrieval_heads.prompts import group_by_context
from retrieval_heads.runtime import progress
from retrieval_heads.tables import SCORES


def rouge1_recall(answer: str, generated: str) -> float:
    """The share of the answer's words that are in the generated text, each counted as often as it is there.

    Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", with words as in its reference implementation:
    runs of letters and digits, in lower case.
    """
    wanted, found = (Counter(re.findall(r"[a-z0-9]+", text.lower())) for text in (answer, generated))
    return (wanted & found).total() / wanted.total() if wanted else 0.0


def score_split(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: pd.DataFrame,
    methods: Sequence[HeadScorer],
    **generation,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The scores and generations tables of all prompts; see :func:`score_prompts` for the parameters."""
    groups = list(group_by_context(prompts))
    scores, generations = [pd.DataFrame(columns=SCORES.columns)], []
    for group in progress(groups, len(groups), "documents to score"):
        new_scores, new_generations = score_prompts(model, tokenizer, group, methods, **generation)
        scores += new_scores
        generations += new_generations
    return pd.concat(scores, ignore_index=True), pd.DataFrame(generations)


def score_prompts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    group: pd.DataFrame,
    methods: Sequence[HeadScorer],
    *,
    max_new_tokens: int,
    stop: Sequence[str],
    min_recall: float,
) -> tuple[list[pd.DataFrame], list[dict]]:
    """Score all heads with all methods on the prompts of one document.

    Parameters
    ----------
    group : rows of the prompts table that share a context.
    max_new_tokens, stop : where a generation ends.
    min_recall : the ROUGE-1 recall above which a generation counts as a success.

    Returns
    -------
    Parts of the scores table, and rows of the generations table. A method that needs success has no scores for a prompt
    that the model does not answer.
    """
    rows = list(group.itertuples())
    context_end = rows[0].suffix_start
    prompts = [Prompt(list(r.input_ids), r.needle_start, r.needle_end, r.answer_start, r.answer_end) for r in rows]
    suffixes = [prompt.input_ids[context_end:] for prompt in prompts] + [list(rows[0].null_ids[context_end:])]
    null = len(rows)
    readers = _Readers(methods, [*prompts, prompts[0]], null)

    prefix = prefill(model, prompts[0].input_ids[:context_end])
    tokens: dict[int, list[int]] = {}
    text: dict[int, str] = {}
    for members in suffix_groups(model, [len(suffix) for suffix in suffixes]):
        answered = continue_prefix(
            model,
            tokenizer,
            [prefix.repeated(len(members))],
            [suffixes[i] for i in members],
            generate=[i != null for i in members],
            max_new_tokens=max_new_tokens,
            stop=stop,
            observe=lambda call, batch, members=members: readers.observe(call, batch, members),
        )
        tokens.update(zip(members, answered.tokens, strict=True))
        text.update(zip(members, answered.text, strict=True))

    scores, generations = [], []
    for index, row in enumerate(rows):
        same = {"model": row.model, "question": row.question, "context_length": row.context_length}
        recall = rouge1_recall(tokenizer.decode(row.input_ids[row.answer_start : row.answer_end]), text[index])
        generations.append(
            {**same, "prompt_id": row.prompt_id, "generated": text[index]}
            | {"success": recall > min_recall, "rouge1_recall": recall}
        )
        for method in methods:
            if method.needs_success and recall <= min_recall:
                continue
            table = method.score(readers.of(method, index), tokens[index], prompts[index]).double().cpu().numpy()
            layers, heads = table.shape
            scores.append(
                pd.DataFrame(
                    {
                        **same,
                        "method": method.name,
                        "prompt_id": row.prompt_id,
                        "layer": [layer for layer in range(layers) for _ in range(heads)],
                        "head": list(range(heads)) * layers,
                        "score": table.ravel(),
                    }
                )
            )
    return scores, generations


class _Readers:
    """Hands each attention call's rows to the methods that read them, and keeps what the methods make of them.

    prompts: one for each suffix; the null suffix, at index ``null``, is read with the needle that all of them share.
    """

    def __init__(self, methods: Sequence[HeadScorer], prompts: list[Prompt], null: int):
        self.methods, self.prompts, self.null = methods, prompts, null
        # (method, suffix, reading) → one list of layers for each forward pass
        self.kept: dict[tuple[str, int, Reading], list[list[torch.Tensor]]] = {}

    def observe(self, call: AttentionCall, batch: Batch, members: list[int]) -> None:
        # The suffix comes directly after the context; what comes later is a generated token.
        decoding = call.key.shape[2] - call.query.shape[2] > batch.context
        every_row = None if decoding else any(all_rows for m in self.methods for all_rows in m.reads.values())
        rows = call.rows(None if every_row else 1)
        for place, row in enumerate(batch.rows):
            index = members[row]
            reading = Reading.DECODE if decoding else Reading.NULL if index == self.null else Reading.QUESTION
            wanting = [method for method in self.methods if reading in method.reads]
            if not wanting:
                continue
            real = batch.real_rows(rows, place)
            for method in wanting:
                passes = self.kept.setdefault((method.name, index, reading), [])
                if call.layer == 0:
                    passes.append([])
                read = real if method.reads[reading] else real[:, -1:]
                passes[-1].append(method.reduce(read, self.prompts[index]))

    def of(self, method: HeadScorer, index: int) -> dict[Reading, list[torch.Tensor]]:
        """A method's readings for one prompt, each (L, H, …)."""
        return {
            reading: [
                torch.stack(layers)
                for layers in self.kept.get((method.name, self.null if reading == Reading.NULL else index, reading), [])
            ]
            for reading in method.reads
        }

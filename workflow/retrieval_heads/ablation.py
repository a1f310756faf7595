"""Does the model still answer without these heads?"""

from collections.abc import Sequence

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.answers import judge
from retrieval_heads.head_sets import parse_head
from retrieval_heads.inference import continue_prefix, head_grid, prefill, suffix_groups
from retrieval_heads.prompts import group_by_context
from retrieval_heads.runtime import progress
from retrieval_heads.tables import ABLATION

MODES = ("zero",)
"""zero: an ablated head's output is zero."""

SCOPES = ("all",)
"""all: heads are ablated in every token, context, question and answer."""


def ablate_split(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: pd.DataFrame,
    head_sets: pd.DataFrame,
    answer_types: dict[str, str],
    **settings,
) -> pd.DataFrame:
    """The ablation table of all prompts; see :func:`ablate_prompts` for the parameters."""
    groups = list(group_by_context(prompts))
    return pd.concat(
        [
            ablate_prompts(model, tokenizer, group, head_sets, answer_types, **settings)
            for group in progress(groups, len(groups), f"documents to answer with {len(head_sets)} head sets")
        ],
        ignore_index=True,
    )


def ablate_prompts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    group: pd.DataFrame,
    head_sets: pd.DataFrame,
    answer_types: dict[str, str],
    *,
    mode: str,
    scope: str,
    max_new_tokens: int,
    stop: Sequence[str],
    batch_tokens: int,
) -> pd.DataFrame:
    """Answer the questions about one document with each head set ablated.

    A head's output is zeroed before the output projection, in every token.

    Parameters
    ----------
    group : rows of the prompts table that share a context.
    head_sets : the head_sets table for this model and context length; a prompt takes the sets of its question.
    answer_types : question → type of its answer.
    mode, scope : one of :data:`MODES` and :data:`SCOPES`.
    max_new_tokens, stop : where a generation ends.
    batch_tokens : how many context tokens, summed over head sets, are run at a time.

    Returns
    -------
    Rows of the ablation table, one for each prompt and head set.
    """
    jobs = group.merge(head_sets, on=["model", "question", "context_length"])
    layers, heads = head_grid(model)
    keep = torch.ones(len(jobs), layers, heads)
    for place, names in enumerate(jobs["heads"]):
        for name in names:
            keep[(place, *parse_head(name))] = 0

    # Sets that agree in their first layers lie side by side, so that a chunk shares as much of the context as it can.
    order = sorted(range(len(jobs)), key=lambda place: keep[place].flatten().tolist())
    end = jobs["suffix_start"].iloc[0]
    size = max(1, batch_tokens // end)
    rows: dict[int, dict] = {}
    for at in range(0, len(order), size):
        chunk = order[at : at + size]
        rows |= _ablate_chunk(model, tokenizer, jobs, chunk, keep, end, max_new_tokens=max_new_tokens, stop=stop)

    found = jobs.assign(mode=mode, scope=scope, **pd.DataFrame.from_dict(rows, orient="index").sort_index())
    context = tokenizer.decode(jobs["input_ids"].iloc[0][:end])
    verdicts = [
        judge(row.generated, row.answer, answer_types[row.question], context)._asdict() for row in found.itertuples()
    ]
    return found.assign(**pd.DataFrame(verdicts, index=found.index))[ABLATION.columns]


def _ablate_chunk(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    jobs: pd.DataFrame,
    chunk: list[int],
    keep: torch.Tensor,
    end: int,
    *,
    max_new_tokens: int,
    stop: Sequence[str],
) -> dict[int, dict]:
    """Generated text and the answer's log-probability for some of the jobs."""
    part = jobs.iloc[chunk]
    prompts = part["input_ids"].tolist()
    suffixes = [list(ids[end:]) for ids in prompts]
    answers = [list(row.input_ids[row.answer_start : row.answer_end]) for row in part.itertuples()]
    kept = keep[chunk].to(model.device)
    prefix = prefill(model, prompts[0][:end], kept)
    rows = {}
    for members in suffix_groups(model, [len(suffix) for suffix in suffixes]):
        answered = continue_prefix(
            model,
            tokenizer,
            prefix,
            [suffixes[i] for i in members],
            sets=members,
            keep=kept[members],
            answers=[answers[i] for i in members],
            max_new_tokens=max_new_tokens,
            stop=stop,
        )
        for i, text, logprob in zip(members, answered.text, answered.answer_logprob, strict=True):
            rows[chunk[i]] = {"generated": text, "answer_logprob": logprob}
    return rows

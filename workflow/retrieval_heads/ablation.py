"""Does the model still answer without these heads?"""

from collections.abc import Iterator, Sequence

import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.answers import is_settled, judge
from retrieval_heads.errors import StudyError
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
    # A question without training prompts has no ranking, and so no heads to cut.
    groups = list(group_by_context(prompts[prompts["question"].isin(head_sets["question"])]))
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
    cache_tokens: int,
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
    cache_tokens : how many, likewise, may have their keys and values in memory at a time.

    Returns
    -------
    Rows of the ablation table, one for each prompt and head set.
    """
    for value, known, key in ((mode, MODES, "mode"), (scope, SCOPES, "scope")):
        if value not in known:
            raise StudyError(f"ablation.{key}: {value} is not offered; write one of {', '.join(known)}.")
    jobs = group.merge(head_sets, on=["model", "question", "context_length"])
    layers, heads = head_grid(model)
    keep = torch.ones(len(jobs), layers, heads)
    for place, names in enumerate(jobs["heads"]):
        for name in names:
            keep[(place, *parse_head(name))] = 0

    end = int(jobs["suffix_start"].iloc[0])
    context = list(jobs["input_ids"].iloc[0][:end])
    suffixes = [list(ids[end:]) for ids in jobs["input_ids"]]
    answers = [list(row.input_ids[row.answer_start : row.answer_end]) for row in jobs.itertuples()]
    types = jobs["question"].map(answer_types).tolist()
    rows: dict[int, dict] = {}
    for together in suffix_groups(model, [len(suffix) for suffix in suffixes]):
        # Sets that agree in their first layers lie side by side, so that a batch shares much of the context.
        order = sorted(together, key=lambda place: keep[place].flatten().tolist())
        for places in _batched(order, max(1, cache_tokens // end)):
            kept = keep[list(places)].to(model.device)
            size = max(1, batch_tokens // end)
            answered = continue_prefix(
                model,
                tokenizer,
                [prefill(model, context, part) for part in kept.split(size)],
                [suffixes[place] for place in places],
                keep=kept,
                answers=[answers[place] for place in places],
                max_new_tokens=max_new_tokens,
                stop=stop,
                enough=lambda row, text, places=places: is_settled(
                    text, jobs["answer"].iloc[places[row]], types[places[row]]
                ),
            )
            for place, text, logprob in zip(places, answered.text, answered.answer_logprob, strict=True):
                rows[place] = {"generated": text, "answer_logprob": logprob}

    found = jobs.assign(mode=mode, scope=scope, **pd.DataFrame.from_dict(rows, orient="index").sort_index())
    seen = tokenizer.decode(context)
    verdicts = [
        judge(row.generated, row.answer, type, seen)._asdict()
        for row, type in zip(found.itertuples(), types, strict=True)
    ]
    return found.assign(**pd.DataFrame(verdicts, index=found.index))[ABLATION.columns]


def _batched(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

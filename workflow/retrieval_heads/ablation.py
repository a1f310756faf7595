"""Does the model still answer without these heads?"""

from collections.abc import Callable, Sequence

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.answers import is_settled, judge
from retrieval_heads.attention import AttentionCall
from retrieval_heads.budget import Budget, Limit, part_of
from retrieval_heads.errors import StudyError
from retrieval_heads.head_sets import parse_head
from retrieval_heads.inference import Continued, continue_prefix, head_grid, prefill, room_for
from retrieval_heads.prompts import decode, expected_answer, group_by_context, lengths
from retrieval_heads.runtime import progress
from retrieval_heads.tables import ABLATION
from retrieval_heads.trial import require_measurable

MODES: dict[str, Callable[[AttentionCall], Tensor] | None] = {"zero": None, "uniform": AttentionCall.mean_value}
"""What an ablated head puts out.

zero: nothing. uniform: the mean of the values it can see, as if its attention were spread evenly over them, which is
what the masking of Wu et al. 2024 (arXiv 2404.15574, section 4) comes to.
"""

SCOPES = ("all", "suffix", "decode")
"""In which tokens heads are ablated.

all: in every one, of context, question and answer. suffix: in the question and the answer, so the model has read the
context with all its heads. decode: from the prompt's last token on, which produces the first token of the answer, as in
Wu et al. 2024: the model has read the question too.
"""


def ablate_split(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: pd.DataFrame,
    head_sets: pd.DataFrame,
    answer_types: dict[str, str],
    shard: int = 0,
    shards: int = 1,
    **settings,
) -> pd.DataFrame:
    """The ablation table of all prompts, or of one of several shards of their documents.

    See :func:`ablate_prompts` for the other parameters. A model that would not be measured exactly is refused first.
    """
    require_measurable(model, *lengths(prompts, settings["max_new_tokens"]))
    # A question without training prompts has no ranking, and so no heads to cut.
    groups = part_of(list(group_by_context(prompts[prompts["question"].isin(head_sets["question"])])), shard, shards)
    return pd.concat(
        [pd.DataFrame(columns=ABLATION.columns)]
        + [
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
    budget: Budget,
) -> pd.DataFrame:
    """Answer the questions about one document with each head set ablated, before the output projection.

    Parameters
    ----------
    group : rows of the prompts table that share a context.
    head_sets : the head_sets table for this model and context length; a prompt takes the sets of its question.
    answer_types : question → type of its answer.
    mode, scope : one of :data:`MODES` and of :data:`SCOPES`.
    max_new_tokens, stop : where a generation ends.

    Returns
    -------
    Rows of the ablation table, one for each prompt and head set.
    """
    for value, known, key in ((mode, MODES, "mode"), (scope, SCOPES, "scope")):
        if value not in known:
            raise StudyError(f"ablation.{key}: {value} is not offered; write one of {', '.join(known)}.")
    rows = group.merge(head_sets, on=["model", "question", "context_length"])
    # Methods may choose the same heads, and controls may come out alike: each is asked once.
    number = rows.groupby([rows["question"], rows["heads"].map(sorted).map(tuple)], sort=False).ngroup()
    jobs = rows[~number.duplicated()]
    layers, heads = head_grid(model)
    keep = torch.ones(len(jobs), layers, heads)
    for place, names in enumerate(jobs["heads"]):
        for name in names:
            keep[(place, *parse_head(name))] = 0

    end = int(jobs["suffix_start"].iloc[0])
    context = list(jobs["input_ids"].iloc[0][:end])
    suffixes = [list(ids[end:]) for ids in jobs["input_ids"]]
    answers = [expected_answer(tokenizer, row) for row in jobs.itertuples()]
    types, wanted = jobs["question"].map(answer_types).tolist(), jobs["answer"].tolist()
    room = room_for(suffixes, answers, max_new_tokens)
    unablated = None if scope == "all" else prefill(model, [context])

    def answer(places: Sequence[int]) -> tuple[Sequence[int], Continued]:
        kept, asked = keep[list(places)].to(model.device), [suffixes[place] for place in places]
        return places, continue_prefix(
            model,
            tokenizer,
            unablated
            or prefill(model, [context], kept, instead=MODES[mode], room=room, batch_tokens=budget.batch_tokens),
            asked,
            keep=kept,
            keep_from=[len(suffix) - 1 for suffix in asked] if scope == "decode" else None,
            instead=MODES[mode],
            answers=[answers[place] for place in places],
            max_new_tokens=max_new_tokens,
            stop=stop,
            enough=lambda row, text: is_settled(text, wanted[places[row]], types[places[row]]),
        )

    # Sets that agree in their first layers lie side by side, so that a batch shares much of the context.
    order = sorted(range(len(jobs)), key=lambda place: keep[place].flatten().tolist())
    limit: Limit = "cache_tokens" if scope == "all" else "batch_tokens"
    tokens = end + room if scope == "all" else room
    text, logprob = [""] * len(jobs), [0.0] * len(jobs)
    for places, answered in budget.batches(order, tokens, limit, answer):
        assert answered.answer_logprob is not None  # answers were given
        for place, generated, probability in zip(places, answered.text, answered.answer_logprob, strict=True):
            text[place], logprob[place] = generated, probability

    # Only what the document itself states is a distractor of it; the haystack's values are no part of its task.
    document = decode(tokenizer, context[slice(*jobs[["needle_start", "needle_end"]].iloc[0])])
    verdicts = [
        judge(generated, answer, type, document)._asdict()
        for generated, answer, type in zip(text, wanted, types, strict=True)
    ]
    found = pd.DataFrame(verdicts).assign(generated=text, answer_logprob=logprob, mode=mode, scope=scope)
    found = found.iloc[number].reset_index(drop=True)
    return pd.concat([rows.reset_index(drop=True), found], axis=1)[ABLATION.columns]

"""Does the model still answer without these heads?"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import pandas as pd
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.data.answers import is_settled, judge
from retrieval_heads.data.encoding import decode
from retrieval_heads.data.selection import expected_answer, group_by_context, lengths
from retrieval_heads.engine.attention import AttentionCall
from retrieval_heads.engine.budget import Budget, Limit, part_of
from retrieval_heads.engine.inference import Continued, continue_prefix, head_grid, prefill, room_for
from retrieval_heads.engine.self_check import require_measurable
from retrieval_heads.errors import StudyError
from retrieval_heads.job import progress
from retrieval_heads.tables import ABLATION
from retrieval_heads.tables.heads import parse_head

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


def first_documents(prompts: pd.DataFrame, number: int | None, intervention: str) -> pd.DataFrame:
    """The prompts about the first test documents, whichever of them turn out to be usable; None takes all.

    Parameters
    ----------
    prompts : the prompts table of a model and context length, of both splits.

    Raises
    ------
    StudyError
        when there are not so many.
    """
    documents = prompts.loc[prompts["split"] == "test", "doc_id"].unique()
    if number is None:
        return prompts
    if number > len(documents):
        raise StudyError(
            f"ablation.interventions.{intervention}.documents: {number} is more than the {len(documents)} test "
            "documents that there are; give fewer, or null for all."
        )
    return prompts[prompts["doc_id"].isin(documents[:number])]


_COLUMNS = [name for name in ABLATION.columns if name != "intervention"]


def ablate_split(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: pd.DataFrame,
    head_sets: pd.DataFrame,
    answer_types: dict[str, str],
    shard: int = 0,
    shards: int = 1,
    *,
    intervention: str,
    **settings,
) -> pd.DataFrame:
    """The ablation table of one intervention for all prompts, or for one of several shards of their documents.

    See :func:`ablate_prompts` for the other parameters. A model that would not be measured exactly is refused first.
    Beside what is ablated stands what guessing gives (:func:`answer_without_needle`).
    """
    require_measurable(model, *lengths(prompts, settings["max_new_tokens"]))
    # A question without training prompts has no ranking, and so no heads to ablate.
    groups = part_of(list(group_by_context(prompts[prompts["question"].isin(head_sets["question"])])), shard, shards)
    found = [pd.DataFrame(columns=_COLUMNS)]
    with progress(_answers(groups, head_sets), "answers with heads ablated or without needle"):
        for _, of_document in groupby(groups, key=lambda group: group["doc_id"].iloc[0]):
            depths = list(of_document)
            for group in depths:
                found.append(ablate_prompts(model, tokenizer, group, head_sets, answer_types, **settings))
            found.append(answer_without_needle(model, tokenizer, pd.concat(depths), answer_types, **settings))
    return pd.concat(found, ignore_index=True).assign(intervention=intervention)[ABLATION.columns]


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
    Rows of the ablation table, but for the intervention's name, one for each prompt and head set.
    """
    require_offered(mode, scope)
    rows = group.merge(head_sets, on=["model", "question", "context_length"])
    # Methods may choose the same heads, and controls may come out alike: each is asked once.
    number = rows.groupby([rows["question"], rows["heads"].map(sorted).map(tuple)], sort=False).ngroup()
    jobs = rows[~number.duplicated()]
    keep = kept_heads(model, jobs["heads"])

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

    limit: Limit = "cache_tokens" if scope == "all" else "batch_tokens"
    tokens = end + room if scope == "all" else room
    text, logprob = [""] * len(jobs), [0.0] * len(jobs)
    # In a context that all have read alike, a question's sets share what comes behind it.
    order = side_by_side(keep)
    order = order if scope == "all" else sorted(order, key=lambda place: suffixes[place])
    for places, answered in budget.batches(order, tokens, limit, answer):
        assert answered.answer_logprob is not None  # answers were given
        for place, generated, probability in zip(places, answered.text, answered.answer_logprob, strict=True):
            text[place], logprob[place] = generated, probability

    # Only what the document itself states is a distractor of it; the haystack's values are no part of its task.
    document = decode(tokenizer, context[slice(*jobs[["needle_start", "needle_end"]].iloc[0])])
    found = _judged(text, wanted, types, document).assign(answer_logprob=logprob)
    found = found.iloc[number].reset_index(drop=True)
    return pd.concat([rows.reset_index(drop=True), found], axis=1).assign(mode=mode, scope=scope)[_COLUMNS]


def answer_without_needle(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    document: pd.DataFrame,
    answer_types: dict[str, str],
    *,
    mode: str,
    scope: str,
    max_new_tokens: int,
    stop: Sequence[str],
    budget: Budget,
) -> pd.DataFrame:
    """Answer the questions about one document behind its haystack alone, with no head ablated: what guessing gives.

    The depth of a needle that is not there makes no difference, so each question is asked once.

    Parameters
    ----------
    document : the rows of the prompts table about one document, of any depth.

    Returns
    -------
    Rows of the ablation table, but for the intervention's name, with the source ``no_needle``, one for each prompt.
    See :func:`ablate_prompts`.
    """
    jobs = document.drop_duplicates("question")
    end = int(jobs["suffix_start"].iloc[0])
    context = list(jobs["no_needle_ids"].iloc[0][:end])
    suffixes = [list(ids[end:]) for ids in jobs["no_needle_ids"]]
    answers = [expected_answer(tokenizer, row) for row in jobs.itertuples()]
    types, wanted = jobs["question"].map(answer_types).tolist(), jobs["answer"].tolist()
    prefix = prefill(model, [context])

    def answer(places: Sequence[int]) -> Continued:
        return continue_prefix(
            model,
            tokenizer,
            prefix,
            [suffixes[place] for place in places],
            answers=[answers[place] for place in places],
            max_new_tokens=max_new_tokens,
            stop=stop,
            enough=lambda row, text: is_settled(text, wanted[places[row]], types[places[row]]),
        )

    room = room_for(suffixes, answers, max_new_tokens)
    answered = list(budget.batches(range(len(jobs)), room, "batch_tokens", answer))
    text = [generated for batch in answered for generated in batch.text]
    logprob = [probability for batch in answered for probability in batch.answer_logprob or []]
    found = _judged(text, wanted, types, "").assign(question=jobs["question"].tolist(), answer_logprob=logprob)
    nothing = {"source": "no_needle", "method": None, "matching": None, "draw": None, "k": 0}
    nothing |= {"size": 0, "matched": None}
    rows = document.merge(found, on="question")
    return rows.assign(**nothing, mode=mode, scope=scope)[_COLUMNS]


def require_offered(mode: str, scope: str) -> None:
    """Refuse what is none of :data:`MODES` and of :data:`SCOPES`.

    Raises
    ------
    StudyError
        with the key in the config.
    """
    for value, known, key in ((mode, MODES, "mode"), (scope, SCOPES, "scope")):
        if value not in known:
            raise StudyError(f"ablation.{key}: {value} is not offered; write one of {', '.join(known)}.")


def kept_heads(model: PreTrainedModel, sets: Iterable[Iterable[str]]) -> Tensor:
    """Factors (N, L, H) of the heads' outputs for N sets of heads to ablate: 0 for those in the set, else 1."""
    sets = list(sets)
    keep = torch.ones(len(sets), *head_grid(model))
    for place, names in enumerate(sets):
        for name in names:
            keep[(place, *parse_head(name))] = 0
    return keep


def side_by_side(keep: Tensor) -> list[int]:
    """The order in which sets that agree in their first layers are neighbours, so that batches share much of a text."""
    return sorted(range(len(keep)), key=lambda place: keep[place].flatten().tolist())


def _answers(groups: Iterable[pd.DataFrame], head_sets: pd.DataFrame) -> int:
    """How often a model is asked: each prompt under each of its question's sets, and each question without needle."""
    sets = head_sets["heads"].map(sorted).map(tuple).groupby(head_sets["question"]).nunique()
    prompts = [prompt for group in groups for prompt in zip(group["doc_id"], group["question"], strict=True)]
    return sum(sets[question] for _, question in prompts) + len(set(prompts))


def _judged(texts: Sequence[str], wanted: Sequence[str], types: Sequence[str], document: str) -> pd.DataFrame:
    """Generated texts with their verdicts; a distractor is a wrong value that the document states."""
    verdicts = [
        judge(generated, answer, type, document)._asdict()
        for generated, answer, type in zip(texts, wanted, types, strict=True)
    ]
    return pd.DataFrame(verdicts).assign(generated=texts)

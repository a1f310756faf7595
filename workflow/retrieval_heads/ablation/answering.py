"""What a model answers to questions about one context, with or without heads ablated, and what that is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from retrieval_heads.ablation.head_masks import in_sharing_order
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.data.answers import is_settled, judge
from retrieval_heads.data.encoding import decode
from retrieval_heads.data.selection import expected_answer
from retrieval_heads.engine.budget import Budget
from retrieval_heads.engine.inference import Continued, continue_prefix, prefill, room_for


@dataclass(frozen=True)
class Answering:
    """How questions are answered.

    Parameters
    ----------
    answer_types : question → type of its answer.
    max_new_tokens, stop : a generation ends at this length or at one of these strings.
    """

    answer_types: Mapping[str, str]
    max_new_tokens: int
    stop: Sequence[str]


@dataclass(frozen=True)
class Questions:
    """N questions about one context; one may be there several times, for another head set each.

    Parameters
    ----------
    context : its token ids.
    document : the text of the document in it, "" where there is none.
    suffixes : token ids of what asks each question.
    expected : token ids of each answer as the context states it.
    answers, types : text and type of each answer.
    """

    context: list[int]
    document: str
    suffixes: list[list[int]]
    expected: list[list[int]]
    answers: list[str]
    types: list[str]

    @classmethod
    def from_prompts(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        prompts: pd.DataFrame,
        answer_types: Mapping[str, str],
        *,
        needle: bool = True,
    ) -> "Questions":
        """Those of rows of the prompts table that share their context, with their document in it or without.

        Where it is left out, other haystack stands in its place.
        """
        end, start, stop = prompts[["suffix_start", "needle_start", "needle_end"]].iloc[0]
        ids = prompts["input_ids" if needle else "no_needle_ids"]
        context = list(ids.iloc[0][: int(end)])
        return cls(
            context,
            # Only what the document itself states is a distractor of it; the haystack's values are no part of its task.
            decode(tokenizer, context[int(start) : int(stop)]) if needle else "",
            [list(tokens[int(end) :]) for tokens in ids],
            [expected_answer(tokenizer, prompt) for prompt in prompts.itertuples()],
            prompts["answer"].tolist(),
            prompts["question"].map(answer_types).tolist(),
        )


def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    budget: Budget,
    questions: Questions,
    answering: Answering,
    without: tuple[Tensor, Intervention] | None = None,
) -> pd.DataFrame:
    """What a model answers to N questions about one context.

    Parameters
    ----------
    without : factors (N, L, H) of the heads' outputs for each question, and how heads are ablated where they are 0;
        None for the model as it is.

    Returns
    -------
    A row for each question: what is ``generated``, the verdicts ``correct``, ``contains`` and ``outcome`` on it, and
    ``answer_logprob``, the log-probability of the expected answer.
    """
    masks, intervention = without or (None, None)
    suffixes, expected = questions.suffixes, questions.expected
    in_context = intervention is not None and intervention.in_context
    reserved = room_for(suffixes, expected, answering.max_new_tokens)
    unablated = None if in_context else prefill(model, [questions.context])

    def work(batch: Sequence[int]) -> tuple[Sequence[int], Continued]:
        asked = [suffixes[number] for number in batch]
        prefix, ablated = unablated, dict[str, Any]()
        if masks is not None and intervention is not None:
            ablated = {"keep": masks[list(batch)].to(model.device), "instead": intervention.replacement}
            if in_context:
                prefix = prefill(model, [questions.context], **ablated, room=reserved, batch_tokens=budget.batch_tokens)
            ablated["keep_from"] = [intervention.mask_start(len(suffix)) for suffix in asked]
        return batch, continue_prefix(
            model,
            tokenizer,
            prefix,
            asked,
            **ablated,
            answers=[expected[number] for number in batch],
            max_new_tokens=answering.max_new_tokens,
            stop=answering.stop,
            enough=lambda row, text: is_settled(text, questions.answers[batch[row]], questions.types[batch[row]]),
        )

    order: Sequence[int] = range(len(suffixes))
    if masks is not None:
        order = in_sharing_order(masks)
        # In a context that all have read alike, a question's sets share what comes behind it.
        order = order if in_context else sorted(order, key=lambda number: suffixes[number])
    tokens = reserved + (len(questions.context) if in_context else 0)
    generated, logprob = [""] * len(suffixes), [0.0] * len(suffixes)
    for batch, continued in budget.batches(order, tokens, "cache_tokens" if in_context else "batch_tokens", work):
        assert continued.answer_logprob is not None  # answers were given
        for number, text, probability in zip(batch, continued.text, continued.answer_logprob, strict=True):
            generated[number], logprob[number] = text, probability
    verdicts = [
        judge(text, wanted, type, questions.document)._asdict()
        for text, wanted, type in zip(generated, questions.answers, questions.types, strict=True)
    ]
    return pd.DataFrame(verdicts).assign(generated=generated, answer_logprob=logprob)

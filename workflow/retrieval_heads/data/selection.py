"""Which prompts can be asked, in what order, and what answers are expected of them."""

from collections.abc import Iterator, Sequence

import pandas as pd
from transformers import PreTrainedTokenizerBase

from retrieval_heads.data.encoding import decode
from retrieval_heads.errors import StudyError
from retrieval_heads.tables.prompts import OK

NO_ANSWER = "the document does not state the fact"
NO_ROOM = "the document does not fit into the context"
NO_DECOY = "there is no decoy for the fact"
NO_ROOM_FOR_DECOYS = "the decoys do not fit into the haystack"
NOT_DECODED = "the answer's tokens do not decode to the answer"

_POSITIONS = (
    *("needle_start", "needle_end", "answer_start", "answer_end", "sentence_start", "sentence_end"),
    *("suffix_start", "question_end", "null_question_end", "opening_end"),
)


def shard_of(name: str) -> tuple[int, int]:
    """Which shard of the documents a name such as ``1-of-4`` means, counted from 0, and of how many."""
    number, _, shards = name.partition("-of-")
    return int(number) - 1, int(shards)


def group_by_context(prompts: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The prompts that share a context, document by document: same document, same depth, another question."""
    for _, group in prompts.groupby(["doc_id", "depth"], sort=False):
        yield group


def first_documents(prompts: pd.DataFrame, number: int | None, key: str) -> pd.DataFrame:
    """The test prompts about the first test documents, whichever of them turn out to be usable; None takes all.

    Parameters
    ----------
    prompts : the prompts table of a model and context length, of both splits.
    key : where the config has the number.

    Raises
    ------
    StudyError
        when there are not so many.
    """
    prompts = prompts[prompts["split"] == "test"]
    documents = prompts["doc_id"].unique()
    if number is None:
        return prompts
    if number > len(documents):
        raise StudyError(
            f"{key}: {number} is more than the {len(documents)} test documents that there are; give fewer, or null "
            "for all."
        )
    return prompts[prompts["doc_id"].isin(documents[:number])]


def shard_of_documents(prompts: pd.DataFrame, shard: int, shards: int) -> pd.DataFrame:
    """The prompts about one of several parts of the documents, counted from 0."""
    documents = prompts["doc_id"].unique()
    first, stop = (len(documents) * edge // shards for edge in (shard, shard + 1))
    return prompts[prompts["doc_id"].isin(documents[first:stop])]


def lengths(prompts: pd.DataFrame, max_new_tokens: int) -> tuple[int, int]:
    """Tokens of the shortest context, and of the longest prompt with what may be generated or expected after it."""
    longest = max(prompts[ids].map(len).max() for ids in prompts.columns.intersection(["input_ids", "null_ids"]))
    expected = (prompts["answer_end"] - prompts["answer_start"]).max() + 1  # perhaps with a blank before it
    return int(prompts["suffix_start"].min()), int(longest + max(max_new_tokens, expected))


def usable(prompts: pd.DataFrame, split: str, path: str) -> pd.DataFrame:
    """The prompts of a split that were not left out, in a table's order.

    Raises
    ------
    StudyError
        when there is none.
    """
    chosen = prompts[(prompts["split"] == split) & (prompts["status"] == OK)]
    if chosen.empty:
        statuses = prompts.loc[prompts["split"] == split, "status"]
        reasons = ", ".join(f"{count} × {reason}" for reason, count in statuses.value_counts().items())
        raise StudyError(
            f"{path}: no usable prompt in the {split} split ({reasons or 'no document'}); change documents or prompts."
        )
    return chosen.astype(dict.fromkeys(_POSITIONS, int))


def as_prompts(prompts: pd.DataFrame) -> pd.DataFrame:
    """The twins of prompts, as rows of the prompts table: the twin's context and answer, and the prompt's suffix.

    Prompts without a twin have none.
    """
    twins = prompts[prompts["twin_status"] == OK]
    ids = [
        [*context, *prompt[start:]]
        for context, prompt, start in zip(twins["twin_ids"], twins["input_ids"], twins["suffix_start"], strict=True)
    ]
    return twins.assign(input_ids=pd.Series(ids, twins.index, dtype=object), answer=twins["twin_answer"])


def with_answered_twin(prompts: pd.DataFrame, unablated: pd.DataFrame, key: str | None = None) -> pd.DataFrame:
    """Those of some prompts that the whole model answers, and whose twin it answers too.

    Parameters
    ----------
    prompts : usable rows of the prompts table.
    unablated : the unablated table, of these prompts and perhaps others.
    key : where the config asks for twins, if that there is none is to be refused.

    Raises
    ------
    StudyError
        when there is none, with the key.
    """
    right = unablated[unablated["correct"].astype(bool)]
    answered = [set(right.loc[right["source"] == source, "prompt_id"]) for source in ("baseline", "twin")]
    found = prompts[prompts["prompt_id"].isin(set.intersection(*answered))]
    if found.empty and key is not None:
        raise StudyError(
            f"{key}: the model answers no test prompt as well as its twin, so there is nothing to take outputs from; "
            "give more documents, or a mode that needs no twin."
        )
    return found


def expected_answer(tokenizer: PreTrainedTokenizerBase, prompt) -> list[int]:
    """The tokens that continue a prompt, a row of the table, with its answer as the context states it.

    Many tokenizers make a token of the blank before a number. It is no part of the answer, but comes before it, unless
    the suffix ends in it.
    """
    return _stated_answer(tokenizer, prompt.input_ids, prompt.answer_start, prompt.answer_end)


def twin_of(tokenizer: PreTrainedTokenizerBase, prompt) -> tuple[list[int], list[int]]:
    """The context of a prompt's twin, and the tokens that continue the prompt with the answer that this states."""
    context = list(prompt.twin_ids)
    ids = [*context, *prompt.input_ids[prompt.suffix_start :]]
    return context, _stated_answer(tokenizer, ids, prompt.answer_start, prompt.answer_end)


def _stated_answer(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], start: int, end: int) -> list[int]:
    with_one_more, alone = (decode(tokenizer, list(ids[first:end])).strip(" ") for first in (start - 1, start))
    blank = with_one_more == alone and not decode(tokenizer, list(ids[-2:])).endswith(" ")
    return list(ids[start - blank : end])

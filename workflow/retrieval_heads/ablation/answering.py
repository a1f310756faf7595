"""What a model answers to questions about one context, with or without heads ablated, and what that is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from transformers import PreTrainedTokenizerBase

from retrieval_heads.ablation.distinct_sets import in_sharing_order
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.data.answers import is_settled, judge
from retrieval_heads.data.encoding import decode
from retrieval_heads.data.selection import expected_answer
from retrieval_heads.engine.budget import Limit
from retrieval_heads.engine.runner import Answered, Prefix, Runner, naming, reserved_tokens
from retrieval_heads.tables.columns import known_margin
from retrieval_heads.tables.heads import parse_head


@dataclass(frozen=True)
class Questions:
    """N questions about one context; one may be there several times, for another head set each.

    Parameters
    ----------
    names : the key of each, for messages.
    context : its token ids, of which the first ``opening`` are the opening.
    twin : token ids of the context's twin; None where there is none.
    document : the text of the document in it, "" where there is none.
    suffixes : token ids of what asks each question.
    expected : token ids of each answer as the context states it.
    answers, types : text and type of each answer.
    decoys : what the haystack states of somebody else in place of each answer; None where it states nothing.
    """

    names: list[str]
    context: list[int]
    opening: int
    twin: list[int] | None
    document: str
    suffixes: list[list[int]]
    expected: list[list[int]]
    answers: list[str]
    types: list[str]
    decoys: list[str | None]

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
        end, start, stop, opening = prompts[["suffix_start", "needle_start", "needle_end", "opening_end"]].iloc[0]
        ids = prompts["input_ids" if needle else "no_needle_ids"]
        context, twin = list(ids.iloc[0][: int(end)]), prompts["twin_ids"].iloc[0]
        return cls(
            [prompt if needle else f"{prompt} without needle" for prompt in prompts["prompt_id"]],
            context,
            int(opening),
            list(twin) if needle and twin is not None else None,
            # Only what the document itself states is a distractor of it; the haystack's values are no part of its task.
            decode(tokenizer, context[int(start) : int(stop)]) if needle else "",
            [list(tokens[int(end) :]) for tokens in ids],
            [expected_answer(tokenizer, prompt) for prompt in prompts.itertuples()],
            prompts["answer"].tolist(),
            prompts["question"].map(answer_types).tolist(),
            prompts["decoy_answer"].astype(object).where(prompts["decoy_answer"].notna(), None).tolist(),
        )


def answer(
    runner: Runner,
    questions: Questions,
    head_sets: Sequence[Sequence[str]] | None = None,
    intervention: Intervention | None = None,
    *,
    prefix: Prefix | None = None,
) -> pd.DataFrame:
    """What a model answers to N questions about one context.

    Parameters
    ----------
    runner : whose ``decoding`` says where generations end. They also end once an answer is settled.
    head_sets : for each question, the names of the heads that are ablated; None for the model as it is.
    intervention : how they are ablated; not without them.
    prefix : the context, where the whole model has run it already.

    Returns
    -------
    A row for each question: what is ``generated``, the verdicts ``correct``, ``contains`` and ``outcome`` on it, and
    ``answer_logprob``, the log-probability of the expected answer; and ``margin``, by how much the closest choice of a
    generated token was decided, None where none was.
    """
    suffixes, expected = questions.suffixes, questions.expected
    in_context = intervention is not None and intervention.in_context
    reserved = reserved_tokens(suffixes, expected, runner.decoding.max_new_tokens)
    order: Sequence[int] = range(len(suffixes))
    head_mask = None
    if head_sets is not None:
        head_mask = runner.head_mask(map(parse_head, heads) for heads in head_sets)
        order = in_sharing_order(head_mask)
        # In a context that all have read alike, a question's sets share what comes behind it.
        order = order if in_context else sorted(order, key=lambda number: suffixes[number])
    names = questions.names if head_sets is None else [f"{name} with heads ablated" for name in questions.names]
    with naming(questions.names):
        whole_context = None if in_context else prefix or runner.prefill([questions.context])
    twin = None
    if intervention is not None and intervention.needs_twin:
        assert questions.twin is not None  # prompts without one are left out
        with naming([f"the twin of {name}" for name in questions.names]):
            twin = runner.twin(questions.twin, outputs=in_context)

    def work(batch: Sequence[int]) -> tuple[Sequence[int], Answered]:
        asked = [suffixes[number] for number in batch]
        ablation = None
        if head_mask is not None and intervention is not None:
            lengths = list(map(len, asked))
            ablation = intervention.ablation(head_mask[list(batch)], lengths, questions.opening, twin)
        decoding = replace(
            runner.decoding,
            stop_when=lambda row, text: is_settled(text, questions.answers[batch[row]], questions.types[batch[row]]),
        )
        with naming([names[number] for number in batch]):
            return batch, runner.answer(
                whole_context or runner.prefill([questions.context], ablation, reserved=reserved),
                asked,
                decoding,
                answers=[expected[number] for number in batch],
                ablation=ablation,
            )

    tokens = reserved + (len(questions.context) if in_context else 0)
    limit: Limit = "cache_tokens" if in_context else "batch_tokens"
    generated, logprob = [""] * len(suffixes), [0.0] * len(suffixes)
    margin: list[float | None] = [None] * len(suffixes)
    for batch, answered in runner.budget.batches(order, tokens, limit, work):
        assert answered.answer_logprob is not None  # answers were given
        told = zip(batch, answered.text, answered.answer_logprob, answered.margin, strict=True)
        for number, text, probability, lead in told:
            generated[number], logprob[number], margin[number] = text, probability, known_margin(lead)
    verdicts = [
        judge(text, wanted, type, questions.document, decoy)._asdict()
        for text, wanted, type, decoy in zip(
            generated, questions.answers, questions.types, questions.decoys, strict=True
        )
    ]
    return pd.DataFrame(verdicts).assign(
        generated=generated, answer_logprob=logprob, margin=pd.Series(margin, dtype=float)
    )

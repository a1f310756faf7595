"""Needle-in-a-haystack prompts, built from token ids.

    [BOS, or the chat template's opening][haystack][needle][haystack][suffix]

The part before the suffix, the context, has exactly context_length − suffix_budget tokens whatever the question, so
that all questions about a document and the null question share it. Text is never decoded and encoded again, and stays
text: control tokens are the opening's and the chat template's alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
from transformers import PreTrainedTokenizerBase

from retrieval_heads.data.answers import Value, locate, statements
from retrieval_heads.data.chat import chat_frame
from retrieval_heads.data.encoding import Encoder, decode
from retrieval_heads.data.haystack import BREAK, OtherDocuments, Prose
from retrieval_heads.data.selection import NO_ANSWER, NO_ROOM, NOT_DECODED, OK
from retrieval_heads.data.sentences import sentence_around
from retrieval_heads.data.twins import Fact, OtherValues, Twin, make_twin, token_span
from retrieval_heads.errors import StudyError
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.tables.prompts import PROMPTS


class Builder:
    """Builds the prompts of one model, in one variant, at one context length.

    Parameters
    ----------
    model : the model's key in the config.
    tokenizer : a fast one, which knows the characters that its tokens stand for.
    haystack : the prose, or None for the other documents of a needle's split.
    questions, settings : the config's ``questions`` and ``prompts``, as they are in this variant.
    context_length : the most tokens a prompt may have.
    seed : the study's seed. Variants of a prompt have the same haystack around the same needle.
    variant : the variant's name in the config.

    Raises
    ------
    StudyError
        when a question's suffix is longer than the budget, the haystack is too short, the chat template cannot frame a
        prompt, or the tokenizer finds a control token in a text.
    """

    def __init__(
        self,
        model: str,
        tokenizer: PreTrainedTokenizerBase,
        haystack: str | None,
        questions: dict[str, dict],
        settings: dict,
        context_length: int,
        seed: int,
        variant: str = PLAIN,
    ):
        if not tokenizer.is_fast:
            raise StudyError(
                f"models.{model}: its tokenizer has no fast version, which is needed; choose another model."
            )
        self.model, self.tokenizer, self.questions, self.variant = model, tokenizer, questions, variant
        self.context_length, self.seed, self.depths = context_length, seed, settings["depths"]
        self.room = context_length - settings["suffix_budget"]
        self.encoder = encoder = Encoder(tokenizer)
        opening, closing = "", ""
        if settings["chat_template"]:
            opening, closing = map(encoder.control, chat_frame(tokenizer, model, settings["date"]))
        bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        self.opening = encoder.ids(opening, "prompts.chat_template") if opening else bos
        self.separator = encoder.ids(BREAK, "a break")  # between haystack and needle; counted as haystack
        self.suffixes = {
            key: self._suffix(settings, q["text"], closing, q["answer_prefix"], f"questions.{key}")
            for key, q in questions.items()
        }
        self.null_suffix = self._suffix(settings, settings["null_question"], closing, "", "prompts.null_question")
        self.prose = None if haystack is None else Prose(haystack, encoder, context_length)

    def _suffix(self, settings: dict, question: str, closing: str, answer_prefix: str, key: str) -> "_Suffix":
        asked = settings["question"].replace("{question}", question)
        # A chat turn ends between the question and the words that begin the answer.
        ids, spans = self.encoder.spans(asked + closing + settings["answer"] + answer_prefix, key)
        if len(ids) > settings["suffix_budget"]:
            raise StudyError(
                f"{key}: its suffix has {len(ids)} tokens, more than prompts.suffix_budget "
                f"({settings['suffix_budget']}); raise the budget or shorten the question."
            )
        # A token in which the question ends and the answer begins has read all of the question.
        return _Suffix(ids, sum(start < len(asked) for start, _ in spans))

    def build(self, documents: pd.DataFrame) -> pd.DataFrame:
        """The prompts table: one row for each document, depth and question, those left out included."""
        prose = self.prose or OtherDocuments(documents, self.encoder, self.context_length)
        values = OtherValues(documents, self.questions, self.seed)
        rows = []
        for document in documents.to_dict("records"):
            twin = self._twin(document, values)
            for depth in self.depths:
                rows += self._document(document, depth, prose, twin)
        return PROMPTS.typed(pd.DataFrame(rows, columns=PROMPTS.columns))

    def _twin(self, document: dict, values: OtherValues) -> Twin:
        """The twin of a document, the same at all depths."""
        where = f"document {document['doc_id']}"
        asked = {
            question: Fact(document[question], settings["type"])
            for question, settings in self.questions.items()
            if document[question] is not None and not pd.isna(document[question])
        }
        others = {question: values.of(document, question) for question in asked}
        return make_twin(document["text"].strip(), asked, others, lambda text: self.encoder.spans(text, where))

    def _document(self, document: dict, depth: float, prose: Prose | OtherDocuments, twin: Twin) -> list[dict]:
        text = document["text"].strip()
        shift = len(document["text"]) - len(document["text"].lstrip())
        needle, offsets = self.encoder.spans(text, f"document {document['doc_id']}")
        context = self._context(needle, depth, document, prose)
        rows = []

        def tokens_of(value: Value) -> tuple[int, int] | None:
            """The needle's tokens, end exclusive, that state a value and nothing else."""
            span = token_span(offsets, value.start, value.end)
            stated = text[value.start : value.end]
            return span if span and decode(self.tokenizer, needle[slice(*span)]).strip() == stated else None

        for question, settings in self.questions.items():
            row = dict.fromkeys(PROMPTS.columns)
            row |= {
                "prompt_id": f"{document['doc_id']}/{question}/{self.context_length}/{depth}",
                "doc_id": document["doc_id"],
                "split": document["split"],
                "model": self.model,
                "question": question,
                "context_length": self.context_length,
                "variant": self.variant,
                "depth": depth,
            }
            rows.append(row)
            answer = document[question]
            if answer is None or pd.isna(answer):
                row["status"] = NO_ANSWER
                continue
            row["answer"] = answer
            if context is None:
                row["status"] = NO_ROOM
                continue
            stated = document[f"{question}_start"]
            value = locate(text, answer, settings["type"], None if pd.isna(stated) else int(stated) - shift)
            span = None if value is None else tokens_of(value)
            if value is None or span is None:
                row["status"] = NOT_DECODED
                continue
            sentence = token_span(offsets, *sentence_around(text, value.start, value.end))
            assert sentence is not None  # it has the answer's tokens
            found = [tokens_of(one) for one in statements(text, answer, settings["type"])]
            places = [(context.needle_start + one[0], context.needle_start + one[1]) for one in found if one]
            row |= {
                "input_ids": context.ids + self.suffixes[question].ids,
                "null_ids": context.ids + self.null_suffix.ids,
                "no_needle_ids": context.without_needle + self.suffixes[question].ids
                if document["split"] == "test"
                else None,
                "needle_start": context.needle_start,
                "needle_end": context.needle_start + len(needle),
                "answer_start": context.needle_start + span[0],
                "answer_end": context.needle_start + span[1],
                "sentence_start": context.needle_start + sentence[0],
                "sentence_end": context.needle_start + sentence[1],
                **_starts_and_ends("statement", places),
                **_starts_and_ends("document", context.documents),
                "suffix_start": len(context.ids),
                "question_end": len(context.ids) + self.suffixes[question].question,
                "null_question_end": len(context.ids) + self.null_suffix.question,
                "opening_end": len(self.opening),
                "twin_ids": context.with_needle(twin.ids) if question in twin.answers else None,
                "twin_answer": twin.answers.get(question),
                "twin_status": twin.statuses[question],
                "status": OK,
            }
        return rows

    def _context(
        self, needle: list[int], depth: float, document: dict, prose: Prose | OtherDocuments
    ) -> "_Context | None":
        """Opening, haystack up to the depth, needle, haystack; None where the needle does not fit."""
        place = len(needle) + 2 * len(self.separator)
        count = self.room - len(self.opening) - place
        if count < 0:
            return None
        draw = partial(generator, self.seed, "haystack", document["doc_id"], self.context_length)
        hay, documents = prose.take(document, count, draw, more=place)
        before = round(depth * count)
        ids = self.opening + hay[:before] + self.separator
        if documents is not None:
            # One that the needle stands in is whole no more.
            documents = [span for span in documents if span[1] <= before or span[0] >= before]
            shifts = [len(self.opening) + (0 if end <= before else place) for _, end in documents]
            documents = [(start + by, end + by) for (start, end), by in zip(documents, shifts, strict=True)]
        return _Context(ids + needle + self.separator + hay[before:count], len(ids), self.opening + hay, documents)


@dataclass(frozen=True)
class _Suffix:
    """What follows a context: tokens, of which the first ``question`` ask, and the others begin the answer."""

    ids: list[int]
    question: int


@dataclass(frozen=True)
class _Context:
    """A context, and the same haystack without the needle, which goes on until it is as long.

    documents: the tokens, end exclusive, of each whole document of the haystack; None where it is prose.
    """

    ids: list[int]
    needle_start: int
    without_needle: list[int]
    documents: list[tuple[int, int]] | None

    def with_needle(self, needle: list[int]) -> list[int]:
        """The ids with another needle of the same length."""
        return self.ids[: self.needle_start] + needle + self.ids[self.needle_start + len(needle) :]


def _starts_and_ends(what: str, spans: Sequence[tuple[int, int]] | None) -> dict[str, list[int] | None]:
    """The two columns that tell where all there are of something are; null where it is not known."""
    starts, ends = (None, None) if spans is None else ([start for start, _ in spans], [end for _, end in spans])
    return {f"{what}_starts": starts, f"{what}_ends": ends}

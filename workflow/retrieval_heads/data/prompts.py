"""Needle-in-a-haystack prompts, built from token ids.

    [BOS, or the chat template's opening][haystack][needle][haystack][suffix]

The part before the suffix, the context, has exactly context_length − suffix_budget tokens whatever the question, so
that all questions about a document and the null question share it. Text is never decoded and encoded again, and stays
text: control tokens are the opening's and the chat template's alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from retrieval_heads.data.answers import Value, locate, loose, statements, written
from retrieval_heads.data.chat import chat_frame
from retrieval_heads.data.encoding import Encoder, decode
from retrieval_heads.data.haystack import BREAK, OtherDocuments, Prose
from retrieval_heads.data.selection import NO_ANSWER, NO_DECOY, NO_ROOM, NO_ROOM_FOR_DECOYS, NOT_DECODED, OK
from retrieval_heads.data.sentences import sentence_around
from retrieval_heads.data.twins import Fact, OtherValues, Twin, make_twin, stands, token_span
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
    decoy : has a sentence of a document say the same of somebody else (see
        :mod:`retrieval_heads.data.documents`). Where it is given, a paragraph of the haystack states all facts of the
        document so, in the document's own words and with other values; it takes the place of as many tokens.

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
        decoy: Callable[[str, str, np.random.Generator], str] | None = None,
    ):
        if not tokenizer.is_fast:
            raise StudyError(
                f"models.{model}: its tokenizer has no fast version, which is needed; choose another model."
            )
        self.model, self.tokenizer, self.questions, self.variant = model, tokenizer, questions, variant
        self.context_length, self.seed, self.depths = context_length, seed, settings["depths"]
        self.decoy = decoy
        self.room = context_length - settings["suffix_budget"]
        self.encoder = encoder = Encoder(tokenizer)
        opening, closing = "", ""
        if settings["chat_template"]:
            opening, closing = map(encoder.control, chat_frame(tokenizer, model, settings["date"]))
        bos = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        self.opening = encoder.ids(opening, "prompts.chat_template") if opening else bos
        self.separator = encoder.ids(BREAK, "a break")  # between haystack and needle; counted as haystack
        self._settings, self._closing = settings, closing
        self.suffixes = {
            key: self.suffix(q["text"], q["answer_prefix"], f"questions.{key}") for key, q in questions.items()
        }
        self.null_suffix = self.suffix(settings["null_question"], "", "prompts.null_question")
        self.prose = None if haystack is None else Prose(haystack, encoder, context_length)

    def suffix(self, question: str, answer_prefix: str, key: str) -> "Suffix":
        """What asks a question.

        Parameters
        ----------
        key : where it is from, for the message.

        Raises
        ------
        StudyError
            when it is longer than the budget.
        """
        asked, begun = self._asked(question, answer_prefix)
        ids, spans = self.encoder.spans(asked + begun, key)
        budget = self._settings["suffix_budget"]
        if len(ids) > budget:
            raise StudyError(
                f"{key}: its suffix has {len(ids)} tokens, more than prompts.suffix_budget ({budget}); raise the "
                "budget or shorten the question."
            )
        # A token in which the question ends and the answer begins has read all of the question.
        return Suffix(ids, sum(start < len(asked) for start, _ in spans))

    def answered(self, question: str, answer_prefix: str, answer: str, key: str) -> list[int]:
        """Token ids of an answer as it continues a question's suffix, behind a blank where that has none."""
        asked = "".join(self._asked(question, answer_prefix))
        blank = "" if asked[-1:].isspace() else " "
        return self.encoder.ids(f"{asked}{blank}{answer}", key)[len(self.encoder.ids(asked, key)) :]

    def _asked(self, question: str, answer_prefix: str) -> tuple[str, str]:
        """The text that asks a question, and the text that begins its answer."""
        # A chat turn ends between the two.
        return (
            self._settings["question"].replace("{question}", question),
            self._closing + self._settings["answer"] + answer_prefix,
        )

    def build(self, documents: pd.DataFrame) -> pd.DataFrame:
        """The prompts table: one row for each document, depth and question, those left out included."""
        prose = self.prose or OtherDocuments(documents, self.encoder, self.context_length)
        values = OtherValues(documents, self.questions, self.seed)
        rows = []
        for document in documents.to_dict("records"):
            twin = self._twin(document, values)
            decoys = None if self.decoy is None else self._decoys(document, values, twin, self.decoy)
            for depth in self.depths:
                rows += self._document(document, depth, prose, twin, decoys)
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

    def _decoys(
        self,
        document: dict,
        values: OtherValues,
        twin: Twin,
        decoy: Callable[[str, str, np.random.Generator], str],
    ) -> "_Decoys":
        """The paragraph that states the facts of a document of somebody else.

        A decoy's value is the first of other documents' that stands neither in the document nor in its twin.
        """
        text, where = document["text"].strip(), f"the decoys of document {document['doc_id']}"
        paragraph, places, answers = "", {}, {}
        for question, value in self._stated(document):
            type_ = self.questions[question]["type"]
            start, end = sentence_around(text, value.start, value.end)
            for other in values.of(document, question):
                if stands(other, loose(text)) or statements(text, other, type_) or other in twin.answers.values():
                    continue
                new = written(other, text[value.start : value.end], type_)
                told = text[start : value.start] + new + text[value.end : end]
                # Each draws anew, and so the same name.
                told = decoy(text, told, generator(self.seed, "decoys", document["doc_id"]))
                if (found := locate(told, other, type_)) is not None:
                    paragraph += " " if paragraph else ""
                    places[question] = len(paragraph) + found.start, len(paragraph) + found.end
                    answers[question] = other
                    paragraph += told
                    break
        ids, offsets = self.encoder.spans(paragraph, where)
        spans = {question: token_span(offsets, *place) for question, place in places.items()}
        return _Decoys(ids, {question: span for question, span in spans.items() if span}, answers)

    def _stated(self, document: dict) -> Iterator[tuple[str, Value]]:
        """Each question whose answer a document states, with the place that counts."""
        text = document["text"].strip()
        shift = len(document["text"]) - len(document["text"].lstrip())
        for question, settings in self.questions.items():
            answer, stated = document[question], document[f"{question}_start"]
            if answer is None or pd.isna(answer):
                continue
            value = locate(text, answer, settings["type"], None if pd.isna(stated) else int(stated) - shift)
            if value is not None:
                yield question, value

    def _document(
        self, document: dict, depth: float, prose: Prose | OtherDocuments, twin: Twin, decoys: "_Decoys | None"
    ) -> list[dict]:
        text = document["text"].strip()
        needle, offsets = self.encoder.spans(text, f"document {document['doc_id']}")
        context = self._context(needle, depth, document, prose, decoys)
        stated = dict(self._stated(document))
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
            if decoys is not None and context.decoys is None:
                row["status"] = NO_ROOM_FOR_DECOYS
                continue
            value = stated.get(question)
            span = None if value is None else tokens_of(value)
            if value is None or span is None:
                row["status"] = NOT_DECODED
                continue
            other = (context.decoys or {}).get(question)
            if decoys is not None and other is None:
                row["status"] = NO_DECOY
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
                "decoy_start": None if other is None else other[0],
                "decoy_end": None if other is None else other[1],
                "decoy_answer": None if decoys is None else decoys.answers[question],
                "status": OK,
            }
        return rows

    def _context(
        self,
        needle: list[int],
        depth: float,
        document: dict,
        prose: Prose | OtherDocuments,
        decoys: "_Decoys | None" = None,
    ) -> "_Context | None":
        """Opening, haystack up to the depth, needle, haystack; None where the needle does not fit."""
        place = len(needle) + 2 * len(self.separator)
        count = self.room - len(self.opening) - place
        if count < 0:
            return None
        draw = partial(generator, self.seed, "haystack", document["doc_id"], self.context_length)
        hay, documents = prose.take(document, count, draw, more=place)
        before = round(depth * count)
        start = None
        if decoys is not None:
            ids = [*self.separator, *decoys.ids, *self.separator]
            rng = generator(self.seed, "decoys", document["doc_id"], self.context_length, depth)
            if (start := _place(len(ids), before, count, rng)) is not None:
                end = start + len(ids)
                hay = hay[:start] + ids + hay[end:]
                documents = documents and [span for span in documents if span[1] <= start or span[0] >= end]
        ids = self.opening + hay[:before] + self.separator
        if documents is not None:
            # One that the needle stands in is whole no more.
            documents = [span for span in documents if span[1] <= before or span[0] >= before]
            shifts = [len(self.opening) + (0 if end <= before else place) for _, end in documents]
            documents = [(start + by, end + by) for (start, end), by in zip(documents, shifts, strict=True)]
        whole = ids + needle + self.separator + hay[before:count]
        context = _Context(whole, len(ids), self.opening + hay, documents)
        if decoys is None or start is None:
            return context
        first = len(self.opening) + start + (0 if start < before else place) + len(self.separator)
        return replace(context, decoys={question: (first + a, first + b) for question, (a, b) in decoys.spans.items()})


def _place(length: int, before: int, count: int, rng: np.random.Generator) -> int | None:
    """Where so many tokens go in a haystack of ``count`` that is parted behind ``before``: anywhere in the longer part,
    with equal chances; None where they are longer than it."""
    start, end = (0, before) if before >= count - before else (before, count)
    return int(rng.integers(start, end - length + 1)) if end - start >= length else None


class _Decoys(NamedTuple):
    """The paragraph that states facts of somebody else.

    ids : its tokens.
    spans : question → which of them, end exclusive, state the decoy's value.
    answers : question → that value.
    """

    ids: list[int]
    spans: Mapping[str, tuple[int, int]]
    answers: Mapping[str, str]


@dataclass(frozen=True)
class Suffix:
    """What follows a context: tokens, of which the first ``question`` ask, and the others begin the answer."""

    ids: list[int]
    question: int


@dataclass(frozen=True)
class _Context:
    """A context, and the same haystack without the needle, which goes on until it is as long.

    documents: the tokens, end exclusive, of each whole document of the haystack; None where it is prose.
    decoys: question → the tokens, end exclusive, that state the value of its decoy; None where there are no decoys.
    """

    ids: list[int]
    needle_start: int
    without_needle: list[int]
    documents: list[tuple[int, int]] | None
    decoys: Mapping[str, tuple[int, int]] | None = None

    def with_needle(self, needle: list[int]) -> list[int]:
        """The ids with another needle of the same length."""
        return self.ids[: self.needle_start] + needle + self.ids[self.needle_start + len(needle) :]


def _starts_and_ends(what: str, spans: Sequence[tuple[int, int]] | None) -> dict[str, list[int] | None]:
    """The two columns that tell where all there are of something are; null where it is not known."""
    starts, ends = (None, None) if spans is None else ([start for start, _ in spans], [end for _, end in spans])
    return {f"{what}_starts": starts, f"{what}_ends": ends}

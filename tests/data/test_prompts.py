from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from planted import BOS, planted_tokenizer
from retrieval_heads import tables
from retrieval_heads.data import answers
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.encoding import Encoder
from retrieval_heads.data.haystack import OtherDocuments, load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import (
    NO_ANSWER,
    NO_ROOM,
    NOT_DECODED,
    OK,
    expected_answer,
    group_by_context,
    usable,
)
from retrieval_heads.errors import StudyError
from retrieval_heads.seeds import generator
from retrieval_heads.study.config import complete
from retrieval_heads.tables.prompts import PROMPTS

ROOT = Path(__file__).parents[2]
CONFIG = complete(
    {
        "study": "prompts",
        "models": {"small": {"source": {"path": "x"}}},
        "documents": {
            "train": 5,
            "test": 3,
            "missing_rate": 0.2,
            "distractors": 0.5,
            "templates": str(ROOT / "resources" / "documents"),
        },
        "questions": {
            "inc_state": {"text": "In which state was it incorporated?", "type": "state"},
            "inc_year": {"text": "In which year was it incorporated?", "type": "year", "answer_prefix": " In the year"},
            "employee_count": {"text": "How many people work for it?", "type": "count"},
            "hq_state": {"text": "Where is it?", "type": "state", "answer_prefix": " It is headquartered in"},
        },
        "prompts": {"context_lengths": [1024]},
    }
)
QUESTIONS, SETTINGS = CONFIG["questions"], CONFIG["prompts"]
BREAK = "\n\n"
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

hay = pytest.fixture(scope="session")(lambda: load_haystack(ROOT / "resources" / "haystack"))
documents = pytest.fixture(scope="session")(lambda: make_documents(CONFIG, 1))


@pytest.fixture(scope="session")
def crowd():
    """More documents, enough to surround each other."""
    return make_documents(CONFIG | {"documents": CONFIG["documents"] | {"train": 8, "test": 8}}, 1)


@pytest.fixture(scope="session")
def corpus(hay, crowd, documents):
    return " ".join(
        [hay, *documents["text"], *crowd["text"], *(q["text"] for q in QUESTIONS.values()), "Question: N/A Answer:"]
    )


@pytest.fixture(scope="session")
def tokenizer(corpus):
    return planted_tokenizer(corpus)


@pytest.fixture(scope="session")
def separator(tokenizer):
    return tokenizer(BREAK)["input_ids"]


@pytest.fixture(scope="session")
def haystack(tokenizer, hay):
    return tokenizer(hay)["input_ids"]


@pytest.fixture(scope="session")
def without_bos(corpus):
    tokenizer = planted_tokenizer(corpus)
    tokenizer.bos_token = None
    return tokenizer


@pytest.fixture(scope="session")
def chatty(corpus):
    tokenizer = planted_tokenizer(corpus)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture
def make(tokenizer, hay):
    """A builder with some of its settings changed."""

    def make(length=1024, seed=1, tokenizer=tokenizer, haystack=hay, questions=QUESTIONS, **settings):
        return Builder("small", tokenizer, haystack, questions, SETTINGS | settings, length, seed)

    return make


POSITIONS = [
    *(f"{what}_{edge}" for what in ("needle", "answer", "sentence") for edge in ("start", "end")),
    "suffix_start",
    "question_end",
    "null_question_end",
    "opening_end",
]


def rows_of(prompts, status=OK):
    return prompts[prompts["status"] == status].to_dict("records")


def document(text, answer, start=None, **more):
    """A documents table of one document about one question, ``fact``."""
    row = {"doc_id": "d1", "split": "train", "text": text, "fact": answer, "fact_start": start, "source": "hand"}
    return pd.DataFrame([row | more]).astype({"fact_start": "Int32"})


def question(type, text="What?"):
    return {"fact": {"text": text, "type": type, "answer_prefix": ""}}


def prose_of(row, opening, separator):
    """The haystack's part of a prompt: what stands before the needle and what stands behind it."""
    ids, start, end = row["input_ids"], row["needle_start"], row["needle_end"]
    assert ids[start - len(separator) : start] == separator == ids[end : end + len(separator)]
    return ids[opening : start - len(separator)], ids[end + len(separator) : row["suffix_start"]]


def holds(whole, part):
    """Whether one list of ids stands in another, in one piece."""
    return "".join(map(chr, part)) in "".join(map(chr, whole))


def without_needle(row, opening):
    """The haystack's part of the prompt without the needle, which is as long and ends in the same question."""
    ids, start = row["no_needle_ids"], row["suffix_start"]
    assert len(ids) == len(row["input_ids"]) and ids[start:] == row["input_ids"][start:]
    assert ids[:opening] == row["input_ids"][:opening]
    assert not holds(ids, row["input_ids"][row["needle_start"] : row["needle_end"]])
    return ids[opening:start]


class TestEveryPrompt:
    @given(
        length=st.integers(100, 4000),
        depths=st.lists(st.floats(0, 1).map(lambda depth: round(depth, 3)), min_size=1, max_size=3, unique=True),
        picked=st.sets(st.integers(0, 7), min_size=1, max_size=3),
        budget=st.integers(32, 96),
        seed=st.integers(0, 99),
        bos=st.booleans(),
    )
    @settings(max_examples=40)
    def test_it_is_as_defined(
        self, hay, haystack, separator, documents, tokenizer, without_bos, length, depths, picked, budget, seed, bos
    ):
        tok = tokenizer if bos else without_bos
        opening = [tok.bos_token_id] if bos else []
        chosen = documents.iloc[sorted(picked)]
        by_id = {row["doc_id"]: row for row in chosen.to_dict("records")}
        prompt_settings = SETTINGS | {"depths": depths, "suffix_budget": budget}
        prompts = Builder("small", tok, hay, QUESTIONS, prompt_settings, length, seed).build(chosen)

        assert len(prompts) == len(chosen) * len(depths) * len(QUESTIONS)
        assert prompts["prompt_id"].is_unique
        assert not rows_of(prompts, NOT_DECODED)
        for row in prompts.to_dict("records"):
            source = by_id[row["doc_id"]]
            needle = tok(source["text"])["input_ids"]
            room = length - budget - len(opening) - len(needle) - 2 * len(separator)
            if pd.isna(source[row["question"]]):
                assert row["status"] == NO_ANSWER
            else:
                assert row["status"] == (OK if room >= 0 else NO_ROOM)
            if row["status"] != OK:
                continue
            ids, null_ids = row["input_ids"], row["null_ids"]
            assert row["suffix_start"] == length - budget
            assert row["suffix_start"] < len(ids) <= length
            assert row["suffix_start"] < len(null_ids) <= length
            assert ids[: row["suffix_start"]] == null_ids[: row["suffix_start"]]
            assert ids[: len(opening)] == opening

            assert tok.decode(ids[row["needle_start"] : row["needle_end"]]).strip() == source["text"].strip()
            surface = tok.decode(ids[row["answer_start"] : row["answer_end"]])
            stated = source["text"][source[f"{row['question']}_start"] :]
            assert stated.startswith(surface.strip())
            assert row["needle_start"] <= row["answer_start"] < row["answer_end"] <= row["needle_end"]
            assert answers.canonical(surface, QUESTIONS[row["question"]]["type"]) == row["answer"]
            assert row["answer"] == source[row["question"]]

            sentence = tok.decode(ids[row["sentence_start"] : row["sentence_end"]]).strip()
            assert row["needle_start"] <= row["sentence_start"] <= row["answer_start"]
            assert row["answer_end"] <= row["sentence_end"] <= row["needle_end"]
            # The generator's sentences end with a full stop, and with no other inside but those of abbreviations.
            assert surface.strip() in sentence
            assert sentence.endswith(".")
            assert "\n\n" not in sentence
            places = list(zip(row["statement_starts"], row["statement_ends"], strict=True))
            assert (row["answer_start"], row["answer_end"]) in places
            for first, last in places:
                told = answers.canonical(tok.decode(ids[first:last]), QUESTIONS[row["question"]]["type"])
                assert told == row["answer"]
            assert row["document_starts"] is row["document_ends"] is None

            before, behind = prose_of(row, len(opening), separator)
            assert len(before) == round(row["depth"] * room)
            assert len(before) + len(behind) == room
            assert holds(haystack, before + behind)

            if row["split"] == "train":
                assert row["no_needle_ids"] is None
            else:
                alone = without_needle(row, len(opening))
                assert alone[:room] == before + behind
                # It goes on as the prose does, which begins anew where it ends.
                assert holds([*haystack, *separator, *haystack], alone)
        contexts = {}
        for row in rows_of(prompts):
            contexts.setdefault((row["doc_id"], row["depth"]), set()).add(tuple(row["input_ids"][: length - budget]))
        assert all(len(same) == 1 for same in contexts.values())

    def test_the_table_fits_its_schema(self, make, documents, tmp_path):
        prompts = make(depths=[0, 1]).build(documents)
        assert set(prompts["status"]) == {OK, NO_ANSWER}
        tables.write(prompts, tmp_path / "prompts.parquet", PROMPTS)
        read = tables.read(tmp_path / "prompts.parquet", PROMPTS)
        by_pandas = pd.read_parquet(tmp_path / "prompts.parquet")
        assert {str(frame[name].dtype) for frame in (prompts, read, by_pandas) for name in POSITIONS} == {"Int32"}
        assert read["prompt_id"].tolist() == prompts["prompt_id"].tolist()
        first = rows_of(read)[0]
        assert first["input_ids"].tolist() == rows_of(prompts)[0]["input_ids"]
        assert (first["model"], first["context_length"]) == ("small", 1024)

    def test_what_is_left_out_has_no_tokens(self, make, documents):
        for row in rows_of(make(length=200).build(documents), NO_ROOM):
            assert row["answer"] is not None
            assert all(row[key] is None or pd.isna(row[key]) for key in ("input_ids", "null_ids", "needle_start"))


class TestText:
    def test_question_and_answer_stand_at_the_end(self, make, documents, tokenizer):
        for row in rows_of(make().build(documents)):
            entry = QUESTIONS[row["question"]]
            suffix = tokenizer.decode(row["input_ids"][row["suffix_start"] :])
            assert suffix == f"\n\nQuestion: {entry['text']}\nAnswer:{entry['answer_prefix']}"
            assert tokenizer.decode(row["null_ids"][row["suffix_start"] :]) == "\n\nQuestion: N/A\nAnswer:"

    def test_the_question_ends_where_the_answer_begins(self, make, documents, tokenizer, chatty):
        for words, framed in ((tokenizer, False), (chatty, True)):
            for row in rows_of(make(tokenizer=words, chat_template=framed).build(documents)):
                text = QUESTIONS[row["question"]]["text"]
                for ids, end, asked in (
                    (row["input_ids"], row["question_end"], text),
                    (row["null_ids"], row["null_question_end"], "N/A"),
                ):
                    # The token of the question's last letters may hold the line break behind it.
                    assert words.decode(ids[row["suffix_start"] : end]).rstrip("\n") == f"\n\nQuestion: {asked}"
                    assert words.decode(ids[end:]).endswith(("Answer:", QUESTIONS[row["question"]]["answer_prefix"]))

    def test_the_whole_reads_as_prose_document_prose_question(self, make, documents, tokenizer, hay):
        row = rows_of(make(depths=[0.3]).build(documents))[0]
        text = tokenizer.decode(row["input_ids"])
        before, needle, behind = text.removeprefix(BOS).partition(documents.set_index("doc_id")["text"][row["doc_id"]])
        assert needle and before.endswith(BREAK) and behind.startswith(BREAK)
        prose = before.removesuffix(BREAK) + behind.removeprefix(BREAK).partition("\n\nQuestion: ")[0]
        assert prose in hay

    def test_a_tokenizer_without_bos_begins_with_prose(self, make, documents, without_bos, hay):
        row = rows_of(make(tokenizer=without_bos).build(documents))[0]
        assert hay.find(without_bos.decode(row["input_ids"][:40])) >= 0


class TestPlace:
    @pytest.mark.parametrize("depth", [0, 0.25, 0.5, 1])
    def test_the_needle_starts_at_its_depth(self, make, documents, separator, depth):
        for row in rows_of(make(depths=[depth]).build(documents)):
            before, behind = prose_of(row, 1, separator)
            assert len(before) == round(depth * (len(before) + len(behind)))

    @pytest.mark.parametrize(("spare", "status"), [(0, OK), (-1, NO_ROOM)])
    def test_a_document_may_fill_the_context_to_the_last_token(self, make, documents, tokenizer, spare, status):
        one = documents[documents["hq_state"].notna()][:1]
        needle = len(tokenizer(one["text"].item())["input_ids"])
        length = SETTINGS["suffix_budget"] + 1 + needle + 2 * len(tokenizer(BREAK)["input_ids"]) + spare
        prompts = make(length, depths=[0, 0.5, 1]).build(one)
        assert set(prompts.loc[prompts["question"] == "hq_state", "status"]) == {status}

    def test_the_prose_begins_with_a_paragraph(self, make, documents, tokenizer, separator, hay):
        paragraphs = hay.split(BREAK)
        for seed in range(5):
            for row in rows_of(make(seed=seed, depths=[1]).build(documents)):
                before, _ = prose_of(row, 1, separator)
                text = tokenizer.decode(before)
                assert any(text.startswith(paragraph[:100]) for paragraph in paragraphs)

    def test_a_prompt_does_not_depend_on_other_documents_questions_or_depths(self, make, documents):
        whole = make(depths=[0.2, 0.8]).build(documents).set_index("prompt_id")
        fewer = {key: QUESTIONS[key] for key in ("hq_state", "inc_year")}
        part = make(depths=[0.8], questions=fewer).build(documents[2:5]).set_index("prompt_id")
        # Twins take their values from the other documents.
        but_twins = [column for column in part if not column.startswith("twin_")]
        pd.testing.assert_frame_equal(part[but_twins], whole.loc[part.index, but_twins], check_dtype=False)

    def test_the_seed_chooses_the_prose(self, make, documents, separator):
        def prose(seed):
            rows = rows_of(make(seed=seed).build(documents))
            stretches = {row["doc_id"]: prose_of(row, 1, separator) for row in rows}
            return {doc_id: before + behind for doc_id, (before, behind) in stretches.items()}

        assert prose(1) == prose(1)
        one, other = prose(1), prose(2)
        assert sum(one[doc_id] != other[doc_id] for doc_id in one) > len(one) / 2
        assert len({tuple(stretch[:50]) for stretch in one.values()}) > len(one) / 2


class TestLeftOut:
    def test_a_missing_fact(self, make):
        (row,) = make(questions=question("state")).build(document("It lies in Ohio.", None)).to_dict("records")
        assert row["status"] == NO_ANSWER and row["answer"] is None

    def test_a_fact_that_is_not_where_it_should_be(self, make):
        builder = make(questions=question("state"))
        text = "Ohio was first. It lies in Ohio."
        for start, status in ((0, OK), (text.rindex("Ohio"), OK), (None, OK), (5, NOT_DECODED)):
            (row,) = builder.build(document(text, "Ohio", start)).to_dict("records")
            assert row["status"] == status, start
        (row,) = builder.build(document("It lies in Utah.", "Ohio")).to_dict("records")
        assert row["status"] == NOT_DECODED

    def test_the_stated_one_of_several_is_taken(self, make, tokenizer):
        text = "Ohio was first. It lies in Ohio."
        for start in (0, text.rindex("Ohio")):
            (row,) = make(questions=question("state")).build(document(text, "Ohio", start)).to_dict("records")
            ahead = tokenizer.decode(row["input_ids"][row["needle_start"] : row["answer_start"]])
            assert ahead == text[:start].rstrip(" ")

    def test_white_space_around_a_document_moves_its_answer(self, make, tokenizer):
        text = " \n It lies in Ohio. \n"
        (row,) = make(questions=question("state")).build(document(text, "Ohio", text.index("Ohio"))).to_dict("records")
        assert row["status"] == OK
        assert tokenizer.decode(row["input_ids"][row["needle_start"] : row["needle_end"]]) == text.strip()
        assert tokenizer.decode(row["input_ids"][row["answer_start"] : row["answer_end"]]) == " Ohio"

    def test_an_answer_that_shares_a_token_with_its_neighbour(self, make, corpus):
        tokenizer = planted_tokenizer(corpus)
        tokenizer.add_tokens(["Ohio."])
        builder = make(tokenizer=tokenizer, questions=question("state"))
        for text, status in (("It lies in Ohio.", NOT_DECODED), ("Ohio is where it lies.", OK)):
            (row,) = builder.build(document(text, "Ohio", text.index("Ohio"))).to_dict("records")
            assert row["status"] == status

    @pytest.mark.parametrize(
        ("type", "text", "answer", "surface"),
        [
            ("year", "Founded in 1987, it grew.", "1987", "1987"),
            ("count", "It has 16,042 people.", "16042", "16,042"),
            ("state", "It lies in Lancaster, New\u00a0York.", "New York", "New\u00a0York"),
            ("text", "Its head is Ann O'Neil now.", "Ann ONeil", "Ann O'Neil"),
        ],
    )
    def test_an_answer_of_several_tokens(self, make, corpus, type, text, answer, surface):
        tokenizer = planted_tokenizer(corpus + "\u00a0York O'Neil")
        builder = make(tokenizer=tokenizer, questions=question(type))
        (row,) = builder.build(document(text, answers.canonical(answer, type))).to_dict("records")
        assert row["status"] == OK
        assert tokenizer.decode(row["input_ids"][row["answer_start"] : row["answer_end"]]).strip() == surface


CONTROL = [BOS, "<think>", "<|im_end|>"]


@pytest.fixture(scope="session")
def marked(corpus):
    tokenizer = planted_tokenizer(corpus)
    tokenizer.add_tokens(["<think>", "<|im_end|>"])
    tokenizer.chat_template = "{{ bos_token }}{{ messages[0].content }}<|im_end|>"
    return tokenizer


class TestTextStaysText:
    """Control tokens that stand in what the user wrote."""

    @pytest.mark.parametrize("haystack", ["prose", None])
    @pytest.mark.parametrize("chat", [False, True])
    @pytest.mark.parametrize("token", CONTROL)
    def test_in_documents_prose_questions_and_answers(self, make, hay, marked, token, chat, haystack):
        text = f"It {token}lies in Ohio{token}. "
        one, *others = (document(text + "So it goes. " * 40, "Ohio", doc_id=f"d{number}") for number in range(4))
        asked = {"fact": {"text": f"Where{token}?", "type": "state", "answer_prefix": f" It {token}"}}
        prose = hay.replace(". ", f".{token} ") if haystack else None
        builder = make(
            *(400, 1, marked, prose, asked), chat_template=chat, null_question=token, answer=f"Answer{token}:"
        )
        number = marked.convert_tokens_to_ids(token)
        rows = rows_of(builder.build(pd.concat([one, *others])))
        assert len(rows) == 4
        for row in rows:
            meant = [marked.bos_token_id] + [marked.convert_tokens_to_ids("<|im_end|>")] * chat
            for ids in (row["input_ids"], row["null_ids"]):
                assert list(ids).count(number) == meant.count(number)
            assert marked.decode(row["input_ids"][row["needle_start"] : row["needle_end"]]).startswith(text)
            assert marked.decode(row["input_ids"][row["answer_start"] : row["answer_end"]]) == " Ohio"
            end = f"\n\nQuestion: Where{token}?\n{'<|im_end|>' * chat}Answer{token}: It {token}"
            assert marked.decode(row["input_ids"][row["suffix_start"] :]) == end
            assert marked.decode(row["input_ids"][: row["needle_start"]]).count(token) > (token == BOS)

    def test_what_cannot_be_told_from_text_names_its_document(self, make, corpus):
        backend = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "Ohio": 2, "a": 3}, unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        words = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")
        builder = make(64, tokenizer=words, haystack="a a. " * 99, questions=question("state"), suffix_budget=9)
        with pytest.raises(StudyError, match=r"^document d1: the model's tokenizer takes '</s>' in this text"):
            builder.build(document("a </s> Ohio", "Ohio"))
        with pytest.raises(StudyError, match=r"^prompts\.haystack: the model's tokenizer takes '</s>'"):
            make(64, tokenizer=words, haystack="a </s>", questions=question("state"))
        with pytest.raises(StudyError, match=r"^questions\.fact: the model's tokenizer takes '</s>'"):
            make(64, tokenizer=words, questions=question("state", "What </s> ?"))


@pytest.mark.thorough
class TestOtherDocumentsAsHaystack:
    """With ``prompts.haystack: documents``."""

    @given(length=st.integers(400, 900), depth=st.sampled_from([0, 0.3, 1]), seed=st.integers(0, 99))
    @settings(max_examples=15)
    def test_they_stand_around_the_needle_whole_and_once(self, crowd, tokenizer, separator, length, depth, seed):
        ids = {row["doc_id"]: tokenizer(row["text"])["input_ids"] for row in crowd.to_dict("records")}
        builder = Builder("small", tokenizer, None, QUESTIONS, SETTINGS | {"depths": [depth]}, length, seed)
        rows = rows_of(builder.build(crowd))
        assert rows
        for row in rows:
            needle = row["input_ids"][row["needle_start"] : row["needle_end"]]
            assert needle == ids[row["doc_id"]]
            assert "".join(map(chr, row["input_ids"])).count("".join(map(chr, needle))) == 1
            before, after = prose_of(row, opening=1, separator=separator)
            others = [name for name in ids if name.startswith(row["split"]) and name != row["doc_id"]]
            rest = before + after
            if row["split"] == "test":
                alone = without_needle(row, 1)
                assert alone[: len(rest)] == rest
                rest = alone[: sum(len(ids[name]) + len(separator) for name in others)]
            told = list(zip(row["document_starts"], row["document_ends"], strict=True))
            for first, last in told:
                # Ground truth: whole, and on one side of the needle.
                assert row["input_ids"][first:last] in [ids[name] for name in others]
                assert last <= row["needle_start"] or row["needle_end"] <= first
            stretches = ["".join(map(chr, one)) for one in (before, after)]
            whole = [name for name in others if any("".join(map(chr, ids[name])) in one for one in stretches)]
            assert len(told) == len(whole)
            while rest:
                # Ground truth: whole documents, one after the other and none twice, of which the last is cut.
                which = next(name for name in others if rest[: len(ids[name])] == ids[name][: len(rest)])
                others.remove(which)
                rest = rest[len(ids[which]) :]
                assert rest[: len(separator)] == separator[: len(rest)]
                rest = rest[len(separator) :]

    def test_the_same_seed_takes_the_same_ones(self, make, crowd):
        first, again, other = (make(600, seed, haystack=None).build(crowd)["input_ids"].tolist() for seed in (1, 1, 2))
        assert first == again != other

    def test_a_further_document_leaves_the_others_in_order(self, make, crowd, tokenizer):
        def order(documents):
            prose = OtherDocuments(documents, Encoder(tokenizer), 4096)
            drawn = partial(generator, 1, "haystack")
            text = tokenizer.decode(prose.take(crowd.iloc[0].to_dict(), 1200, drawn).ids)
            return [name for name in sorted(starts, key=lambda name: text.find(starts[name])) if starts[name] in text]

        starts = {row["doc_id"]: row["text"][:120] for row in crowd.to_dict("records")}
        whole, fewer = order(crowd), order(crowd.drop(index=crowd.index[2]))
        assert len(whole) >= 3
        assert [name for name in whole if name != crowd["doc_id"].iloc[2]][: len(fewer)] == fewer[: len(whole) - 1]

    def test_without_the_needle_they_begin_anew_where_there_are_no_more(self, crowd, tokenizer, separator):
        two = crowd[crowd["doc_id"].isin(["test-0001", "test-0002"])]
        needle, other = (tokenizer(text)["input_ids"] for text in two["text"])
        length = SETTINGS["suffix_budget"] + 1 + len(needle) + 2 * len(separator) + len(other)
        builder = Builder("small", tokenizer, None, QUESTIONS, SETTINGS, length, 1)
        for row in rows_of(builder.build(two))[:1]:
            again = [*other, *separator] * 3
            assert without_needle(row, 1) == again[: len(other) + len(needle) + 2 * len(separator)]

    def test_too_few_of_them(self, make, crowd):
        few = crowd[crowd["doc_id"].isin(["train-0001", "train-0002", "test-0001"])]
        sentence = (
            r"^prompts\.haystack: the other documents of the train split have \d+ tokens, and a context of 2048 needs"
        )
        with pytest.raises(StudyError, match=sentence):
            make(2048, haystack=None).build(few)
        with pytest.raises(StudyError, match=r"of the test split have 0 tokens, .*; add documents or give shorter"):
            make(600, haystack=None).build(few.iloc[2:])


class TestRefused:
    def test_a_question_longer_than_the_budget(self, make, tokenizer):
        longest = len(tokenizer("\n\nQuestion: Where is it?\nAnswer: It is headquartered in")["input_ids"])
        short = {"hq_state": QUESTIONS["hq_state"]}
        assert make(questions=short, suffix_budget=longest)
        with pytest.raises(StudyError, match=rf"^questions\.hq_state: .* {longest} tokens, .*\({longest - 1}\)"):
            make(questions=short, suffix_budget=longest - 1)

    def test_a_null_question_longer_than_the_budget(self, make):
        with pytest.raises(StudyError, match=r"^prompts\.null_question: its suffix has \d+ tokens"):
            make(null_question="N/A " * 60)

    def test_a_haystack_that_is_too_short(self, make, hay, documents, tokenizer):
        short = hay[:2000]
        tokens = len(tokenizer(short)["input_ids"])
        with pytest.raises(StudyError, match=rf"^prompts\.haystack: it has {tokens} tokens, .* context of 2048 needs"):
            make(2048, haystack=short).build(documents)

    def test_a_tokenizer_without_a_fast_version(self, make):
        with pytest.raises(StudyError, match=r"^models\.small: its tokenizer has no fast version"):
            make(tokenizer=SimpleNamespace(is_fast=False))


class TestChatTemplate:
    def test_it_frames_the_prompt(self, make, documents, chatty):
        for row in rows_of(make(tokenizer=chatty, chat_template=True).build(documents)):
            entry, ids = QUESTIONS[row["question"]], row["input_ids"]
            assert ids[0] == chatty.bos_token_id and ids.count(chatty.bos_token_id) == 1
            assert row["suffix_start"] == 1024 - SETTINGS["suffix_budget"]
            assert chatty.decode(ids).startswith(f"{BOS}<|user|>")
            end = f"<|end|><|assistant|>Answer:{entry['answer_prefix']}"
            assert chatty.decode(ids[row["suffix_start"] :]) == f"\n\nQuestion: {entry['text']}\n{end}"
            assert chatty.decode(row["null_ids"]).endswith("\n\nQuestion: N/A\n<|end|><|assistant|>Answer:")
            assert row["null_ids"][: row["suffix_start"]] == ids[: row["suffix_start"]]

    def test_depth_is_counted_without_the_opening(self, make, documents, chatty, separator):
        opening = len(chatty(f"{BOS}<|user|>", add_special_tokens=False)["input_ids"])
        for depth in (0, 0.4, 1):
            for row in rows_of(make(tokenizer=chatty, chat_template=True, depths=[depth]).build(documents)):
                before, behind = prose_of(row, opening, separator)
                assert len(before) == round(depth * (len(before) + len(behind)))

    def test_it_counts_against_the_budget(self, make, chatty, tokenizer):
        plain = len(tokenizer("\n\nQuestion: Where is it?\nAnswer: It is headquartered in")["input_ids"])
        short = {"hq_state": QUESTIONS["hq_state"]}
        with pytest.raises(StudyError, match=r"^questions\.hq_state: its suffix has"):
            make(tokenizer=chatty, questions=short, chat_template=True, suffix_budget=plain)

    def test_a_thought_is_closed_and_the_day_is_the_configs(self, make, documents, corpus):
        tokenizer = planted_tokenizer(corpus)
        tokenizer.chat_template = (
            "{{ strftime_now('%d.%m.%Y') }} {{ messages[0].content }}{{ '<answer><think>' }}{#</think>#}"
        )
        settings = {"tokenizer": tokenizer, "chat_template": True}
        for date, day in ((SETTINGS["date"], "26.07.2024"), ("2025-01-02", "02.01.2025")):
            row = rows_of(make(**settings, date=date).build(documents[:1]))[0]
            text = tokenizer.decode(row["input_ids"])
            assert text.startswith(f"{day} ")
            assert "<answer><think>\n\n</think>\n\nAnswer:" in text[-120:]

    def test_it_is_left_alone_unless_asked_for(self, make, documents, chatty):
        plain, chat = make().build(documents), make(tokenizer=chatty).build(documents)
        pd.testing.assert_frame_equal(plain, chat)

    def test_a_tokenizer_without_one(self, make):
        with pytest.raises(StudyError, match=r"^prompts\.chat_template: the tokenizer of small has no chat template"):
            make(chat_template=True)


class TestStatements:
    """All places that state an answer, and the sentence around the first."""

    TEXT = (
        "Acme Inc. was founded in Ohio. It has a mill in OH, and one in Texas.\n\n"
        "The State of Ohio is its home, not Ohio Street."
    )

    def test_they_are_told_by_value_and_in_order(self, make, tokenizer):
        (row,) = make(questions=question("state")).build(document(self.TEXT, "Ohio")).to_dict("records")
        ids = row["input_ids"]
        told = [tokenizer.decode(ids[a:b]) for a, b in zip(row["statement_starts"], row["statement_ends"], strict=True)]
        assert told == [" Ohio", " OH", " Ohio"]
        assert row["statement_starts"][0] == row["answer_start"]
        sentence = tokenizer.decode(ids[row["sentence_start"] : row["sentence_end"]])
        assert sentence == "Acme Inc. was founded in Ohio."

    def test_the_sentence_is_that_of_the_place_that_the_table_names(self, make, tokenizer):
        start = self.TEXT.index("Ohio is")
        table = document(self.TEXT, "Ohio", start)
        (row,) = make(questions=question("state")).build(table).to_dict("records")
        sentence = tokenizer.decode(row["input_ids"][row["sentence_start"] : row["sentence_end"]])
        assert sentence == "The State of Ohio is its home, not Ohio Street."
        assert row["statement_starts"][-1] == row["answer_start"]

    def test_what_was_left_out_has_none(self, make):
        (row,) = make(questions=question("state")).build(document(self.TEXT, None)).to_dict("records")
        assert row["statement_starts"] is None
        assert pd.isna(row["sentence_start"])


class TestUsable:
    TABLE = pd.DataFrame(
        [
            ("a", "train", OK),
            ("b", "test", NO_ROOM),
            ("c", "train", OK),
            ("d", "train", NO_ANSWER),
            ("e", "test", NO_ROOM),
        ],
        columns=["prompt_id", "split", "status"],
    ).reindex(columns=PROMPTS.columns)
    TABLE.loc[TABLE["status"] == OK, POSITIONS] = 7

    def test_the_good_ones_of_a_split_in_order(self):
        chosen = usable(self.TABLE, "train", "x.parquet")
        assert chosen["prompt_id"].tolist() == ["a", "c"]
        assert chosen[POSITIONS].to_numpy().tolist() == [[7] * len(POSITIONS)] * 2

    def test_a_split_without_any_says_why(self):
        with pytest.raises(StudyError, match=rf"^x\.parquet: no usable prompt in the test split \(2 × {NO_ROOM}\)"):
            usable(self.TABLE, "test", "x.parquet")

    def test_a_table_without_rows(self):
        with pytest.raises(StudyError, match=r"^x\.parquet: no usable prompt in the test split"):
            usable(self.TABLE[:0], "test", "x.parquet")

    def test_a_context_shorter_than_its_needle(self, make, documents):
        with pytest.raises(StudyError, match=rf"^x\.parquet: no usable prompt in the train split \(.*{NO_ROOM}"):
            usable(make(length=100).build(documents), "train", "x.parquet")


def test_prompts_that_share_a_context_come_together(make, documents):
    prompts = make(depths=[0.2, 0.8]).build(documents)
    good = prompts[prompts["status"] == OK]
    groups = list(group_by_context(good))
    assert pd.concat(groups)["prompt_id"].tolist() == good["prompt_id"].tolist()
    assert all(group["doc_id"].nunique() == group["depth"].nunique() == 1 for group in groups)
    assert len(groups) == len(good[["doc_id", "depth"]].drop_duplicates())
    for group in groups:
        assert len({tuple(ids[:960]) for ids in group["input_ids"]}) == 1


class Pieces:
    """A tokenizer whose tokens are pieces of text; one in the manner of SentencePiece drops a blank at the start."""

    def __init__(self, *pieces, drops=False):
        self.pieces, self.drops = pieces, drops

    def decode(self, ids):
        text = "".join(self.pieces[i] for i in ids)
        return text.removeprefix(" ") if self.drops else text


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize(
    ("before", "answer", "suffix", "expected"),
    [
        ([" in", " "], ["2", "0"], [" in"], [" ", "2", "0"]),  # the blank before a number is a token
        ([" the", " in"], [" Ohio"], [" in"], [" Ohio"]),  # the blank is the token's own
        ([" in", " "], ["2", "0"], [" in", " "], ["2", "0"]),  # the suffix ends in it
        ([" year", "\n"], ["2", "0"], [" in"], ["2", "0"]),  # a new line is no blank
        ([" ", "("], ["2", "0"], [" in"], ["2", "0"]),
    ],
)
def test_the_blank_before_an_answer_comes_before_it(before, answer, suffix, expected, drops):
    pieces = [*before, *answer, *suffix]
    prompt = SimpleNamespace(
        input_ids=range(len(pieces)), answer_start=len(before), answer_end=len(before) + len(answer)
    )
    ids = expected_answer(Pieces(*pieces, drops=drops), prompt)
    assert [pieces[i] for i in ids] == expected

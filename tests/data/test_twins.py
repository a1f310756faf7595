import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted import planted_tokenizer
from retrieval_heads.data.answers import find_values, judge, statements, written
from retrieval_heads.data.documents import make_documents
from retrieval_heads.data.haystack import load_haystack
from retrieval_heads.data.prompts import Builder
from retrieval_heads.data.selection import OK
from retrieval_heads.data.twins import (
    FIRST_TOKEN,
    NO_OTHER,
    OTHER_GIVEN,
    STANDS,
    TOKENS,
    UNREADABLE,
    Fact,
    OtherValues,
    make_twin,
)
from retrieval_heads.study.config import complete

ROOT = Path(__file__).parents[2]
CONFIG = complete(
    {
        "study": "twins",
        "models": {"small": {"source": {"path": "x"}}},
        "documents": {
            "train": 8,
            "test": 4,
            "distractors": 1,
            "templates": str(ROOT / "resources" / "documents"),
        },
        "questions": {
            "inc_state": {"text": "In which state was it incorporated?", "type": "state"},
            "inc_year": {"text": "In which year was it incorporated?", "type": "year"},
            "employee_count": {"text": "How many people work for it?", "type": "count"},
            "hq_state": {"text": "Where is it?", "type": "state"},
        },
        "prompts": {"context_lengths": [1024], "depths": [0.2, 0.8]},
    }
)
QUESTIONS = CONFIG["questions"]
HAYSTACK = load_haystack(ROOT / "resources" / "haystack")


@pytest.fixture(scope="module")
def documents():
    return make_documents(CONFIG, 1)


@pytest.fixture(scope="module")
def tokenizer(documents):
    asked = (q["text"] for q in QUESTIONS.values())
    return planted_tokenizer(" ".join([HAYSTACK, *documents["text"], *asked, "Question: N/A Answer:"]))


@pytest.fixture(scope="module")
def prompts(documents, tokenizer):
    settings = CONFIG["prompts"]
    return Builder("small", tokenizer, HAYSTACK, QUESTIONS, settings, 1024, 1).build(documents)


def words(text):
    """A tokenizer for which each word is a token, and each sign; blanks are none."""
    found = [(match[0], match.span()) for match in re.finditer(r"\w+|[^\w\s]", text)]
    return [hash(word) for word, _ in found], [span for _, span in found]


def digits(text):
    """The same, with a token for each digit."""
    found = [(match[0], match.span()) for match in re.finditer(r"\d|[^\W\d]+|[^\w\s]", text)]
    return [hash(word) for word, _ in found], [span for _, span in found]


def twin_of(text, answer, type, *values, encode=words):
    return make_twin(text, {"fact": Fact(answer, type)}, {"fact": values}, encode)


def status_of(*given, **options):
    return twin_of(*given, **options).statuses["fact"]


class TestPrompts:
    def test_most_facts_have_one(self, prompts):
        usable = prompts[prompts["status"] == OK]
        assert (usable["twin_status"] == OK).mean() > 0.8
        assert (usable["twin_ids"].notna() == (usable["twin_status"] == OK)).all()
        assert prompts.loc[prompts["status"] != OK, "twin_status"].isna().all()

    def test_differ_where_a_fact_is_stated_and_nowhere_else(self, prompts):
        for _, rows in prompts[prompts["status"] == OK].groupby(["doc_id", "depth"]):
            stated = [
                range(start, end)
                for row in rows.itertuples()
                for start, end in zip(row.statement_starts, row.statement_ends, strict=True)
            ]
            free = {place for span in stated for place in span}
            for row in rows[rows["twin_status"] == OK].itertuples():
                context = row.input_ids[: row.suffix_start]
                assert len(row.twin_ids) == len(context)
                differ = {i for i, (a, b) in enumerate(zip(context, row.twin_ids, strict=True)) if a != b}
                assert row.answer_start in differ
                assert differ <= free
                assert row.opening_end <= min(differ)

    def test_share_one_context_at_each_depth(self, prompts):
        with_twin = prompts[prompts["twin_status"] == OK]
        for _, rows in with_twin.groupby(["doc_id", "depth"]):
            assert len({tuple(ids) for ids in rows["twin_ids"]}) == 1
        assert (with_twin.groupby(["doc_id", "question"])["twin_answer"].nunique() == 1).all()

    def test_state_their_answer_where_the_prompt_does(self, prompts, tokenizer):
        for row in prompts[prompts["twin_status"] == OK].itertuples():
            type = QUESTIONS[row.question]["type"]
            stated = tokenizer.decode(row.twin_ids[row.answer_start : row.answer_end])
            assert judge(stated, row.twin_answer, type).correct
            needle = tokenizer.decode(row.twin_ids[row.needle_start : row.needle_end])
            assert not statements(needle, row.answer, type)
            assert len(statements(needle, row.twin_answer, type)) == len(row.statement_starts)

    def test_of_a_chat_begin_behind_its_opening(self, documents):
        settings = CONFIG["prompts"] | {"chat_template": True}
        chatty = planted_tokenizer(" ".join([HAYSTACK, *documents["text"], "Question: N/A Answer:"]))
        chatty.chat_template = "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
        made = Builder("small", chatty, HAYSTACK, QUESTIONS, settings, 1024, 1).build(documents)
        row = made[made["twin_status"] == OK].iloc[0]
        opening = row["input_ids"][: row["opening_end"]]
        assert len(opening) > 1
        assert row["twin_ids"][: row["opening_end"]] == opening
        assert chatty.decode(opening).endswith("|>")

    def test_a_further_document_changes_few(self, documents, tokenizer):
        def twins(documents):
            values = OtherValues(documents, QUESTIONS, 1)
            return {
                (row["doc_id"], question): values.of(row, question)[0]
                for row in documents.to_dict("records")
                for question in QUESTIONS
                if not pd.isna(row[question])
            }

        before, after = twins(documents[:-1]), twins(documents)
        changed = [key for key, value in before.items() if after[key] != value]
        assert len(changed) <= len(QUESTIONS)

    def test_a_value_that_the_user_gives_is_the_only_one_tried(self, documents):
        row = documents.iloc[0].to_dict() | {"inc_year_twin": "1901"}
        values = OtherValues(documents, QUESTIONS, 1)
        assert values.of(row, "inc_year") == ["1901"]
        assert len(values.of(row | {"inc_year_twin": None}, "inc_year")) > 1


class TestMakeTwin:
    def test_every_mention_changes_in_the_form_it_is_written_in(self):
        text = "Based in Cleveland, OH. The Ohio company left OHIO in 1999."
        made = twin_of(text, "Ohio", "state", "Texas")
        changed = "Based in Cleveland, TX. The Texas company left TEXAS in 1999."
        assert made.answers == {"fact": "Texas"}
        assert made.ids == words(changed)[0]

    def test_a_number_keeps_its_marks(self):
        made = twin_of("It had 16,042 staff, or 16042 people.", "16042", "count", "23518")
        assert made.ids == words("It had 23,518 staff, or 23518 people.")[0]

    def test_the_first_value_that_fits(self):
        made = twin_of("It is in Ohio.", "Ohio", "state", "New York", "Texas", "Iowa")
        assert made.answers == {"fact": "Texas"}

    def test_questions_with_one_answer_share_a_twin(self):
        text = "It was incorporated in Ohio. Its home is Ohio."
        facts = {"inc": Fact("Ohio", "state"), "hq": Fact("Ohio", "state")}
        made = make_twin(text, facts, {"inc": ["Iowa", "Utah"], "hq": ["Texas", "Maine"]}, words)
        assert made.answers == {"inc": "Iowa", "hq": "Iowa"}
        given = make_twin(text, facts, {"inc": ["Iowa"], "hq": ["Texas"]}, words)
        assert given.statuses == {"inc": OTHER_GIVEN, "hq": OTHER_GIVEN}
        assert given.ids == words(text)[0]

    def test_a_fact_without_one_leaves_the_others_theirs(self):
        text = "It began in Ohio in 1950."
        facts = {"state": Fact("Ohio", "state"), "year": Fact("1950", "year")}
        made = make_twin(text, facts, {"state": ["Iowa"], "year": []}, words)
        assert made.answers == {"state": "Iowa"}
        assert made.statuses == {"state": OK, "year": NO_OTHER}
        assert made.ids == words("It began in Iowa in 1950.")[0]

    def test_no_fact_takes_a_value_that_another_had(self):
        text = "It was incorporated in Ohio. Its home is Iowa."
        facts = {"inc": Fact("Ohio", "state"), "hq": Fact("Iowa", "state")}
        made = make_twin(text, facts, {"inc": ["Utah"], "hq": ["Ohio", "Utah", "Maine"]}, words)
        assert made.answers == {"inc": "Utah", "hq": "Maine"}

    @pytest.mark.parametrize(
        ("text", "value", "why"),
        [
            ("It is in Ohio, not in Iowa.", "Iowa", STANDS),
            ("It is in Ohio, by Iowa Street.", "Iowa", STANDS),
            ("It is in Ohio, not in Ames, IA.", "Iowa", STANDS),
            ("It is in Ohio.", "New York", TOKENS),
            ("It is in New York.", "New Jersey", FIRST_TOKEN),
            ("It is in Fargo, North Dakota, and in Bismarck, N. Dak.", "Iowa", TOKENS),
            ("Its home is Ohio County, as Ohio is near.", "Iowa", OK),
        ],
    )
    def test_says_why_there_is_none(self, text, value, why):
        answer = find_values(text, "state")[0].value
        assert status_of(text, answer, "state", value) == why

    def test_a_number_that_is_another_type_of_value_there(self):
        assert status_of("It had 500 staff in 1950.", "500", "count", "1950") == STANDS
        assert status_of("Since 1200 people came, it grew.", "1200", "count", "1950") == UNREADABLE
        assert status_of("It had 500 staff in 1950.", "500", "count", encode=digits) == NO_OTHER
        assert status_of("It had 500 staff in 1950.", "500", "count", "507", encode=digits) == FIRST_TOKEN

    def test_the_reason_of_the_value_that_came_furthest(self):
        text = "It is in New York, not in Iowa."
        assert status_of(text, "New York", "state", "Iowa", "New Jersey", "Ohio") == FIRST_TOKEN

    @given(
        state=st.sampled_from(["Ohio", "Texas", "New York", "Iowa", "Washington"]),
        other=st.sampled_from(["Utah", "Maine", "New Mexico", "Delaware"]),
        forms=st.lists(
            st.sampled_from(["It is in {}.", "The {} firm grew.", "A plant in {} runs.", "From {}, it sells."]),
            min_size=1,
            max_size=4,
        ),
        year=st.integers(1700, 2020).map(str),
        other_year=st.integers(1700, 2020).map(str),
    )
    def test_changes_what_is_asked_and_nothing_else(self, state, other, forms, year, other_year):
        text = " ".join(form.format(state) for form in forms) + f" It was founded in {year}, and {year} was good."
        asked = {"state": Fact(state, "state"), "year": Fact(year, "year")}
        made = make_twin(text, asked, {"state": [other], "year": [other_year]}, digits)
        ids, spans = digits(text)
        assert len(made.ids) == len(ids)
        places = [place for fact in asked.values() for place in statements(text, *fact)]
        for a, b, (start, end) in zip(ids, made.ids, spans, strict=True):
            inside = any(place.start <= start and end <= place.end for place in places)
            assert a == b or inside
        new = text
        for question, fact in asked.items():
            if question in made.answers:
                assert made.statuses[question] == OK
                new = new.replace(fact.answer, made.answers[question])
                assert not statements(new, *fact)
        assert made.ids == digits(new)[0]


@pytest.mark.parametrize(
    ("answer", "like", "type", "expected"),
    [
        ("16042", "12,345", "count", "16,042"),
        ("16042", "12345", "count", "16042"),
        ("1234567", "12,345", "count", "1,234,567"),
        ("1234567", "12 345", "count", "1 234 567"),
        ("123456", "1,00,000", "count", "1,23,456"),
        ("1234", "486", "count", "1,234"),
        ("486", "1,234", "count", "486"),
        ("12", "5", "count", "12"),
        ("1250", "٥", "count", "١,٢٥٠"),
        ("1999", "٢٠٠١", "year", "١٩٩٩"),
        ("Texas", "OH", "state", "TX"),
        ("Texas", "OHIO", "state", "TEXAS"),
        ("Texas", "ohio", "state", "texas"),
        ("New York", "N.J", "state", "N.Y"),
        ("Texas", "Calif", "state", "Tex"),
        ("Iowa", "Calif", "state", "Iowa"),
        ("red brick", "Slate", "text", "Red brick"),
        ("red brick", "SLATE", "text", "RED BRICK"),
        ("red brick", "slate", "text", "red brick"),
    ],
)
def test_written_as_another_value_is(answer, like, type, expected):
    assert written(answer, like, type) == expected

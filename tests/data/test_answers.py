from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from answer_forms import PLACES, VERDICTS
from retrieval_heads.data.answers import canonical, find_values, is_settled, judge, locate, statements
from retrieval_heads.data.answers.state import STATES
from retrieval_heads.errors import StudyError
from retrieval_heads.plugins import names

ANSWER_TYPES = names("data.answers")
states = st.sampled_from(sorted(STATES))
counts = st.integers(0, 10_000_000)
years = st.integers(1600, 2099)
words = st.lists(st.text("abcdfgxyzéжД", min_size=1, max_size=8), min_size=1, max_size=6)


def values(text, type):
    return [value.value for value in find_values(text, type)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ohio", ["Ohio"]),
        (" ohio.", ["Ohio"]),
        ("OHIO", ["Ohio"]),
        ("Lancaster, Ohio", ["Ohio"]),
        ("CA", ["California"]),
        ("The answer is CA.", ["California"]),
        ("San Jose, CA 95110", ["California"]),
        ("ca", []),
        ("New York City", ["New York"]),
        ("New York, New York", ["New York"]),
        ("New York, NY 10001", ["New York"]),
        ("new\nyork", ["New York"]),
        ("West Virginia", ["West Virginia"]),
        ("Arkansas", ["Arkansas"]),
        ("Indianapolis", []),
        ("Washington", ["Washington"]),
        ("Washington, D.C.", ["District of Columbia"]),
        ("Washington, DC", ["District of Columbia"]),
        ("washington dc", ["District of Columbia"]),
        ("the District of Columbia", ["District of Columbia"]),
        ("Kansas City, Missouri", ["Missouri"]),
        ("kansas city, missouri", ["Missouri"]),
        ("Kansas City, MO", ["Missouri"]),
        ("Kansas City", []),
        ("Oklahoma City, Oklahoma", ["Oklahoma"]),
        ("Virginia Beach, Virginia", ["Virginia"]),
        ("Delaware, Ohio", ["Ohio"]),
        ("Nevada, Missouri", ["Missouri"]),
        ("Washington, Pennsylvania", ["Pennsylvania"]),
        ("Texas, Ohio and Utah", ["Texas", "Ohio", "Utah"]),
        ("Texas, Ohio, Utah", ["Texas", "Ohio", "Utah"]),
        ("Texas. Ohio", ["Texas", "Ohio"]),
        ("OK", ["Oklahoma"]),
        ("OH\n\nQuestion", ["Ohio"]),
        (" OR.", ["Oregon"]),
        ("Portland, OR", ["Oregon"]),
        ("Portland, OR 97201", ["Oregon"]),
        ("Gary, IN.", ["Indiana"]),
        ("OK, it is Texas", ["Texas"]),
        ("OH MY, IT IS IN OR AROUND ME", []),
        ("THIS, OR THAT", []),
        ("ACME CO of Texas", ["Texas"]),
        ("IN-HOUSE", []),
        ("Delawarean", []),
        ("", []),
    ],
)
def test_states(text, expected):
    assert values(text, "state") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1987", ["1987"]),
        (" 1987.", ["1987"]),
        ("in 1987, then 2003-2004", ["1987", "2003", "2004"]),
        ("December 31, 1987", ["1987"]),
        ("1599 2100 987 19870", []),
        ("12,1987", []),
        ("1987,123", []),
        ("1987.5", []),
        ("3.1987", []),
        ("1990s", []),
        ("$1987 and 1987%", []),
        ("1,987", []),
    ],
)
def test_years(text, expected):
    assert values(text, "year") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("16,042", ["16042"]),
        ("16042", ["16042"]),
        ("16 042", ["16042"]),
        ("1,234,567 people, 12.", ["1234567", "12"]),
        ("14860", ["14860"]),
        ("1987", ["1987"]),
        ("12,1987", []),
        ("16,0425", []),
        ("45% or 45 percent or 45 %", []),
        ("$1,200, $ 1,200 and 5 million", []),
        ("486.5 and .5", []),
        ("Item 1. On December 31, 2023, we had 486 employees on Form 10-K", ["486"]),
        ("a 24-hour line", []),
        ("B2B and 3M", []),
    ],
)
def test_counts(text, expected):
    assert values(text, "count") == expected


FORMS = [(type, *form) for type, kinds in VERDICTS.items() for forms in kinds.values() for form in forms]


def test_the_table_of_forms_is_large_and_has_each_once():
    assert set(VERDICTS) == set(ANSWER_TYPES)
    assert len(FORMS) + len(PLACES) == len(set(FORMS)) + len(set(PLACES)) >= 400


@pytest.mark.parametrize(("type", "generated", "answer", "outcome"), FORMS)
def test_forms_of_answers(type, generated, answer, outcome):
    assert judge(generated, answer, type).outcome == outcome


@pytest.mark.parametrize(("type", "marked", "answer"), PLACES)
def test_the_first_place_that_states_an_answer(type, marked, answer):
    text = marked.replace("«", "").replace("»", "")
    value = locate(text, answer, type)
    assert (value and text[: value.start] + "«" + text[value.start : value.end] + "»" + text[value.end :]) == (
        marked if "«" in marked else None
    )


@pytest.mark.parametrize(
    ("generated", "answer", "type"),
    [
        (" It was O'Brien.", "O'Brien", "text"),
        (" It was O’BRIEN.", "O'Brien", "text"),
        (" AT&T, of Dallas", "AT&T", "text"),
        (" not Bob. Smith-Jones", "Smith-Jones", "text"),
        (" in C++", "C++", "text"),
        (" Анна  Петрова", "Анна Петрова", "text"),
        (" Jose\u0301", "José", "text"),
        ("天文台由陈伟创立", "陈伟", "text"),
        (" 16 042", "16,042", "count"),
        (" 1,23,456", "123456", "count"),
        (" Texas or Ohio", "OH", "state"),
    ],
)
def test_an_answer_that_is_stated_is_contained(generated, answer, type):
    assert judge(generated, canonical(answer, type), type).contains


def test_a_text_is_its_first_sentence():
    assert values("  The Ford Motor Inc. of O'Neil city. It makes cars.", "text") == [
        "the ford motor inc of oneil city"
    ]
    assert values("\n\nfirst line\nsecond line", "text") == ["first line"]
    assert values(" ... ", "text") == []


CONTEXT = (
    "The company is headquartered in Ohio, has a plant in Texas, was founded in 1987 and has 486 people and 12 plants."
)


@pytest.mark.parametrize(
    ("generated", "answer", "type", "expected"),
    [
        (" Ohio.", "Ohio", "state", (True, True, "correct")),
        (" Lancaster, OH", "Ohio", "state", (True, False, "correct")),
        (" Texas, not in Ohio", "Ohio", "state", (False, True, "distractor")),
        (" Utah", "Ohio", "state", (False, False, "other")),
        (" a town", "Ohio", "state", (False, False, "other")),
        (" \n", "Ohio", "state", (False, False, "empty")),
        ("Arkansas", "Kansas", "state", (False, True, "other")),
        ("West Virginia", "Virginia", "state", (False, True, "other")),
        ("486 people", "486", "count", (True, True, "correct")),
        ("14860", "486", "count", (False, True, "other")),
        ("14,860", "486", "count", (False, True, "other")),
        ("12 or 486", "486", "count", (False, True, "distractor")),
        ("16,042", "16042", "count", (True, True, "correct")),
        ("16042", "16,042", "count", (True, True, "correct")),
        ("1988", "1987", "year", (False, False, "other")),
        ("The Ohio plant", "Ohio Plant", "text", (True, True, "correct")),
        ("It was Ada Lovelace who did. Not Bob", "Ada Lovelace", "text", (True, True, "correct")),
        ("It was Bob who did it alone. Not Ada Lovelace", "Ada Lovelace", "text", (False, True, "other")),
        ("Adam Lovelace", "Ada", "text", (False, True, "other")),
        ("plants", "people", "text", (False, False, "other")),
        ("...", "people", "text", (False, False, "other")),
        ("No. 12 was Mary Jones", "Mary Jones", "text", (True, True, "correct")),
        ("No. 1 was Mary Jones", "Mary Jones", "text", (True, True, "correct")),
        ("He said no. Mary Jones came", "Mary Jones", "text", (False, True, "other")),
        ("John Lee. 12 people came with Mary Jones", "Mary Jones", "text", (False, True, "other")),
        ("Dr. Jones. Then Mary Lee", "Mary Lee", "text", (False, True, "other")),
    ],
)
def test_judge(generated, answer, type, expected):
    assert judge(generated, answer, type, CONTEXT) == expected


@pytest.mark.parametrize("name", ["Ada Lovelace", "Ada", "The Ada Lovelace Hall"])
def test_every_statement_of_a_text_is_found_once(name):
    for between in (" ", ", ", " and then "):
        found = statements(f"{name}{between}{name}.", name, "text")
        assert [value.start for value in found] == [0, len(name + between)]
        assert [value.end for value in found] == [len(name), len(name + between + name)]


def test_a_distractor_is_a_wrong_value_of_the_document():
    # What the prose or another document around it says is none.
    document = "It has a plant in Texas. It lies in Ohio, and has 12 plants."
    assert judge(" Texas", "Ohio", "state", document).outcome == "distractor"
    assert judge(" Utah", "Ohio", "state", document).outcome == "other"
    assert judge(" 12", "486", "count", document).outcome == "distractor"
    assert judge(" a plant", "Ohio", "text", document).outcome == "other"


def test_locate():
    text = "Ohio Holdings of Texas has 486 plants in Ohio and the Blue River works."
    assert locate(text, "OH", "state")[1:] == (0, 4)
    assert locate(text, "Ohio", "state", 41)[1:] == (41, 45)
    assert locate(text, "Ohio", "state", 17) is None
    assert locate(text, "Utah", "state") is None
    assert locate(text, "48", "count") is None
    assert locate(text, "Ohio", "state", within=range(10, len(text)))[1:] == (41, 45)
    assert locate(text, "Ohio", "state", within=range(4, 44)) is None
    span = locate(text, "blue river", "text")
    assert text[span.start : span.end] == "Blue River"


@pytest.mark.parametrize(
    ("answer", "type"),
    [("Ontario", "state"), ("Ohio and Utah", "state"), ("1987.0", "year"), ("many", "count"), ("...", "text")],
)
def test_what_is_no_answer_is_refused(answer, type):
    with pytest.raises(StudyError, match="value"):
        canonical(answer, type)


def test_an_unknown_type_is_refused():
    with pytest.raises(StudyError, match="date"):
        find_values("1987", "date")
    assert ANSWER_TYPES == ["count", "state", "text", "year"]


@given(states, st.sampled_from(["{}", "{}.", "Springfield, {}", "the state of {} and", "({})"]))
def test_every_state_is_found_by_name_and_by_code(state, frame):
    for form in (state, state.lower(), state.upper()):
        text = frame.format(form)
        (found,) = find_values(text, "state")
        assert found.value == state
        assert text[found.start : found.end] == form
    assert canonical(STATES[state], "state") == canonical(f"Springfield, {STATES[state]}", "state") == state


@given(states, states)
def test_city_and_state_answers_the_state(city, state):
    assert values(f"{city}, {state}", "state") == [state]


@given(
    st.one_of(
        states.map(lambda s: (s, "state")),
        years.map(lambda y: (str(y), "year")),
        words.map(lambda w: (" ".join(w), "text")),
    )
)
def test_canonical_is_idempotent_and_located(case):
    answer, type = case
    value = canonical(answer, type)
    assert canonical(value, type) == value
    text = f"Well; {answer} it is"
    span = locate(text, value, type)
    assert canonical(text[span.start : span.end], type) == value
    assert locate(text, value, type, span.start) == span
    assert judge(text, answer, type, "").correct


@given(counts)
def test_separators_do_not_matter_to_a_count(count):
    plain, grouped = str(count), f"{count:,}"
    assert canonical(plain, "count") == canonical(grouped, "count") == plain
    for form in (plain, grouped):
        text = f"a total of {form} people"
        span = locate(text, grouped, "count")
        assert text[span.start : span.end] == form
        assert judge(form, plain, "count", "") == (True, True, "correct")


@given(counts, counts, st.sampled_from(["{}", "{:,}"]))
def test_one_count_is_never_another(a, b, form):
    assert judge(form.format(a), str(b), "count", "").correct == (a == b)
    assert judge(form.format(a), str(b), "count", form.format(a)).outcome == ("correct" if a == b else "distractor")


@given(st.text(), st.sampled_from(ANSWER_TYPES))
def test_any_text_can_be_searched(text, type):
    found = find_values(text, type)
    assert all(0 <= a.start < a.end <= len(text) for a in found)
    assert all(a.end <= b.start for a, b in pairwise(found))


class TestSettled:
    @pytest.mark.parametrize(
        ("generated", "answer", "type", "settled"),
        [
            (" Ohio. The", "Ohio", "state", True),
            (" Ohio.", "Ohio", "state", False),
            (" Ohio,", "Ohio", "state", False),
            (" Texas. The", "Ohio", "state", False),
            (" OH. The", "Ohio", "state", False),  # right, but the name itself may still come
            (" 1987 and", "1987", "year", False),
            (" 1987 and ", "1987", "year", True),
            (" 12,450 people ", "12450", "count", True),
            (" 12,450 per ", "12450", "count", False),  # "per cent" would make it none
            (" 12,450", "12450", "count", False),
            (" 12,450.", "12450", "count", False),
            (" 12,450. It", "12450", "count", True),
            ("Acme Inc. The", "Acme Inc", "text", False),
        ],
    )
    def test_by_hand(self, generated, answer, type, settled):
        assert is_settled(generated, answer, type) is settled

    pieces = st.sampled_from(
        [
            *"0123456789,.%$' \n\u00a0-/()年\u0301",
            *("Ohio", "Texas", "Kansas", " City", ", Missouri", "Delaware", "West Virginia", "Washington", "D.C."),
            *("TX", "OH", " County", " Avenue", " River", ", N.Y.", "Boston MA", " in", " a", "New York", "Lake "),
            *(" and", " per", " cent", " percent", " dollars", " people", "December", "Item", "-year", " USD", "(k)"),
            *(" million", " Main", " Street", "1987", "16,042", ". It", " basis", " points", "Dec.", " of", " to"),
        ]
    )

    @settings(max_examples=1500)
    @given(
        st.lists(pieces, min_size=1, max_size=8),
        st.lists(pieces, max_size=6) | st.text(max_size=12),
        st.sampled_from(["state", "year", "count"]),
    )
    def test_a_settled_answer_gets_the_same_verdict_however_the_text_goes_on(self, start, rest, type):
        text = "".join(start)
        longer = text + "".join(rest)
        for answer in {value.value for value in find_values(text, type)}:
            if is_settled(text, answer, type):
                assert judge(text, answer, type) == judge(longer, answer, type) == (True, True, "correct")

    @pytest.mark.parametrize(
        ("type", "generated", "answer"),
        [form[:3] for form in FORMS if form[3] == "correct" and form[0] != "text"],
    )
    def test_no_beginning_of_a_real_form_is_settled_otherwise_than_the_whole(self, type, generated, answer):
        for more in ("", " County, Ohio", ",000", " dollars", "(k)", ". It", " Main Street", "% of 3", "-5"):
            text = generated + more
            ends = range(len(text) + 1)
            first = next((end for end in ends if is_settled(text[:end], answer, type)), None)
            if first is not None:
                assert {judge(text[:end], answer, type) for end in ends[first:]} == {(True, True, "correct")}

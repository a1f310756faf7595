"""The sentence that states an answer, in prose as filings have it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_heads.data.sentences import sentence_around

# Around the answer, which stands between « and »; | are where the sentence begins and ends.
FORMS = [
    "|We were incorporated in «Delaware».|",
    "|We were incorporated in «Delaware»| ",
    "We sell lamps. |We were incorporated in «Ohio» in 1983.| We are old.",
    "Is it so? |It is «Ohio»!| Yes.",
    'He said "We left." |The seat is «Ohio».| Then',
    "(See below.) |The seat is «Ohio».|",
    # abbreviations
    "|Graham Manufacturing Co., Inc., of «New York», was founded in 1936.| Our stock is traded.",
    "|Acme Inc. was founded in «1936».| It grew.",
    "|Barber-Nichols, Inc. Arvada, «Colorado», makes pumps.|",
    "|AMREP Corp. No. 5 has «28» employees.|",
    "|Mr. John J. Smith of «Texas» founded it.|",
    "|The U.S. Government bought it in «1961».| We sold it.",
    "|It is at 380 St. James Ave. Westerville, «Ohio» 43082.|",
    "|Approx. 3,400 people work for us, i.e. «3,400».|",
    "|On Dec. 31, 2023, we had «538» employees.| Of those",
    "|Organized under Del. law in «1983», it is old.|",
    "|J. P. Morgan & Co. «New York»|",
    # an abbreviation that ends a sentence
    "We are part of Acme Inc. |The company has «28» employees.|",
    "We operate in the U.S. |Our seat is in «Ohio».|",
    "|The seat of Acme is «Washington», D.C.| We like it.",
    "|It belongs to «Texas» Holdings Co.| As of June 30, 2023, we are many.",
    # numbers
    "|Total assets were $1.6 billion, and «229» people worked here.| None",
    "|Revenue grew by 1.5% to 3.25 million in «1983».|",
    "It grew by 1.5. |In «1983» it fell.|",
    "Item 1. |Business of «1983»|",
    # lower case goes on
    "|Our site, acme.com. which is ours, names «Ohio».|",
    "|Growth ... continued in «Ohio».|",
    # lines
    "Item 1. Business\n\n|We are in «Ohio».|\n\nWe have 5 plants.",
    "Item 1. Business\n \n|We are in «Ohio»|\n\t\nItem 2",
    "|We were incorporated in the state of\n«Delaware» in 1983.| We",
    "|We are in «Ohio».|\nWe have 5 plants.",
    # what is in several sentences
    "First. |It is «A. The B» of it.| Last.",
    "“Quoted.” |It is «Ohio».”| The",
]


@pytest.mark.parametrize("form", FORMS)
def test_the_sentence_is_the_one_between_the_bars(form):
    places, text = {}, ""
    for char in form:
        if char in "|«»":
            places.setdefault(char, []).append(len(text))
        else:
            text += char
    begin, end = places["|"]
    assert sentence_around(text, places["«"][0], places["»"][0]) == (begin, end)


@given(text=st.text(alphabet="aB1. !?\n\"')", min_size=1, max_size=60), data=st.data())
def test_it_holds_what_it_is_asked_about(text, data):
    """And neither begins nor ends with white space."""
    solid = [at for at, char in enumerate(text) if not char.isspace()]
    if not solid:
        return
    start = data.draw(st.sampled_from(solid))
    last = data.draw(st.sampled_from([at for at in solid if at >= start]))
    begin, end = sentence_around(text, start, last + 1)
    assert begin <= start < last + 1 <= end
    assert text[begin:end] == text[begin:end].strip()

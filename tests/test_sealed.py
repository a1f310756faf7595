import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval_heads.sealed import Sealed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
)
SETTINGS = st.dictionaries(st.text(), VALUES)


@pytest.mark.thorough
@given(SETTINGS)
def test_they_show_nothing_of_their_text(settings):
    shown = str(Sealed(settings))
    assert shown == repr(Sealed(settings)) == f"{Sealed(settings)}"
    assert shown.startswith("sealed ") and len(shown) == 23 and shown.isascii() and "<" not in shown


@pytest.mark.thorough
@given(SETTINGS, SETTINGS)
def test_they_are_shown_alike_only_where_they_are_alike(one, other):
    assert (repr(Sealed(one)) == repr(Sealed(other))) == (json.dumps(one) == json.dumps(other))


def test_they_tell_when_their_order_changes():
    assert repr(Sealed({"questions": {"a": 1, "b": 2}})) != repr(Sealed({"questions": {"b": 2, "a": 1}}))


def test_jobs_are_given_what_they_hold():
    settings = {"label": "</script><script>alert(1)</script>", "levels": [1, 2]}
    assert pickle.loads(pickle.dumps(Sealed(settings))) == settings

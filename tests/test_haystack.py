import re
from collections import Counter
from pathlib import Path

import pytest

from retrieval_heads.answers import find_values
from retrieval_heads.errors import StudyError
from retrieval_heads.haystack import load_haystack

PROSE = Path(__file__).parents[1] / "resources" / "haystack"


@pytest.fixture(scope="module")
def prose():
    return load_haystack(PROSE)


def repeated(items):
    return [item for item, n in Counter(items).items() if n > 1]


def test_the_prose_is_long_enough(prose):
    # Measured with the default model's tokenizer: 1.17 tokens a word, which makes 9,800 tokens.
    assert len(prose.split()) >= 8_400


def test_the_prose_does_not_repeat_itself(prose):
    assert not repeated(re.split(r"(?<=[.!?])\s+", prose))
    words = re.findall(r"[\w'’]+", prose.lower())
    assert not repeated(tuple(words[i : i + 8]) for i in range(len(words) - 7))


def test_the_prose_holds_no_distractor(prose):
    assert not re.search(r"\d", prose)
    for type in ("state", "year", "count"):
        assert find_values(prose, type) == []


def test_files_are_joined_in_the_order_of_their_names(tmp_path):
    (tmp_path / "b.txt").write_text("Second.\n")
    (tmp_path / "a.txt").write_text("First.\n\nStill first.\n\n")
    (tmp_path / "notes.md").write_text("No prose.")
    assert load_haystack(str(tmp_path)) == "First.\n\nStill first.\n\nSecond."


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(StudyError, match="nowhere"):
        load_haystack(tmp_path / "nowhere")
    with pytest.raises(StudyError, match=r"\.txt"):
        load_haystack(tmp_path)
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(StudyError, match=r"a\.txt"):
        load_haystack(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(StudyError, match=r"a\.txt"):
        load_haystack(tmp_path)

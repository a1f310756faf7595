"""A variant asks the same in another way: what it overrides is all that differs."""

import pytest

from projects import ROOT
from retrieval_heads.errors import StudyError
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.paths import Paths
from retrieval_heads.study.study import Study
from retrieval_heads.study.variants import asked_questions, prompt_settings, variants
from retrieval_heads.study.wording import setting


def with_variants(**given):
    config = read_yaml(ROOT / "config" / "tiny.yaml", "")
    return config | {"prompts": config["prompts"] | {"variants": given}}


TWO = complete(with_variants(plain={}, no_prefix={"answer_prefix": "", "answer": "A:"}))
STUDY = Study(TWO, {name: {} for name in TWO["methods"]})


def test_without_the_key_there_is_only_the_plain_one():
    config = complete(read_yaml(ROOT / "config" / "tiny.yaml", ""))
    assert variants(config) == ["plain"]
    assert asked_questions(config, "plain") == asked_questions(TWO, "plain")


def test_what_a_variant_does_not_name_is_as_in_the_plain_one():
    plain, other = (prompt_settings(TWO, name) for name in variants(TWO))
    assert other == plain | {"answer": "A:"}
    assert {"context_lengths", "variants", "answer_prefix"}.isdisjoint(plain)


def test_an_answer_prefix_is_that_of_every_question():
    plain, other = (asked_questions(TWO, name) for name in variants(TWO))
    assert all(question["answer_prefix"] for question in plain.values())
    assert other == {name: question | {"answer_prefix": ""} for name, question in plain.items()}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"other": {}}, r"^prompts\.variants: plain is what prompts says; begin with plain: \{\}"),
        ({"plain": {"answer": "A:"}}, r"^prompts\.variants: plain is what prompts says"),
        ({"plain": {}, "Plain": {}}, r"^prompts\.variants\.Plain: some file systems take it for plain"),
        (
            {"plain": {}, "far": {"depths": [0.1]}},
            r"^prompts\.variants\.far\.depths: no such key in the config",
        ),
    ],
)
def test_what_is_no_variant_is_refused(given, message):
    with pytest.raises(StudyError, match=message):
        complete(with_variants(**given))


def test_every_variant_has_its_paths():
    paths = Paths(TWO)
    assert paths.output("prompts", model="m", variant="no_prefix", length=512).endswith(
        "prompts/m/no_prefix/512.parquet"
    )
    assert len(paths.every("rankings")) == 2 * len(Paths(complete(with_variants(plain={}))).every("rankings"))


def test_a_sentence_names_the_variant_where_there_are_several():
    row = {"model": "planted", "question": "inc_state", "context_length": 512, "variant": "no_prefix"}
    assert setting(STUDY, row) == "Inc state at 512 tokens in the variant No prefix in planted"

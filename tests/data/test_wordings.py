"""A paraphrase says the same in other words, and a decoy the same words of somebody else."""

import re

import pytest

from projects import ROOT
from retrieval_heads.data.documents.generator import load_templates
from retrieval_heads.data.wordings import content_words, last_word, shared_content_words
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.variants import asked_questions

FACTS = load_templates(ROOT / "resources" / "documents").facts


def test_content_words_are_those_that_say_something_by_themselves():
    assert content_words("The company was {answer}, in its own words, of 1901.") == ["company", "words"]


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("The company was incorporated in", "our state of incorporation", {"incorporated"}),
        ("It employs", "the number of employees", {"employs"}),
        ("the year", "in which years", {"year"}),
        ("It comes from", "The company is from Ohio", set()),
        ("its head", "the headquarters", {"head"}),
    ],
)
def test_forms_of_a_word_are_the_same_and_function_words_are_none(one, other, shared):
    assert shared_content_words(one, other) == shared


def test_the_plain_prefixes_repeat_the_words_of_the_needle():
    config = complete(read_yaml(ROOT / "config" / "config.yaml", ""))
    for question, entry in asked_questions(config, "plain").items():
        assert shared_content_words(entry["answer_prefix"], FACTS[question][0])


def paraphrases():
    """The paraphrase that the documentation offers, as a variant of the default study."""
    (block,) = re.findall(r"```yaml\n(prompts:\n  variants:.*?)```", (ROOT / "config" / "README.md").read_text(), re.S)
    import yaml

    return yaml.safe_load(block)["prompts"]["variants"]["paraphrase"]["answer_prefix"]


@pytest.mark.parametrize("question", list(FACTS))
def test_a_paraphrase_shares_no_content_word_with_any_wording_of_the_fact(question):
    prefix = paraphrases()[question]
    for wording in FACTS[question]:
        assert not shared_content_words(prefix, wording), wording
    # Nor does the wording in use lead up to the answer as the prefix does.
    assert last_word(prefix) != last_word(FACTS[question][0].partition("{answer}")[0])

"""Figures about other ways of asking hold what their tables say."""

import pytest

from made_tables import SMALL, make_same_heads, small_tables
from retrieval_heads import figures
from retrieval_heads.figures import load


def test_each_variant_has_its_accuracy_that_of_each_question_and_what_guessing_gives():
    figure = load("variant_accuracy").draw(small_tables(), SMALL)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["Plain", "Decoy", "No prefix"]
    points = {container.get_label(): container.lines[0].get_ydata().tolist() for container in ax.containers}
    assert len(points) == 1 + len(SMALL.config["questions"])
    accuracy = small_tables()["variant_accuracy"]
    pooled = accuracy[accuracy["question"].isna() & accuracy["context_length"].isna()]
    assert sorted(points["All questions"]) == sorted(pooled["accuracy"])
    lines = {collection.get_label() for collection in ax.collections}
    assert {"Guessing", "Answered by a decoy"} <= lines


def test_each_method_has_its_sameness_with_the_plain_variant():
    figure = load("same_heads").draw({"same_heads": make_same_heads(SMALL, 0.9)}, SMALL)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Decoy", "No prefix"]
    for ax in figure.axes:
        assert [container.lines[0].get_xdata()[0] for container in ax.containers] == pytest.approx([0.9] * 3)


def test_what_is_not_told_is_said_in_its_place():
    made = make_same_heads(SMALL, 0.9)
    untold = make_same_heads(SMALL, told=False)
    made[made["method"] == "wu24"] = untold[untold["method"] == "wu24"]
    figure = load("same_heads").draw({"same_heads": made}, SMALL)
    assert [[text.get_text() for text in ax.texts] for ax in figure.axes] == [["untold"], ["untold"]]


def test_where_nothing_is_told_a_sentence_stands_in_the_figures_place():
    figure = load("same_heads").draw({"same_heads": make_same_heads(SMALL, told=False)}, SMALL)
    assert figure.get_label().startswith("Rankings from halves of the documents do not agree")
    assert figures.declarations()["same_heads"].needs == {"variant": 2, "split_halves": 1}

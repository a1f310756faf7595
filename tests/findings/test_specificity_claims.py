"""Whether damage is specific to retrieval: the claim is driven to its outcomes, and the section says what is known."""

from functools import cache

import pandas as pd
import pytest

from made_tables import make_ablation, make_items, make_study
from plain_sentences import faults
from retrieval_heads.analysis.specificity import measure_specificity, over_all_questions
from retrieval_heads.findings.claims import Outcome
from retrieval_heads.findings.claims.specificity import damage_is_specific_to_retrieval
from retrieval_heads.findings.sections.blocks import Paragraph, TableBlock
from retrieval_heads.findings.sections.specificity import specificity
from told_claims import told

STUDY = make_study(methods=("wu24",), lengths=(512,), levels=(20,), controls={"specificity": {}})
SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED


@cache
def tables(documents=10, top=0.2, random=0.93, top_items=0.1, random_items=0.1, facts=24, sums=24, draws=2):
    ablation = make_ablation(STUDY, documents=documents, top=top, random=random)
    if not draws:
        ablation = ablation[ablation["source"] != "random"]
    items = make_items(STUDY, top_items, random_items, facts, sums, draws=draws)
    return {"specificity": items, "specificity_summary": measure_specificity(ablation, items, 7, 300)}


def claim(**made):
    (found,) = damage_is_specific_to_retrieval(tables(**made), STUDY)
    told(found)
    return found


def test_damage_to_retrieval_alone_supports_it():
    found = claim()
    assert found.outcome is SUPPORTED
    assert (
        found.statement
        == "What ablating the top 20 heads of Wu24 costs is specific to retrieval at 512 tokens in small"
    )
    row = tables()["specificity_summary"].query("question.isna() and source == 'method'").iloc[0]
    assert found.effect.value == pytest.approx(100 * row["difference"]) and found.effect.p == row["p_holm"]
    assert found.of == {"model": "small", "context_length": 512, "method": "wu24", "k": 20}
    assert f"{100 * row['retrieval_loss']:.1f}% of retrieval" in found.sentence
    assert f"{100 * row['facts_loss']:.1f}% of facts and {100 * row['sums_loss']:.1f}% of sums" in found.sentence
    assert "22 facts, 22 sums that the whole model answers" in found.sentence


@pytest.mark.parametrize(
    ("made", "words"),
    [
        # All is lost alike, and facts and sums more than retrieval.
        ({"top": 0.5, "top_items": 1.0}, "that retrieval loses 5.0 points more is not so"),
        ({"top": 0.9, "top_items": 0.9}, "that retrieval loses 5.0 points more is not so"),
        # Random heads do the same.
        (
            {"top": 0.0, "random": 0.0, "top_items": 0, "random_items": 0, "documents": 60, "facts": 600, "sums": 600},
            "that it is 5.0 points above that with random heads is ruled out",
        ),
    ],
)
def test_it_is_contradicted_where_all_is_lost_or_random_heads_do_the_same(made, words):
    found = claim(**made)
    assert found.outcome is CONTRADICTED and words in found.sentence


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"documents": 3}, "from too few documents for a test"),
        ({"facts": 21}, "The specificity is not known: the whole model answers 19 facts, and it takes 20."),
        ({"draws": 0}, "no random heads were ablated to hold it against"),
        ({"top": 1.1, "random": 1.1, "top_items": -1, "random_items": -1, "documents": 60}, "no damage to tell of"),
        ({"top": 0.7, "top_items": 0.15}, "which does not tell"),
    ],
)
def test_it_is_not_told_where_the_data_do_not_tell(made, words):
    found = claim(**made)
    assert found.outcome is UNDECIDED and words in found.sentence


def test_a_study_without_this_control_claims_nothing():
    assert damage_is_specific_to_retrieval({}, STUDY) == []
    assert not specificity(STUDY, {}).blocks


def said(found):
    text = " ".join(block.text for block in found.blocks if isinstance(block, Paragraph))
    assert not faults(text)
    return text, [block for block in found.blocks if isinstance(block, TableBlock)]


def test_the_section_shows_what_the_summary_holds():
    text, (block,) = said(specificity(STUDY, tables()))
    assert "At 512 tokens in small, the whole model answers 22 of 24 facts and 22 of 24 sums." in text
    top = tables()["specificity_summary"].query("question.isna() and source == 'method'").iloc[0]
    line = dict(zip(block.header, block.rows[0], strict=True))
    assert [line["Method"], line["Heads"]] == ["Wu24", "top 20"] and block.rows[1][1] == "random 20"
    assert line["Specificity"].startswith(f"{100 * top['specificity']:.1f} [")


def test_too_few_items_are_said_in_place_of_the_specificity():
    _, (block,) = said(specificity(STUDY, tables(facts=21)))
    line = dict(zip(block.header, block.rows[0], strict=True))
    assert line["Specificity"] == "the whole model answers 19 facts, and it takes 20" and line["Facts"] == ""
    assert line["Sums"]


def test_where_no_heads_were_ablated_the_section_says_so():
    items = make_items(STUDY).query("source == 'baseline'")
    ablation = make_ablation(STUDY).query("source == 'baseline'")
    empty = {"specificity": items, "specificity_summary": measure_specificity(ablation, items, 7, 10)}
    text, shown = said(specificity(STUDY, empty))
    assert "No top heads were ablated" in text and not shown
    assert damage_is_specific_to_retrieval(empty, STUDY) == []
    assert isinstance(empty["specificity_summary"], pd.DataFrame)


def test_the_level_is_the_headlines_or_the_largest_that_is_ablated():
    study = make_study(methods=("wu24",), lengths=(512,), levels=(5, 20), level=5, controls={"specificity": {}})
    summary = measure_specificity(make_ablation(study), make_items(study), 7, 10)
    assert set(over_all_questions(summary, study)["k"]) == {5}
    assert set(over_all_questions(summary[summary["k"] == 20], study)["k"]) == {20}

"""The heads of every question are ablated beside every question, equally many of all."""

import pandas as pd
import pytest

from made_tables import make_rankings, make_study
from retrieval_heads.ablation.head_sets import choose_head_sets
from retrieval_heads.ablation.transfer import about_every_question, transferred_sets
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.errors import StudyError

QUESTIONS = ["hq_state", "inc_state", "inc_year"]
STUDY = make_study(methods=("wu24", "qrhead"), questions=QUESTIONS, lengths=(512,))


def head_sets(rankings=None, levels=(2, 4)):
    rankings = make_rankings(STUDY) if rankings is None else rankings
    return choose_head_sets(rankings, levels, {"matched": 2, "unmatched": 1}, 1)


def told_apart(rankings, method, number, question):
    """Rankings in which one of them tells only so many heads apart."""
    here = (rankings["method"] == method) & (rankings["question"] == question)
    return placed(rankings.assign(score=rankings["score"].mask(here & (rankings["rank"] > number), 0.0)))


def tops(sets, method):
    return sets[(sets["method"] == method) & (sets["source"] != "random")]


def test_each_questions_heads_stand_beside_every_question():
    chosen = head_sets()
    sets = transferred_sets(chosen, ["wu24", "qrhead"], 4)
    own = chosen[(chosen["source"] == "method") & (chosen["k"] == 4)]
    for method in ("wu24", "qrhead"):
        rows = tops(sets, method)
        assert sorted(zip(rows["source_question"], rows["question"], strict=True)) == sorted(
            (source, target) for source in QUESTIONS for target in QUESTIONS
        )
        heads = own[own["method"] == method].set_index("question")["heads"]
        assert all(list(row.heads) == list(heads[row.source_question]) for row in rows.itertuples())
        assert set(rows["size"]) == {4}


def test_one_random_set_stands_beside_a_questions_own_heads():
    chosen, sets = head_sets(), transferred_sets(head_sets(), ["wu24"], 4)
    random = sets[sets["source"] == "random"]
    assert random["question"].tolist() == random["source_question"].tolist() == QUESTIONS
    assert set(random["matching"]) == {"layer"} and set(random["draw"]) == {0} and set(random["k"]) == {4}
    same = chosen[(chosen["source"] == "random") & (chosen["method"] == "wu24") & (chosen["k"] == 4)]
    same = same[(same["matching"] == "layer") & (same["draw"] == 0)].set_index("question")["heads"]
    assert all(list(row.heads) == list(same[row.question]) for row in random.itertuples())


def test_a_lower_level_takes_fewer_heads():
    assert set(tops(transferred_sets(head_sets(), ["wu24"], 2), "wu24")["size"]) == {2}


def test_where_ties_end_one_set_early_all_are_as_small():
    sets = transferred_sets(head_sets(told_apart(make_rankings(STUDY), "wu24", 3, "inc_year")), ["wu24", "qrhead"], 4)
    assert set(tops(sets, "wu24")["size"]) == {3} and len(tops(sets, "wu24")) == 9
    # Other methods keep the size that their own questions share.
    assert set(tops(sets, "qrhead")["size"]) == {4}


def test_a_question_without_top_heads_has_no_part():
    sets = transferred_sets(head_sets(told_apart(make_rankings(STUDY), "wu24", 0, "inc_year")), ["wu24"], 4)
    assert set(sets.loc[sets["method"] == "wu24", "question"]) == {"inc_state", "hq_state"}
    assert set(sets["source_question"].dropna()) == {"inc_state", "hq_state"}


def test_a_single_question_with_top_heads_has_none_to_be_held_against():
    rankings = make_rankings(STUDY)
    for question in ("inc_year", "hq_state"):
        rankings = told_apart(rankings, "wu24", 0, question)
    sets = transferred_sets(head_sets(rankings), ["wu24"], 4)
    assert set(sets["source"]) == {"baseline"} and sets["question"].tolist() == QUESTIONS


def prompts(asked):
    rows = [
        {"prompt_id": f"{document}/{question}/{depth}", "doc_id": document, "question": question, "depth": depth}
        for document, questions in asked.items()
        for question in questions
        for depth in (0.2, 0.8)
    ]
    return pd.DataFrame(rows)


def test_only_documents_that_state_all_facts_are_asked():
    found = about_every_question(prompts({"a": "xyz", "b": "xz", "c": "xyz"}))
    assert found["doc_id"].unique().tolist() == ["a", "c"] and len(found) == 12


def test_without_such_a_document_it_is_refused():
    with pytest.raises(StudyError, match=r"controls\.transfer\.documents: none of 2 test documents can be asked all"):
        about_every_question(prompts({"a": "xy", "b": "xz"}))

"""What heads cost in retrieval and in what takes none, on tables made by hand."""

import itertools

import numpy as np
import pandas as pd
import pytest

from retrieval_heads.analysis.specificity import beside_items, measure_specificity
from retrieval_heads.analysis.statistics import Estimate, weighted_sum
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.specificity import SPECIFICITY

HOW = {"intervention": "reading", "mode": "zero", "scope": "suffix"}
WHERE = {"model": "m", "context_length": 512, "variant": "plain"}
ITEMS = [("facts", f"fact {i}") for i in range(20)] + [("sums", f"sum {i}") for i in range(20)]


def ablation(lost, draws=1, documents=10, whole=None):
    """The ablation table: one prompt for each question of ``lost`` and document.

    lost : (question, source, draw) → the documents whose prompts are lost.
    whole : question → the documents whose prompts the whole model answers; default all.
    """
    rows = []
    questions = dict.fromkeys(question for question, _, _ in lost)
    for question, document in itertools.product(questions, range(documents)):
        known = whole is None or document in whole.get(question, range(documents))
        prompt = {**WHERE, **HOW, "question": question, "depth": 0.5, "doc_id": f"d{document:02}"}
        prompt |= {"prompt_id": f"d{document:02}/{question}", "k": 0, "size": 0}
        rows.append(prompt | {"source": "baseline", "correct": known})
        for (of, source, draw), these in lost.items():
            if of == question:
                random = {"matching": "layer", "draw": draw, "matched": 1.0} if source == "random" else {}
                head_set = {"source": source, "method": "wu24", "k": 5, "size": 5, **random}
                rows.append(prompt | head_set | {"correct": known and document not in these})
    return pd.DataFrame(rows).reindex(columns=ABLATION.columns)


def items(lost, answered=None):
    """The specificity table: (question, source, draw) → the items that are lost of those that are answered."""
    answered = ITEMS if answered is None else answered
    rows = [
        {**WHERE, **HOW, "kind": kind, "item": item, "source": "baseline", "k": 0, "correct": (kind, item) in answered}
        for kind, item in ITEMS
    ]
    for (question, source, draw), these in lost.items():
        random = {"matching": "layer", "draw": draw, "matched": 1.0} if source == "random" else {}
        for kind, item in answered:
            if sum(one == kind for one, _ in answered) >= 20:
                head_set = {"question": question, "source": source, "method": "wu24", "k": 5, "size": 5, **random}
                rows.append({**WHERE, **HOW, "kind": kind, "item": item, **head_set, "correct": item not in these})
    return pd.DataFrame(rows).reindex(columns=SPECIFICITY.columns)


def measured(prompts, of_items, resamples=500, **more):
    found = measure_specificity(ablation(prompts, **more), items(of_items), 1, resamples)
    return found.set_index([found["question"].fillna("all"), "source"])


TOP, RANDOM = ("q", "method", None), ("q", "random", 0)
FACTS, SUMS = ([f"{kind} {i}" for i in range(20)] for kind in ("fact", "sum"))


def test_losses_are_shares_of_what_the_whole_model_answers():
    # Of 8 prompts that are answered 6 are lost, of 20 facts 4, of 20 sums 10.
    found = measured({TOP: range(6), RANDOM: [0]}, {TOP: FACTS[:4] + SUMS[:10], RANDOM: []}, whole={"q": range(8)})
    row = found.loc["q", "method"]
    assert row["retrieval_loss"] == 6 / 8 and row["facts_loss"] == 0.2 and row["sums_loss"] == 0.5
    assert row["control_loss"] == pytest.approx(0.35) and row["specificity"] == pytest.approx(0.40)
    assert found.loc["q", "random"]["specificity"] == 1 / 8
    assert row["difference"] == pytest.approx(0.40 - 1 / 8)
    assert (row["prompts"], row["documents"], row["facts"], row["sums"]) == (8, 8, 20, 20)
    assert (found["status"] == "ok").all()


def test_several_draws_stand_for_one_by_their_mean():
    second = ("q", "random", 1)
    found = measured({TOP: [], RANDOM: range(4), second: range(2)}, {TOP: [], RANDOM: FACTS[:8], second: []})
    row = found.loc["q", "random"]
    assert row["retrieval_loss"] == pytest.approx(0.3) and row["facts_loss"] == pytest.approx(0.2)
    assert row["draws"] == 2 and row["matching"] == "layer"


def test_over_all_questions_a_questions_heads_count_as_its_prompts_do():
    # Question a has 9 prompts of which all are lost, b has 3 of which none is; a's heads cost every sum.
    sets = {("a", "method", None): range(9), ("b", "method", None): []}
    costs = {("a", "method", None): SUMS, ("b", "method", None): []}
    found = measured(sets, costs, whole={"a": range(9), "b": range(3)})
    assert found.loc["a", "method"]["specificity"] == 0.5 and found.loc["b", "method"]["specificity"] == 0
    row = found.loc["all", "method"]
    assert row["retrieval_loss"] == 9 / 12 and row["sums_loss"] == pytest.approx(9 / 12)
    assert row["specificity"] == pytest.approx(9 / 12 - 9 / 24)
    assert np.isnan(row["difference"]) and pd.isna(row["p"])  # no random heads


def test_retrieval_alone_gives_one_and_all_alike_gives_none():
    alone = measured({TOP: range(10), RANDOM: []}, {TOP: [], RANDOM: []}).loc["all", "method"]
    assert alone["specificity"] == 1 and alone["specificity_low"] > 0.6 and alone["p_holm"] < 0.01
    alike = measured({TOP: range(10), RANDOM: []}, {TOP: FACTS + SUMS, RANDOM: []}).loc["all", "method"]
    assert alike["specificity"] == 0 and alike["specificity_low"] < 0 < alike["specificity_high"]
    assert alike["difference"] == 0 and alike["p"] > 0.9


def test_fewer_than_twenty_items_of_a_kind_tell_nothing_and_say_so():
    table = items({TOP: FACTS[:4]}, ITEMS[:33])
    found = measure_specificity(ablation({TOP: range(5)}), table, 1, 100)
    row = found[found["question"].isna()].iloc[0]
    assert row["status"] == "the whole model answers 13 sums, and it takes 20"
    assert row["facts_loss"] == 0.2 and row["retrieval_loss"] == 0.5
    assert row[["sums_loss", "control_loss", "specificity", "difference", "p"]].isna().all()
    assert row["facts"] == 20 and row["sums"] == 0


def test_without_an_answered_prompt_nothing_is_told():
    found = measured({TOP: range(5)}, {TOP: []}, whole={"q": []})
    row = found.loc["all", "method"]
    assert row["status"] == "the whole model answers no test prompt" and np.isnan(row["specificity"])
    assert row["control_loss"] == 0


def test_where_no_heads_were_ablated_there_are_no_rows():
    found = measure_specificity(ablation({TOP: []}).query("source == 'baseline'"), items({}), 1, 100)
    assert found.empty


def test_other_interventions_and_settings_have_no_part():
    own = ablation({TOP: range(5)})
    others = [own.assign(intervention="everywhere", correct=False), own.assign(variant="chat", correct=False)]
    both = measure_specificity(pd.concat([own, *others]), items({TOP: []}), 1, 100)
    pd.testing.assert_frame_equal(both, measure_specificity(own, items({TOP: []}), 1, 100))


@pytest.mark.parametrize("other", [{"method": "another"}, {"k": 77}])
def test_methods_and_levels_that_the_items_were_not_asked_under_have_no_rows(other):
    own = ablation({TOP: range(5)})
    ablated = own[own["source"] != "baseline"]
    both = beside_items(pd.concat([own, ablated.assign(**other)]), ablated["method"].unique(), ablated["k"].unique())
    pd.testing.assert_frame_equal(both.reset_index(drop=True), own.reset_index(drop=True))


def test_of_several_matchings_the_strictest_counts():
    lost = {TOP: range(5), RANDOM: range(2)}
    further = ablation(lost).query("source == 'random'").assign(matching="none", matched=np.nan, correct=False)
    found = measure_specificity(pd.concat([ablation(lost), further]), items({TOP: [], RANDOM: []}), 1, 100)
    assert found.loc[found["source"] == "random", "retrieval_loss"].tolist() == [0.2, 0.2]


def by_lot(rng, top, random):
    """What is lost by chance alone, as shares of prompts and of items."""
    prompts = {key: np.flatnonzero(rng.uniform(size=10) < share[0]) for key, share in ((TOP, top), (RANDOM, random))}
    of_items = {
        key: [item for _, item in ITEMS if rng.uniform() < share[1]] for key, share in ((TOP, top), (RANDOM, random))
    }
    return prompts, of_items


@pytest.mark.thorough
@pytest.mark.parametrize("shares", [(0.3, 0.3), (0.6, 0.2)])
def test_where_top_heads_are_like_random_ones_few_tests_are_significant(shares):
    rng = np.random.default_rng(5)
    p = [measured(*by_lot(rng, shares, shares), resamples=10).loc["q", "method"]["p"] for _ in range(60)]
    assert np.mean(np.array(p) < 0.05) < 0.12
    assert 0.3 < np.median(p) < 0.7


@pytest.mark.thorough
def test_where_top_heads_cost_both_alike_few_tests_are_significant():
    rng = np.random.default_rng(6)
    p = [measured(*by_lot(rng, (0.6, 0.6), (0.1, 0.1)), resamples=10).loc["q", "method"]["p"] for _ in range(60)]
    assert np.mean(np.array(p) < 0.05) < 0.12


@pytest.mark.thorough
def test_intervals_hold_the_true_value_about_as_often_as_they_say():
    rng, held = np.random.default_rng(7), []
    for _ in range(60):
        row = measured(*by_lot(rng, (0.6, 0.3), (0.1, 0.1)), resamples=300).loc["q", "method"]
        held.append(row["specificity_low"] <= 0.3 <= row["specificity_high"])
    assert 0.88 < np.mean(held) <= 1


def test_independent_estimates_are_added_with_their_distances_squared():
    one, two = Estimate(0.5, 0.2, 0.9), Estimate(0.3, 0.26, 0.33)
    value, low, high = weighted_sum([one, two], [1, -1])
    assert value == pytest.approx(0.2)
    assert low == pytest.approx(0.2 - np.hypot(0.3, 0.03)) and high == pytest.approx(0.2 + np.hypot(0.4, 0.04))
    assert weighted_sum([one, Estimate(0.3, 0.3, 0.3)], [1, 1]) == pytest.approx((0.8, 0.5, 1.2))

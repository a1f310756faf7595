"""A diagonal is found where questions have heads of their own, and by chance as often as p says where they have not."""

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, kstest

from made_transfer import measured, published_answers, right_answers, together, transfer_rows
from retrieval_heads import tables
from retrieval_heads.analysis.statistics import diagonal_test, interactions
from retrieval_heads.tables.transfer import TRANSFER
from retrieval_heads.tables.transfer_drops import TRANSFER_DROPS
from retrieval_heads.tables.transfer_tests import TRANSFER_TESTS


def over_all(tests):
    (row,) = tests[tests["question"].isna()].to_dict("records")
    return row


def generator(seed):
    return np.random.default_rng(seed)


def test_numbers_are_those_of_a_table_computed_by_hand():
    # Two documents, two questions; sources down, targets across.
    correct = np.array([[[0, 1], [1, 1]], [[0, 0], [1, 0]]], bool)
    random = np.array([[1, 1], [1, 0]], bool)
    found = measured(transfer_rows(correct, random=random, guessed=np.array([[0, 0], [1, 0]], bool)))
    drop = found["transfer_drops"].set_index(["source_question", "question"])["drop"]
    assert drop.to_dict() == {("q0", "q0"): 1.0, ("q0", "q1"): 0.5, ("q1", "q0"): 0.0, ("q1", "q1"): 0.5}
    row = over_all(found["transfer_tests"])
    assert (row["unablated"], row["own"], row["others"], row["random"], row["guess"]) == (1.0, 0.25, 0.75, 0.75, 0.25)
    assert row["difference"] == pytest.approx(0.5)  # mean of 1 and .5, less that of .5 and 0
    tests = found["transfer_tests"].set_index("question")
    # 1 − (1 + .5) / 2 − (1 + 0) / 2 + 2 / 4, and .5 − (.0 + .5) / 2 − (.5 + .5) / 2 + 2 / 4.
    assert tests.loc["q0", "difference"] == pytest.approx(0.25)
    assert tests.loc["q1", "difference"] == pytest.approx(0.25)
    assert tests.loc["q0", ["own", "others", "random", "guess"]].tolist() == [0.0, 1.0, 1.0, 0.5]
    assert (row["questions"], row["prompts"], row["documents"], row["size"]) == (2, 4, 2, 64)


def test_nats_are_those_of_a_table_computed_by_hand():
    nats = np.array([[[-3.0, -1.0], [-2.0, -4.0]]])
    found = measured(transfer_rows(nats > -2.5, logprob=nats))
    drop = found["transfer_drops"].set_index(["source_question", "question"])["logprob_drop"]
    assert drop["q0", "q0"] == 3.0 and drop["q1", "q0"] == 2.0
    row = over_all(found["transfer_tests"])
    assert row["logprob_difference"] == pytest.approx((3 + 4) / 2 - (1 + 2) / 2)
    assert np.isnan(row["logprob_difference_low"])  # of one document


def test_tables_fit_their_schemas(tmp_path):
    made = transfer_rows(right_answers(0.3, 0.6, 7))
    for name, table in (("transfer_drops", TRANSFER_DROPS), ("transfer_tests", TRANSFER_TESTS)):
        tables.write(measured(made)[name], tmp_path / name, table)
        assert len(tables.read(tmp_path / name, table)) == {"transfer_drops": 16, "transfer_tests": 5}[name]
    tables.write(made, tmp_path / "transfer", TRANSFER)
    empty = measured(made[made["method"].isna()])
    tables.write(empty["transfer_drops"], tmp_path / "none", TRANSFER_DROPS)
    tables.write(empty["transfer_tests"], tmp_path / "none", TRANSFER_TESTS)


def test_depths_of_a_document_are_taken_together():
    correct = right_answers(0.2, 0.7, 10)
    one = transfer_rows(correct)
    other = one.assign(depth=0.9, prompt_id=one["prompt_id"] + "/0.9")
    once, twice = (over_all(measured(frame)["transfer_tests"]) for frame in (one, together(one, other)))
    assert twice["prompts"] == 2 * once["prompts"] and twice["documents"] == once["documents"]
    for name in ("own", "others", "difference", "difference_low", "difference_high", "p"):
        assert twice[name] == pytest.approx(once[name])


def test_published_answers_show_no_difference():
    row = over_all(measured(published_answers(), resamples=2000)["transfer_tests"])
    assert [round(row[name], 3) for name in ("own", "others", "random")] == [0.353, 0.356, 0.878]
    assert row["p"] > 0.05
    assert row["difference_low"] < 0 < row["difference_high"] < 0.05


def test_a_diagonal_is_found():
    row = over_all(measured(transfer_rows(right_answers(0.2, 0.7)))["transfer_tests"])
    assert row["p"] < 0.001 and row["difference_low"] > 0.3 and row["logprob_p"] < 0.001


def test_a_single_question_with_heads_of_its_own_is_named():
    correct = right_answers(0.5, 0.5, 60)
    correct[:, 0, 0], correct[:, 0, 1:], correct[:, 1:, 0] = False, True, True
    tests = measured(transfer_rows(correct))["transfer_tests"].set_index("question")
    assert tests.loc["q0", "p_holm"] < 0.01 and tests.loc["q0", "difference_low"] > 0.2


def test_heads_that_cost_more_throughout_make_no_diagonal():
    rng = generator(0)
    chances = np.array([0.1, 0.8, 0.8, 0.8])[:, None] * np.ones(4)
    row = over_all(measured(transfer_rows(rng.uniform(size=(60, 4, 4)) < chances))["transfer_tests"])
    assert row["p"] > 0.05 and row["difference_high"] < 0.1


def test_p_values_are_corrected_over_methods_and_over_the_questions_of_each():
    frames = [transfer_rows(right_answers(0.4, 0.6, 12, seed=seed), method=f"m{seed}") for seed in range(3)]
    tests = measured(*frames)["transfer_tests"]
    every = tests[tests["question"].isna()].sort_values("p")
    expected = np.minimum(1, np.maximum.accumulate(every["p"] * [3, 2, 1]))
    assert every["p_holm"].tolist() == pytest.approx(expected.tolist())
    for _, each in tests.dropna(subset="question").groupby("method"):
        each = each.sort_values("p")
        expected = np.minimum(1, np.maximum.accumulate(each["p"] * [4, 3, 2, 1]))
        assert each["p_holm"].tolist() == pytest.approx(expected.tolist())


def test_methods_change_nothing_about_each_other():
    frames = [transfer_rows(right_answers(0.4, 0.6, 12, seed=seed), method=f"m{seed}") for seed in range(2)]
    alone, beside = measured(frames[0])["transfer_tests"], measured(*frames)["transfer_tests"]
    columns = [name for name in alone if not name.endswith("holm")]
    same = beside[beside["method"] == "m0"].reset_index(drop=True)
    pd.testing.assert_frame_equal(same[columns], alone[columns])


class TestDiagonal:
    def test_interactions_have_no_rows_or_columns_in_common(self):
        values = generator(0).normal(size=(5, 3, 3))
        left = interactions(values)
        assert np.abs(left.sum(-1)).max() < 1e-12 and np.abs(left.sum(-2)).max() < 1e-12
        added = values + generator(1).normal(size=(5, 3, 1)) + generator(2).normal(size=(5, 1, 3))
        assert np.allclose(interactions(added), left)

    def test_p_is_the_share_of_all_permutations(self):
        values = generator(3).normal(size=(3, 3, 3)) + 0.8 * np.eye(3)
        orders = list(permutations(range(3)))

        def contrast(rows):
            moved = np.array([block[list(order)] for block, order in zip(values, rows, strict=True)]).mean(0)
            return np.trace(moved) / 3 - (moved.sum() - np.trace(moved)) / 6

        every = [abs(contrast(rows)) for rows in product(orders, repeat=3)]
        exact = np.mean(np.array(every) >= every[0] - 1e-12)
        assert diagonal_test(values, generator(4))[0] == pytest.approx(exact, abs=0.015)

    def test_where_nothing_differs_p_is_1(self):
        assert diagonal_test(np.ones((6, 3, 3)), generator(0)).tolist() == [1, 1, 1, 1]

    def test_where_there_is_no_diagonal_p_is_uniform(self):
        rng, found = generator(5), []
        for _ in range(150):
            throughout = rng.normal(size=(1, 4, 1)) + rng.normal(size=(1, 1, 4)) + rng.normal(size=(8, 1, 1))
            found.append(diagonal_test(throughout + rng.normal(size=(8, 4, 4)), rng))
        for p in np.array(found)[:, :2].T:
            assert kstest(p, "uniform").pvalue > 0.01

    def test_of_right_and_wrong_answers_it_errs_no_more_often_than_it_says(self):
        rng, found = generator(6), []
        for _ in range(150):
            chance = np.clip(rng.uniform(size=(1, 3, 1)) + rng.uniform(-0.3, 0.3, size=(10, 1, 1)), 0, 1)
            answers = rng.uniform(size=(10, 3, 3)) < chance
            found.append(diagonal_test(answers.astype(float), rng)[0])
        wrong = int(np.sum(np.array(found) < 0.05))
        assert binomtest(wrong, len(found), 0.05, alternative="greater").pvalue > 0.01

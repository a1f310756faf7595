from itertools import combinations, permutations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, permutation_test, wilcoxon
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from retrieval_heads.analysis import statistics
from retrieval_heads.analysis.statistics import (
    bootstrap_mean,
    bootstrap_ratio,
    bootstrap_weights,
    exchange_test,
    fisher,
    friedman,
    holm,
    mean_interval,
    mean_of_intervals,
    newcombe,
    paired_test,
    relabeling_test,
    shared_by_all,
    sign_flip_family,
    sign_flip_test,
    sign_flips,
    signed_rank,
    widened,
    wilson,
)

outcomes = st.integers(2, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 1), min_size=n, max_size=n) for _ in range(2)])
)


def weights(documents, resamples=2000):
    return bootstrap_weights(documents, resamples, np.random.default_rng(0))


def paired(one, others, prompts=None, seed=0):
    prompts = np.ones(len(one), dtype=int) if prompts is None else np.array(prompts)
    return paired_test(np.array(one), np.array(others), prompts, np.random.default_rng(seed))


class TestPairedTest:
    @given(outcomes)
    def test_with_one_control_and_one_prompt_per_document_it_is_mcnemar(self, pair):
        one, other = map(np.array, pair)
        table = [
            [np.sum(one & other), np.sum(one & (1 - other))],
            [np.sum((1 - one) & other), np.sum((1 - one) & (1 - other))],
        ]
        assert paired(one, other) == pytest.approx(mcnemar(table, exact=True).pvalue)

    @pytest.mark.parametrize("seed", range(4))
    def test_equals_scipys_full_enumeration(self, seed):
        rng = np.random.default_rng(seed)
        one, others = rng.integers(0, 4, 4), rng.integers(0, 4, (2, 4))  # several prompts a document, two draws
        expected = permutation_test(
            (one, *others),
            lambda top, *draws: np.sum(top) - np.mean([np.sum(draw) for draw in draws]),
            permutation_type="samples",
            vectorized=False,
            n_resamples=np.inf,
        )
        assert paired(one, others, [4] * 4) == pytest.approx(expected.pvalue)

    def test_by_hand(self):
        # Each of four documents is lost with the heads ablated and kept under both draws: (1/3)^4, doubled.
        assert paired(np.zeros(4), np.ones((2, 4))) == pytest.approx(2 / 81)
        # Three documents of two prompts, all lost, one control: (1/2)^3, doubled. As prompts they would be six.
        assert paired([0] * 3, [2] * 3, [2] * 3) == pytest.approx(1 / 4)

    def test_no_difference(self):
        assert paired(np.ones(5), np.ones((3, 5))) == 1.0
        assert paired([], np.empty((2, 0))) == 1.0

    def test_a_single_document_tells_nothing(self):
        assert paired([0], [[4], [4], [4]], [4]) == 1.0

    def test_two_documents_are_tested(self):
        # One of two ways for each of two documents; both on one side are as far as both on the other.
        assert paired([2, 2], [[0, 0]], [2, 2]) == pytest.approx(2 / 4)

    def test_documents_without_prompts_change_nothing(self):
        one, others = [0, 1, 0, 0, 0], [[2, 2, 1, 0, 2], [1, 2, 2, 0, 2]]
        without = paired(np.delete(one, 3), np.delete(others, 3, axis=1), [2] * 4)
        assert paired(one, others, [2, 2, 2, 0, 2]) == without
        # Nor do they make of single prompts a permutation test.
        assert paired([0, 0, 0], [1, 1, 0], [1, 1, 0]) == pytest.approx(1 / 2)

    def test_needs_six_documents_to_reach_five_percent(self):
        assert paired(np.zeros(5), np.ones(5)) > 0.05
        assert paired(np.zeros(6), np.ones(6)) < 0.05

    @given(outcomes)
    @settings(max_examples=30)
    def test_is_a_p_value_and_symmetric(self, pair):
        one, other = map(np.array, pair)
        for prompts in (None, [1, *[3] * (len(one) - 1)]):  # McNemar's, the permutation test
            assert 0 < paired(one, other, prompts) <= 1
            assert paired(one, other, prompts) == pytest.approx(paired(other, one, prompts))

    def test_drawn_relabelings_come_close_to_all_of_them(self):
        rng = np.random.default_rng(3)
        one, other = rng.integers(0, 3, 20), rng.integers(0, 4, 20)
        # A document's difference has a random sign: the distribution of their sum, by convolution.
        null = np.ones(1)
        for difference in np.abs(one - other):
            step = np.zeros(2 * difference + 1)
            step[0] += 0.5
            step[-1] += 0.5
            null = np.convolve(null, step)
        place = int(np.sum(one - other) + np.abs(one - other).sum())
        exact = min(1, 2 * min(null[: place + 1].sum(), null[place:].sum()))
        assert 0.001 < exact < 0.5
        assert paired(one, other, [3] * 20) == pytest.approx(exact, abs=0.02)

    def test_alike_conditions_are_found_different_as_often_as_the_level_says(self):
        rng = np.random.default_rng(0)
        found = [
            paired(*np.split(rng.integers(0, 3, (3, 4)), [1])[0], rng.integers(0, 3, (2, 4)), [2] * 4)
            for _ in range(100)
        ]
        assert np.mean(np.array(found) < 0.1) < 0.2

    def test_many_documents_and_draws_are_not_held_at_once(self):
        rng = np.random.default_rng(0)
        assert paired(np.zeros(60, dtype=int), rng.integers(0, 3, (6, 60)), [2] * 60) == pytest.approx(2 / 10_000)


class TestSignedRank:
    @given(st.lists(st.integers(-9, 9), min_size=1, max_size=7).filter(any))
    @settings(max_examples=20)
    def test_is_scipys_on_what_differs(self, values):
        differs = np.array([value for value in values if value])
        found = signed_rank(np.array(values) / 10)
        assert found.p == pytest.approx(wilcoxon(differs).pvalue)
        assert found.statistic == pytest.approx(wilcoxon(differs).statistic)

    def test_by_hand(self):
        # Ranks 1, 2, 3, 4; the negative one has rank 2: (8 − 2) / 10. Sums of at most 2: of {}, {1}, {2}; both sides.
        found = signed_rank(np.array([0.1, -0.2, 0.3, 0.4]))
        assert (found.statistic, found.effect_size) == (2, pytest.approx(0.6))
        assert found.p == pytest.approx(6 / 16)

    def test_ties_by_hand(self):
        assert signed_rank(np.array([1, 1, -1, 2])).effect_size == pytest.approx((2 + 2 + 4 - 2) / 10)

    def test_differences_that_only_rounding_tells_apart_tie(self):
        assert signed_rank(np.array([0.1 + 0.2, -0.3])).effect_size == 0
        assert signed_rank(np.array([0.1 + 0.2 - 0.3, 0.5])) == signed_rank(np.array([0.5]))

    def test_all_signs_of_13_that_tie_are_tried(self):
        values = np.array([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, -6, -7.0])
        ranks = pd.Series(abs(values)).rank().to_numpy()
        every = 1 - 2 * (np.arange(2**13)[:, None] >> np.arange(13) & 1)
        sums = abs(every @ ranks)
        wanted = (sums >= abs(np.sign(values) @ ranks) - 1e-9).mean()
        assert signed_rank(values).p == pytest.approx(wanted)

    def test_many_that_tie_have_the_normal_distribution(self):
        values = np.repeat(np.arange(1, 11), 2) * np.tile([1, 1, 1, -1], 5)
        assert signed_rank(values).p == pytest.approx(wilcoxon(values, method="asymptotic").pvalue)
        assert signed_rank(values).p != pytest.approx(wilcoxon(values, method="exact").pvalue)

    def test_all_on_one_side(self):
        assert signed_rank(np.arange(1, 7)).effect_size == 1
        assert signed_rank(-np.arange(1, 7)).effect_size == -1

    def test_no_differences_at_all(self):
        assert (signed_rank(np.zeros(4)).p, signed_rank(np.zeros(4)).effect_size) == (1, 0)


class TestFriedman:
    def test_full_agreement_by_hand(self):
        # Rank sums 4, 8, 12 about a mean of 8: S = 32 = N² (C³ − C) / 12.
        found = friedman(np.array([[1, 2, 3], [0, 5, 6], [2, 4, 9], [1, 3, 4]]))
        assert (found.statistic, found.effect_size) == (pytest.approx(8), pytest.approx(1))
        assert found.p == pytest.approx(np.exp(-4))  # chi-squared with two degrees of freedom

    def test_w_by_hand(self):
        # Ranks 1 2 3, 1 3 2, 2 1 3: sums 4, 6, 8; W = 12 · 8 / (9 · 24).
        assert friedman(np.array([[1, 2, 3], [1, 3, 2], [2, 1, 3]])).effect_size == pytest.approx(12 * 8 / (9 * 24))

    def test_no_agreement(self):
        assert friedman(np.array([[1, 2, 3], [2, 3, 1], [3, 1, 2]])).effect_size == pytest.approx(0)

    def test_equal_conditions(self):
        found = friedman(np.ones((4, 3)) * np.arange(4)[:, None] + 1e-15)
        assert (found.p, found.effect_size) == (1, 0)


def spread(values):
    means = values.mean(axis=1)
    return float(np.ptp(means, axis=0).sum())


class TestPermutations:
    def test_conditions_that_differ_are_found(self):
        values = np.random.default_rng(0).normal(size=(3, 12, 5))
        values[1, :, 2] += 5
        found = exchange_test(values, spread, "places", np.random.default_rng(0))
        assert found.p == pytest.approx(1 / 1000) and found.effect_size > 2
        assert found.statistic == pytest.approx(spread(values))

    def test_of_exchangeable_conditions_few_are(self):
        rng = np.random.default_rng(1)
        found = [exchange_test(rng.normal(size=(2, 4, 3)), spread, "places", rng).p for _ in range(60)]
        assert np.mean(np.array(found) < 0.2) < 0.35 and np.mean(np.array(found) > 0.5) > 0.3

    def test_few_blocks_are_enumerated(self):
        values = np.array([[[1.0], [2.0]], [[0.0], [0.0]]])
        # Four relabelings: the sum of differences is 3, 1, 1 or 3.
        found = exchange_test(values, spread, "places", np.random.default_rng(0))
        assert found.p == pytest.approx(1 / 2)
        assert found.effect_size == pytest.approx(1.5 - 1.0) and found.effect == "places beyond chance"

    def test_a_single_block_tells_nothing(self):
        values = np.random.default_rng(0).normal(size=(3, 1, 5))
        found = exchange_test(values, spread, "places", np.random.default_rng(0))
        assert (found.statistic, found.p, found.effect_size) == (spread(values), 1, 0)

    def test_where_no_two_items_agree_every_label_is_as_good(self):
        weights = np.array([[0, 1, -1], [0, 0, 0], [0, 0, 0]])
        found = relabeling_test([(np.zeros((3, 3)), weights)], "nothing", np.random.default_rng(0))
        assert (found.statistic, found.p) == (0, 1)

    def test_pairs_under_other_labels_by_hand_and_by_enumeration(self):
        # Of three items a and b agree by 3, the others by 0; a and b less the mean of the others is as far from 0 as 3
        # under one label of c in three.
        values, weights = np.zeros((3, 3)), np.array([[0, 1, -0.5], [0, 0, -0.5], [0, 0, 0]])
        values[0, 1] = values[1, 0] = 3
        one = relabeling_test([(values, weights)], "agreement", np.random.default_rng(0))
        assert (one.statistic, one.effect_size) == (3, 3) and one.p == pytest.approx(1 / 3, abs=0.02)
        two = relabeling_test([(values, weights)] * 2, "agreement", np.random.default_rng(0))
        assert two.statistic == 3 and two.p == pytest.approx(1 / 9, abs=0.02)
        turned = relabeling_test([(values, -weights)] * 2, "agreement", np.random.default_rng(0))
        assert (turned.statistic, turned.p) == (-3, two.p)
        made = np.random.default_rng(1).normal(size=(2, 4, 4)).cumsum(axis=0)
        weights = np.triu(np.array([[0, 3, -1, -1], [0, 0, -1, -1], [0, 0, 0, 1], [0, 0, 0, 0]]) / 4)
        blocks = [(each + each.T, weights) for each in made]
        every = [
            [(values[np.ix_(order, order)] * weights).sum() for order in permutations(range(4))] for values, _ in blocks
        ]
        observed = abs(every[0][0] + every[1][0])
        exact = np.mean([abs(a + b) >= observed - 1e-9 for a, b in product(*every)])
        found = relabeling_test(blocks, "agreement", np.random.default_rng(0))
        assert found.p == pytest.approx(exact, abs=0.02) and 0.05 < exact < 0.95

    def test_skewed_agreement_of_alike_items_is_no_difference(self):
        """One pair is more often below the mean of five than above, and by less: signed ranks see a difference."""
        rng = np.random.default_rng(3)
        weights = np.triu(np.full((4, 4), -1 / 5), 1)
        weights[0, 1] = 1
        p, ranked = [], []
        for _ in range(60):
            made = np.triu(rng.uniform(size=(60, 4, 4)) < 0.1, 1) * 1.0
            blocks = [(each + each.T, weights) for each in made]
            p.append(relabeling_test(blocks, "agreement", rng).p)
            ranked.append(signed_rank(np.array([(values * weights).sum() for values, _ in blocks])).p)
        assert np.mean(np.array(p) <= 0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 60)
        assert np.mean(np.array(ranked) <= 0.05) > 0.2  # which is why this test is there

    @given(st.integers(1, 60), st.lists(st.integers(0, 60), min_size=2, max_size=4))
    def test_some_number_of_items_is_shared(self, items, sizes):
        assert 1 - 1e-12 < shared_by_all(items, [min(size, items) for size in sizes], 0).p <= 1

    def test_sets_that_lie_at_random_by_hand_and_by_enumeration(self):
        found = shared_by_all(4, [1, 1], 1)
        assert found.p == pytest.approx(1 / 4) and found.effect_size == pytest.approx(1 - 1 / 4)
        every = [set(chosen) for chosen in combinations(range(5), 3)]
        shared = [len(set(range(2)) & a & b) for a, b in product(every, repeat=2)]
        for number in range(3):
            found = shared_by_all(5, [2, 3, 3], number)
            assert found.p == pytest.approx(np.mean([n >= number for n in shared]))
            assert found.effect_size == pytest.approx(number - np.mean(shared))


class TestMeans:
    def test_interval_of_a_mean(self):
        values = np.random.default_rng(0).normal(2, 1, 100)
        found = mean_interval(values, 2000, np.random.default_rng(0))
        assert found.value == pytest.approx(values.mean())
        half = 1.96 * values.std() / 10
        assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.03)

    def test_one_unit_has_no_interval(self):
        value, low, high = mean_interval(np.array([0.3]), 100, np.random.default_rng(0))
        assert value == 0.3 and np.isnan([low, high]).all()

    def test_two_units_have_an_interval(self):
        assert mean_interval(np.array([0.0, 1.0]), 100, np.random.default_rng(0)) == (0.5, 0.0, 1.0)

    def test_equal_units(self):
        assert mean_interval(np.full(4, 0.25), 100, np.random.default_rng(0)) == (0.25, 0.25, 0.25)

    def test_one_estimate_has_its_own_interval(self):
        one = [np.array([number]) for number in (0.4, 0.1, 0.5)]
        assert mean_of_intervals(*one, np.array(["a"])) == pytest.approx((0.4, 0.1, 0.5))

    def test_ends_within_a_group_are_averaged(self):
        numbers = np.array([0.4, 0.2]), np.array([0.1, 0.1]), np.array([0.5, 0.4])
        assert mean_of_intervals(*numbers, np.array(["a", "a"])) == pytest.approx((0.3, 0.1, 0.45))

    def test_independent_estimates_narrow_each_other(self):
        numbers = np.array([0.4, 0.2]), np.array([0.1, 0.1]), np.array([0.8, 0.5])
        # Distances below 0.3 and 0.1, above 0.4 and 0.3.
        expected = (0.3, 0.3 - np.hypot(0.3, 0.1) / 2, 0.3 + 0.5 / 2)
        assert mean_of_intervals(*numbers, np.array(["a", "b"])) == pytest.approx(expected)

    @given(st.integers(1, 6), st.integers(1, 6))
    def test_more_groups_of_equal_estimates_narrow_as_a_root(self, groups, members):
        n = groups * members
        found = mean_of_intervals(np.zeros(n), np.full(n, -1.0), np.ones(n), np.arange(n) % groups)
        assert found.high == -found.low == pytest.approx(1 / np.sqrt(groups))


class TestBootstrap:
    def test_holds_the_mean_and_is_about_as_wide_as_the_normal_interval(self):
        sums = np.array([1, 0] * 50)
        estimate = bootstrap_mean(sums, np.ones(100), weights(100))
        assert estimate.value == 0.5
        assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 0.05, abs=0.02)

    def test_documents_not_prompts_are_drawn(self):
        within = np.full(20, 2), np.full(20, 4)  # half right in every document
        between = np.array([0, 4] * 10), np.full(20, 4)  # whole documents right or wrong
        narrow, wide = (bootstrap_mean(*values, weights(20)) for values in (within, between))
        assert narrow.value == wide.value == 0.5
        # An even split within every document leaves the bootstrap no width; prompts then bound it.
        assert wide.high - wide.low > 0.3 > narrow.high - narrow.low

    def test_identical_documents_do_not_give_certainty(self):
        estimate = bootstrap_mean(np.ones(10), np.ones(10), weights(10))
        assert estimate == pytest.approx((1.0, 0.025 ** (1 / 10), 1.0))  # Clopper–Pearson for 10 of 10

    def test_no_difference_anywhere_is_bounded_both_ways(self):
        estimate = bootstrap_mean(np.zeros(10), np.ones(10), weights(10), (-1.0, 1.0))
        assert estimate.value == 0
        assert estimate.high == -estimate.low == pytest.approx(1 - 0.025 ** (1 / 10))

    def test_documents_without_prompts_change_nothing(self):
        assert bootstrap_mean(np.array([1, 0, 0]), np.array([1, 1, 0]), weights(3)).value == 0.5

    def test_nothing_at_all_is_no_number(self):
        assert np.isnan(bootstrap_mean(np.zeros(2), np.zeros(2), weights(2)).value)

    @given(st.lists(st.integers(0, 3), min_size=1, max_size=12))
    @settings(max_examples=30)
    def test_interval_holds_the_value_within_bounds(self, sums):
        estimate = bootstrap_mean(np.array(sums), np.full(len(sums), 3), weights(len(sums), 200))
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


class TestCounts:
    def test_wilson_by_hand(self):
        z, n = 1.959964, 26
        centre, half = (21 + z**2 / 2) / (n + z**2), z / (n + z**2) * np.sqrt(21 * 5 / n + z**2 / 4)
        assert wilson(21, 26) == pytest.approx((21 / 26, centre - half, centre + half), abs=1e-6)

    def test_newcombe_example(self):
        # Newcombe 1998, table II: 56/70 − 48/80.
        assert newcombe(56, 70, 48, 80) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)

    def test_fisher_by_hand(self):
        # Fisher's tea: 3 of 4 against 1 of 4, (1 + 16) of 70 on either side.
        assert fisher(3, 4, 1, 4) == pytest.approx(2 * 17 / 70)

    def test_an_interval_of_no_width_is_widened_by_what_was_not_seen(self):
        # 20 prompts that all agree leave room for 1 − 0.025^(1/20) that do not.
        share = 1 - 0.025 ** (1 / 20)
        assert binom.pmf(0, 20, share) == pytest.approx(0.025)
        assert widened(statistics.Estimate(0.2, 0.2, 0.2), 20, (-1, 1)) == pytest.approx(
            (0.2, 0.2 - 1.2 * share, 0.2 + 0.8 * share)
        )
        assert widened(statistics.Estimate(0.2, 0.1, 0.4), 20, (-1, 1)) == (0.2, 0.1, 0.4)

    def test_what_holds_under_every_intervention_by_hand(self):
        tests = pd.DataFrame(
            {
                "model": "a",
                "of": ["x", "x", "y", "y", "z", "z"],
                "intervention": ["one", "two"] * 3,
                "p": [0.001, 0.02, 0.01, 0.003, 0.004, 0.005],
                "effect": [1.0, 2.0, -1.0, -2.0, 1.0, -1.0],
            }
        )
        found = statistics.corrected(tests, ["model"], ["of"], "effect")
        assert found["p_holm"].tolist() == pytest.approx([0.006, 0.02, 0.02, 0.015, 0.016, 0.016])
        # z goes one way under one, and the other way under the other.
        assert found["p_every"].tolist() == pytest.approx([0.04, 0.04, 0.03, 0.03, 1, 1])

    def test_holm_by_hand_leaves_gaps(self):
        corrected = holm(pd.Series([0.01, np.nan, 0.04, 0.03]))
        assert corrected[[0, 2, 3]].tolist() == pytest.approx([0.03, 0.06, 0.06])
        assert np.isnan(corrected[1])

    def test_holm_is_that_of_statsmodels(self):
        p = pd.Series(np.random.default_rng(0).uniform(size=30).round(1) ** 3)  # some are equal
        assert holm(p).tolist() == multipletests(p, method="holm")[1].tolist()


def test_every_interval_has_one_level():
    assert statistics.LEVEL == 0.95


class TestSignFlips:
    def test_all_signs_are_tried_of_few_documents_and_the_observed_ones_come_first(self):
        signs = sign_flips(3, np.random.default_rng(0))
        assert sorted(map(tuple, signs)) == sorted(product([-1, 1], repeat=3)) and (signs[0] == 1).all()
        all_of_13 = sign_flips(13, np.random.default_rng(0))
        assert all_of_13.shape == (2**13, 13) and len(np.unique(all_of_13, axis=0)) == 2**13
        drawn = sign_flips(20, np.random.default_rng(0))
        assert drawn.shape == (1 + statistics.PERMUTATIONS, 20) and (drawn[0] == 1).all()

    @given(st.lists(st.integers(-20, 20), min_size=2, max_size=8))
    @settings(max_examples=50, deadline=None)
    def test_equals_scipys_full_enumeration(self, differences):
        values = np.array(differences, float)
        (p,) = sign_flip_test(values[:, None], sign_flips(len(values), np.random.default_rng(0)))
        scipys = permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
        assert p == pytest.approx(scipys.pvalue)

    def test_a_document_without_difference_counts_for_nothing(self):
        signs = sign_flips(4, np.random.default_rng(0))
        assert sign_flip_test(np.array([[1.0], [2], [3], [np.nan]]), signs)[0] == 2 / 8
        assert sign_flip_test(np.zeros((4, 1)), signs)[0] == 1

    def test_a_family_of_one_is_the_test_itself(self):
        values, signs = np.random.default_rng(1).normal(size=(7, 1)), sign_flips(7, np.random.default_rng(0))
        assert sign_flip_family(values, signs) == pytest.approx(sign_flip_test(values, signs))
        assert sign_flip_family(values[:, :0], signs).shape == (0,)

    def test_a_family_is_by_hand_the_steps_down_from_the_largest_t(self):
        values = np.random.default_rng(2).normal(size=(5, 3)) + np.array([2, 1, 0])
        signs = sign_flips(5, np.random.default_rng(0))

        def t(flipped):
            return abs(flipped.mean(0)) / (flipped.std(0, ddof=1) / np.sqrt(len(flipped)))

        drawn = np.array([t(sign[:, None] * values) for sign in signs])
        order, p, so_far = np.argsort(-drawn[0]), np.empty(3), 0.0
        for step in range(3):
            so_far = max(so_far, np.mean(drawn[:, order[step:]].max(1) >= drawn[0, order[step]] - 1e-12))
            p[order[step]] = so_far
        assert sign_flip_family(values, signs) == pytest.approx(p)

    def test_one_of_a_family_without_any_difference_changes_no_other(self):
        values, signs = np.random.default_rng(4).normal(size=(6, 2)) + 1, sign_flips(6, np.random.default_rng(0))
        with_nothing = np.column_stack([values[:, 0], np.zeros(6), values[:, 1]])
        with np.errstate(all="raise"):
            found = sign_flip_family(with_nothing, signs)
        assert found[[0, 2]] == pytest.approx(sign_flip_family(values, signs)) and found[1] == 1

    def test_corrected_p_values_are_never_smaller(self):
        values, signs = np.random.default_rng(3).normal(size=(8, 20)) + 0.5, sign_flips(8, np.random.default_rng(0))
        assert (sign_flip_family(values, signs) >= sign_flip_test(values, signs) - 1e-12).all()


class TestRatios:
    def test_numerator_and_denominator_are_drawn_together(self):
        below = np.array([[1.0], [2], [5], [9]])
        value, low, high = bootstrap_ratio(3 * below, below, weights(4))
        assert (value[0], low[0], high[0]) == pytest.approx((3, 3, 3))

    def test_with_denominators_of_one_it_is_a_mean(self):
        values = np.random.default_rng(4).normal(size=(12, 1))
        drawn = weights(12)
        value, low, high = bootstrap_ratio(values, np.ones_like(values), drawn)
        assert value[0] == pytest.approx(values.mean())
        assert (low[0], high[0]) == pytest.approx(tuple(np.quantile(drawn @ values[:, 0] / 12, [0.025, 0.975])))

    def test_documents_without_either_are_left_out(self):
        value, low, high = bootstrap_ratio(np.array([[4.0], [2], [np.nan]]), np.array([[2.0], [1], [7]]), weights(3))
        assert (value[0], low[0], high[0]) == pytest.approx((2, 2, 2))
        one = bootstrap_ratio(np.array([[4.0], [np.nan]]), np.ones((2, 1)), weights(2))
        assert one[0][0] == 4 and np.isnan(one[1][0]) and np.isnan(one[2][0])
        none = bootstrap_ratio(np.full((2, 1), np.nan), np.ones((2, 1)), weights(2))
        assert np.isnan(none).all()

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from retrieval_heads.analysis.similarity import (
    chance_of_sharing,
    expected_jaccard,
    expected_rank_biased_overlap,
    jaccard,
    rank_biased_overlap,
    spearman,
)
from retrieval_heads.analysis.ties import Places, listed

sets = st.sets(st.integers(0, 9), min_size=1)
orders = st.permutations(range(8))
persistences = st.sampled_from([0.5, 0.9, 0.98])


def ranks(order):
    """The places of items 0, 1, … in an order of all of them without ties, best first."""
    place = np.argsort(order) + 1
    return Places(place.astype(float), place)


class TestJaccard:
    def test_by_hand(self):
        assert jaccard({1, 2, 3}, {2, 3, 4}) == 0.5
        assert jaccard({1}, {2}) == 0
        assert np.isnan(jaccard(set(), set()))

    @given(sets, sets)
    def test_is_symmetric_and_one_only_for_equal_sets(self, a, b):
        assert jaccard(a, b) == jaccard(b, a)
        assert 0 <= jaccard(a, b) <= 1
        assert (jaccard(a, b) == 1) == (a == b)

    @given(st.integers(1, 7), st.data())
    def test_expected_is_the_mean_over_all_pairs_of_sets(self, n, data):
        a, b = data.draw(st.integers(1, n)), data.draw(st.integers(1, n))
        every = [jaccard(x, y) for x in combinations(range(n), a) for y in combinations(range(n), b)]
        assert expected_jaccard(n, a, b) == pytest.approx(sum(every) / len(every))

    def test_nothing_is_expected_of_nothing(self):
        assert np.isnan(expected_jaccard(5, 0, 0))

    def test_chance_of_sharing_by_hand(self):
        assert chance_of_sharing(4, 2, 2, 2) == pytest.approx(1 / 6)
        assert chance_of_sharing(4, 2, 2, 0) == 1


def defined(a, b, persistence, terms=4000):
    """Webber et al. 2010, equation 4, term by term; from the end on, the agreement stays as it is there.

    Two orders, best first, as lists.
    """
    depth = len(a)
    agreement = [len(set(a[:d]) & set(b[:d])) / d for d in range(1, depth + 1)]
    agreement += [agreement[-1]] * (terms - depth)
    return (1 - persistence) * sum(persistence**place * agreement[place] for place in range(terms))


class TestRankBiasedOverlap:
    @given(orders, orders, persistences)
    @settings(max_examples=60)
    def test_equals_its_definition(self, a, b, persistence):
        assert rank_biased_overlap(ranks(a), ranks(b), persistence) == pytest.approx(defined(a, b, persistence))

    def test_by_hand(self):
        # Agreement 0, 1, 1, …: all but the first place's weight, 1 − p.
        assert rank_biased_overlap(ranks([0, 1]), ranks([1, 0]), 0.9) == pytest.approx(0.9)
        # Agreement 1, 1/2, 1, 1, …
        assert rank_biased_overlap(ranks([0, 1, 2]), ranks([0, 2, 1]), 0.9) == pytest.approx(0.1 + 0.09 / 2 + 0.81)
        nothing = Places(np.array([]), np.array([], dtype=int))
        assert np.isnan(rank_biased_overlap(nothing, nothing, 0.9))

    def test_items_that_a_list_does_not_name_tie_behind_it(self):
        # One of four is named: it is the first of the other order, and the others are in any order behind it.
        # Agreement 1, (1 + 1/3) / 2, (1 + 2/3 + 2/3) / 3, 1, 1, …
        named = listed(4, np.array([0]), ranks([0]))
        expected = 1 / 2 + 1 / 4 * (4 / 3) / 2 + 1 / 8 * (7 / 3) / 3 + 1 / 8
        assert rank_biased_overlap(ranks([0, 1, 2, 3]), named, 0.5) == pytest.approx(expected)

    @given(orders, orders, persistences)
    def test_is_symmetric_and_between_0_and_1(self, a, b, persistence):
        found = rank_biased_overlap(ranks(a), ranks(b), persistence)
        assert found == pytest.approx(rank_biased_overlap(ranks(b), ranks(a), persistence))
        assert -1e-12 <= found <= 1 + 1e-12

    @given(orders, persistences)
    def test_of_equal_rankings_is_one(self, order, persistence):
        assert rank_biased_overlap(ranks(order), ranks(order), persistence) == pytest.approx(1)

    def test_the_first_places_count_most(self):
        order = list(range(20))
        early, late = [1, 0, *order[2:]], [*order[:18], 19, 18]
        assert rank_biased_overlap(ranks(order), ranks(early), 0.9) < rank_biased_overlap(
            ranks(order), ranks(late), 0.9
        )

    @pytest.mark.parametrize("n", [1, 2, 4, 5])
    def test_expected_is_the_mean_over_all_orders(self, n):
        # By symmetry one of the two may stay as it is.
        every = [rank_biased_overlap(ranks(range(n)), ranks(other), 0.8) for other in permutations(range(n))]
        assert expected_rank_biased_overlap(n, 0.8) == pytest.approx(np.mean(every))


class TestSpearman:
    def test_by_hand_without_ties(self):
        # 1 − 6 Σd² / (n (n² − 1)), d = 1, 1, 0, 0.
        assert spearman(np.array([1, 2, 3, 4]), np.array([2, 1, 3, 4])) == pytest.approx(1 - 6 * 2 / (4 * 15))

    def test_unlisted_heads_are_tied(self):
        a, b = np.array([1, 2, 3.5, 3.5]), np.array([1, 2, 3, 4])
        assert spearman(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
    def test_is_pearsons_correlation_of_mean_ranks(self, pairs):
        a, b = np.array(pairs, dtype=float).T
        if np.ptp(a) and np.ptp(b):
            assert spearman(a, b) == pytest.approx(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
        else:
            assert np.isnan(spearman(a, b))

    def test_one_item_has_none(self):
        assert np.isnan(spearman(np.array([1]), np.array([1])))

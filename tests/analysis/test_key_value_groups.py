"""Groups of heads that share keys and values: by hand, by counting all sets, and where nothing is to be found."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_heads import tables
from retrieval_heads.analysis.key_value_groups import (
    chance_of_touching,
    group_overlap,
    rank_groups,
    sharing,
    touched_groups,
)
from retrieval_heads.analysis.overlap import pairwise
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.tables.group_overlap import GROUP_OVERLAP
from retrieval_heads.tables.key_value_groups import KEY_VALUE_GROUPS

LAYERS, HEADS, SHARED_BY = 4, 6, 3


def labels_of(model="small", layers=LAYERS, heads=HEADS, shared_by=SHARED_BY):
    grid = pd.DataFrame(product(range(layers), range(heads)), columns=["layer", "head"])
    return grid.assign(model=model, key_value_group=grid["head"] // shared_by)


def ranking(first, score=None, layers=LAYERS, heads=HEADS, **names):
    """A ranking of all heads: some first, all others behind them in a row; or those alone that have a score."""
    rest = [head for head in product(range(layers), range(heads)) if head not in first] if score is None else []
    frame = pd.DataFrame([*first, *rest], columns=["layer", "head"])
    names = {"model": "small", "method": "wu24", "question": "hq_state", "context_length": 512} | names
    scores = -frame.index.to_numpy(float) if score is None else score
    return placed(frame.assign(variant="plain", score=scores, n_samples=3, score_sd=0.1, **names))


def counted(sizes, heads):
    """The share of all sets of so many heads that touch 0, 1, … groups."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    touched = [len({group[head] for head in chosen}) for chosen in combinations(range(len(group)), heads)]
    return np.bincount(touched, minlength=len(sizes) + 1) / len(touched)


class TestChance:
    @given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
    @settings(max_examples=40, deadline=None)
    def test_is_that_of_counting_all_sets(self, sizes, data):
        heads = data.draw(st.integers(0, sum(sizes)))
        assert chance_of_touching(tuple(sizes), heads) == pytest.approx(counted(sizes, heads))

    def test_of_a_large_model_has_the_hypergeometric_mean(self):
        chances = chance_of_touching((4,) * 256, 100)
        assert chances.sum() == pytest.approx(1)
        # A group is missed if none of its four heads is among the 100 of 1,024.
        missed = np.prod([(924 - i) / (1024 - i) for i in range(4)])
        assert chances @ np.arange(257) == pytest.approx(256 * (1 - missed))


class TestTouched:
    FIRST = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 5))

    def test_by_hand(self):
        (row,) = touched_groups(ranking(self.FIRST), labels_of(), [5], 5).to_dict("records")
        assert (row["k"], row["size"], row["touched"], row["groups"], row["layers"]) == (5, 5, 3, 8, 2)
        anywhere = counted([3] * 8, 5)
        assert row["chance"] == pytest.approx(anywhere @ np.arange(9)) and row["p"] == pytest.approx(anywhere[:4].sum())
        # Three of layer 0's six heads are of one group in 2 of 20 ways, two of layer 1's in 6 of 15.
        assert row["chance_in_layers"] == pytest.approx((2 - 2 / 20) + (2 - 6 / 15))
        assert row["p_in_layers"] == pytest.approx(1 - (1 - 2 / 20) * (1 - 6 / 15))
        assert row["p_in_layers_holm"] == row["p_in_layers"]

    def test_at_each_level_the_heads_that_are_told_apart_count(self):
        tied = ranking([(0, 0), (0, 3), (1, 0), (1, 1), (2, 0)], [9, 8, 7, 7, 1])
        found = touched_groups(tied, labels_of(), [1, 3, 5, 99], 4).set_index("k")
        assert found["size"].to_dict() == {1: 1, 3: 2, 4: 4, 5: 5}  # of the two that tie, none or both
        assert found["touched"].to_dict() == {1: 1, 3: 2, 4: 3, 5: 4}
        assert touched_groups(ranking([(0, 0), (0, 1)], [1, 1]), labels_of(), [1], 1).empty

    @pytest.mark.thorough
    def test_random_rankings_touch_as_many_as_chance_says(self):
        """Simulated: the p values of random rankings are small no more often than they say."""
        rng, grid = np.random.default_rng(1), list(product(range(LAYERS), range(HEADS)))
        drawn = [ranking([grid[i] for i in rng.permutation(24)], question=f"q{number:03d}") for number in range(400)]
        found = touched_groups(pd.concat(drawn), labels_of(), [8], 8)
        assert len(found) == 400
        assert found["touched"].mean() == pytest.approx(found["chance"].mean(), abs=0.1)
        assert found["touched"].mean() == pytest.approx(found["chance_in_layers"].mean(), abs=0.1)
        for name in ("p", "p_in_layers"):
            assert (found[name] <= 0.05).mean() <= 0.075
        assert (found["p_in_layers_holm"] > 0.05).all()

    def test_heads_that_crowd_in_groups_are_found(self):
        crowded = ranking([(layer, head) for layer in (0, 1, 2) for head in (0, 1, 2)])
        (row,) = touched_groups(crowded, labels_of(), [9], 9).to_dict("records")
        assert row["touched"] == 3 and row["p_in_layers"] == pytest.approx((2 / 20) ** 3)

    def test_models_whose_heads_share_nothing_are_left_out(self):
        both = pd.concat([ranking(self.FIRST), ranking(self.FIRST, model="alone")])
        labels = pd.concat([labels_of(), labels_of("alone", shared_by=1)])
        assert set(sharing(labels)["model"]) == {"small"}
        assert set(touched_groups(both, labels, [5])["model"]) == {"small"}
        of_alone = both[both["model"] == "alone"]
        assert touched_groups(of_alone, labels, [5]).empty and group_overlap(of_alone, labels).empty


class TestRankings:
    def test_a_group_has_the_place_of_its_best_head(self):
        groups = rank_groups(ranking([(1, 4), (0, 2), (1, 5), (0, 1), (3, 0)]), labels_of())
        assert list(zip(groups["layer"], groups["head"], strict=True))[:4] == [(1, 1), (0, 0), (3, 0), (0, 1)]
        assert groups["rank"].tolist() == groups["last"].tolist() == [*range(1, 9)]
        assert groups["score"].tolist()[:3] == [0, -1, -4]

    def test_groups_whose_best_heads_tie_share_their_places(self):
        groups = rank_groups(ranking([(0, 0), (1, 0), (1, 1), (2, 5)], [3, 2, 2, 2]), labels_of())
        assert list(zip(groups["layer"], groups["head"], strict=True)) == [(0, 0), (1, 0), (2, 1)]
        assert groups["rank"].tolist() == [1, 2.5, 2.5] and groups["last"].tolist() == [1, 3, 3]

    def test_scores_below_zero_keep_their_order(self):
        groups = rank_groups(ranking([(0, 0), (0, 3), (1, 0)], [-1.0, -5.0, -3.0]), labels_of())
        assert list(zip(groups["layer"], groups["head"], strict=True)) == [(0, 0), (1, 0), (0, 1)]


class TestOverlap:
    def test_is_that_of_rankings_of_so_many_heads(self, tmp_path):
        rng, grid = np.random.default_rng(2), list(product(range(LAYERS), range(HEADS)))
        made = pd.concat([ranking([grid[i] for i in rng.permutation(24)], method=method) for method in "abc"])
        found = group_overlap(made, labels_of(), 6)
        # Six of 24 heads, and so two of eight groups: the same measures as of a model that has eight heads.
        expected = pairwise(rank_groups(made, labels_of()), 2)
        pd.testing.assert_frame_equal(found, expected)
        assert set(found["k"]) == {2} and set(found["layers"]) == {4} and set(found["heads"]) == {2}
        tables.write(found, tmp_path / "group_overlap.parquet", GROUP_OVERLAP)
        tables.write(touched_groups(made, labels_of(), [6]), tmp_path / "kv.parquet", KEY_VALUE_GROUPS)

    def test_heads_of_the_same_groups_agree_fully(self):
        one = ranking([(layer, head) for layer in range(4) for head in (0, 3)])
        other = ranking([(layer, head) for layer in range(4) for head in (2, 5)], method="qrhead")
        (by_group,) = group_overlap(pd.concat([one, other]), labels_of(), 8).to_dict("records")
        (by_head,) = pairwise(pd.concat([one, other]), 8).to_dict("records")
        assert by_group["jaccard"] == 1 and by_group["spearman"] == pytest.approx(1) and by_head["jaccard"] == 0

    def test_random_rankings_agree_by_chance(self):
        rng, grid = np.random.default_rng(3), list(product(range(LAYERS), range(HEADS)))
        made = [ranking([grid[i] for i in rng.permutation(24)], method=f"m{number:02d}") for number in range(40)]
        found = group_overlap(pd.concat(made), labels_of(), 12)
        assert found["jaccard"].mean() == pytest.approx(found["chance"].mean(), abs=0.02)
        assert found["rbo"].mean() == pytest.approx(found["rbo_chance"].mean(), abs=0.02)
        assert found["spearman"].mean() == pytest.approx(0, abs=0.03)

    def test_models_of_different_grids_are_ranked_each_by_itself(self):
        small, large = ranking([(0, 0)]), ranking([(0, 0)], model="large", layers=5, heads=8)
        other = large.assign(method="qrhead")
        labels = pd.concat([labels_of(), labels_of("large", 5, 8, 2)])
        found = group_overlap(pd.concat([small, large, other]), labels)
        assert found["model"].tolist() == ["large"] and found["heads"].tolist() == [4]

    def test_a_model_whose_layers_differ_in_their_groups_is_left_out(self):
        labels = labels_of()
        labels.loc[labels["layer"] == 0, "key_value_group"] = labels["head"] // 2
        both = pd.concat([ranking([(0, 0)]), ranking([(0, 1)], method="qrhead")])
        assert group_overlap(both, labels).empty and len(touched_groups(both, labels, [3], 3)) == 2

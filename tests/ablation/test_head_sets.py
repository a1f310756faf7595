from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_heads import tables
from retrieval_heads.ablation.head_sets import (
    choose_head_sets,
    draw_grouped,
    draw_matched,
    draw_unmatched,
    grouped_share,
    matched_share,
)
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.errors import StudyError
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.heads import head_name, parse_head

LAYERS, HEADS = 6, 4
DRAWS = {"matched": 3, "unmatched": 2}
METHODS, QUESTIONS, LENGTHS, LEVELS = ["wu24", "qrhead"], ["hq_state", "inc_year"], [512, 1024], [2, 5, 12]
SET = ["model", "question", "context_length", "source", "method", "matching", "draw", "k"]


def make_rankings(methods=METHODS, questions=QUESTIONS, lengths=LENGTHS, models=("small",), layers=LAYERS, heads=HEADS):
    """Rankings in a random order, the same for a configuration whatever others there are."""
    frames = []
    for model, method, question, length in product(models, methods, questions, lengths):
        rng = np.random.default_rng([sum(map(ord, model + method + question)), length])
        grid = list(product(range(layers), range(heads)))
        frame = pd.DataFrame([grid[i] for i in rng.permutation(len(grid))], columns=["layer", "head"])
        frame = frame.assign(model=model, method=method, question=question, context_length=length, variant="plain")
        frames.append(frame.assign(score=-frame.index.to_numpy(float), n_samples=3, score_sd=0.1))
    return placed(pd.concat(frames)).sample(frac=1, random_state=1)


def choose(levels=LEVELS, draws=DRAWS, seed=1, **rankings):
    return choose_head_sets(make_rankings(**rankings), levels, draws, seed)


def as_dict(sets):
    """What identifies a set → its heads."""
    rows = sets[SET].astype(object).where(sets[SET].notna(), None)
    chosen = dict(zip(rows.itertuples(index=False, name=None), map(tuple, sets["heads"]), strict=True))
    assert len(chosen) == len(sets)
    return chosen


def layers_of(heads):
    return Counter(layer for layer, _ in heads)


@pytest.fixture(scope="module")
def sets():
    return choose()


@pytest.fixture(scope="module")
def whole():
    return as_dict(choose(models=("small", "large")))


@given(st.integers(0, 999), st.integers(0, 999))
def test_names_round_trip(layer, head):
    assert parse_head(head_name(layer, head)) == (layer, head)


def test_names_count_from_zero():
    assert head_name(14, 31) == "L14H31"
    assert parse_head("L0H0") == (0, 0)


class TestTopSets:
    def test_they_are_the_first_of_the_ranking(self, sets):
        rankings = make_rankings()
        tops = sets[sets["source"] == "method"]
        assert len(tops) == len(METHODS) * len(QUESTIONS) * len(LENGTHS) * len(LEVELS)
        for row in tops.itertuples():
            mine = rankings[
                (rankings["method"] == row.method)
                & (rankings["question"] == row.question)
                & (rankings["context_length"] == row.context_length)
            ].sort_values("rank")
            expected = [head_name(*head) for head in mine[["layer", "head"]].itertuples(index=False, name=None)]
            # As sets: heads of a set have no order.
            assert set(row.heads) == set(expected[: row.k]) and len(row.heads) == row.size == row.k
            assert pd.isna(row.matching) and pd.isna(row.draw) and pd.isna(row.matched)

    def test_they_are_nested_whatever_the_order_of_levels(self):
        sets = choose(levels=[12, 2, 5])
        for _, group in sets[sets["source"] == "method"].groupby(["method", "question", "context_length"]):
            two, five, twelve = group.sort_values("k")["heads"]
            assert set(two) < set(five) < set(twelve)

    def test_the_baseline_is_there_once_per_question_and_length(self, sets):
        baseline = sets[sets["source"] == "baseline"]
        assert Counter(zip(baseline["question"], baseline["context_length"], strict=True)) == Counter(
            product(QUESTIONS, LENGTHS)
        )
        assert (baseline["k"] == 0).all() and (baseline["size"] == 0).all() and (baseline["heads"].map(len) == 0).all()
        assert baseline[["method", "matching", "draw"]].isna().all(axis=None)

    def test_the_whole_model_can_be_cut_when_there_are_no_controls(self):
        sets = choose(levels=[LAYERS * HEADS], draws={"matched": 0, "unmatched": 0})
        assert set(sets["source"]) == {"baseline", "method"}
        assert sets.loc[sets["source"] == "method", "heads"].map(set).map(len).eq(LAYERS * HEADS).all()


def tied(scores, layers=LAYERS, heads=HEADS, **names):
    """One ranking of all heads: these scores for the first ones of a random order, 0 for the others."""
    grid = list(product(range(layers), range(heads)))
    order = [grid[i] for i in np.random.default_rng(3).permutation(len(grid))]
    frame = pd.DataFrame(order, columns=["layer", "head"]).assign(model="small", method="wu24", question="hq_state")
    frame = frame.assign(context_length=512, variant="plain", score=0.0, n_samples=3, score_sd=0.1).assign(**names)
    frame.loc[: len(scores) - 1, "score"] = scores
    return placed(frame)


def sizes(sets, source="method", **names):
    """k → size of the sets of a source."""
    rows = sets[sets["source"] == source]
    for name, value in names.items():
        rows = rows[rows[name] == value]
    assert (rows["heads"].map(len) == rows["size"]).all()
    return dict(zip(rows["k"], rows["size"], strict=True))


class TestTies:
    @pytest.mark.parametrize(
        ("scores", "expected"),
        [
            ([9, 8, 7, 6, 5, 4], {2: 2, 5: 5, 12: 6}),  # the six that scored, and none of the eighteen that did not
            ([9, 8, 8, 8, 8, 8, 8, 1], {2: 1, 5: 1, 12: 8}),
            ([9] * 3, {5: 3, 12: 3}),  # no set of two: it would choose among three
            ([9] * 13, {}),
            ([], {}),
        ],
    )
    def test_a_set_takes_no_head_that_ties_with_one_left_out(self, scores, expected):
        rankings = tied(scores)
        sets = choose_head_sets(rankings, LEVELS, DRAWS, 1)
        assert sizes(sets) == expected
        score = rankings.set_index(["layer", "head"])["score"]
        for heads in sets.loc[sets["source"] == "method", "heads"]:
            inside = score.index.isin([parse_head(name) for name in heads])
            assert score[inside].min() > score[~inside].max()
        random = sets[sets["source"] == "random"]
        assert (random["size"] == random["k"].map(expected)).all() and set(random["k"]) == set(expected)
        assert sizes(sets, "baseline") == {0: 0}

    def test_rankings_that_differ_in_method_or_question_have_sets_of_the_sizes_of_each_other(self):
        cells = [("wu24", "hq_state", 512), ("qrhead", "hq_state", 512), ("wu24", "inc_year", 512)]
        cells += [("wu24", "hq_state", 1024), ("qrhead", "inc_year", 1024)]
        rankings = pd.concat(
            [
                # The first stops at three heads; the second ties in places 3 to 4, and so has no set of three.
                tied(scores, method=method, question=question, context_length=length, variant="plain")
                for (method, question, length), scores in zip(
                    cells,
                    [[9, 8, 7], [9, 8, 7, 7, *range(6, 0, -1), 0.5, 0.4], *[range(24, 0, -1)] * 3],
                    strict=True,
                )
            ]
        )
        sets = choose_head_sets(rankings, LEVELS, DRAWS, 1)
        equal = [
            sizes(sets, "equal", method=method, question=question, context_length=length, variant="plain")
            for method, question, length in cells
        ]
        # Of another length, a ranking would make this one's ablation stale.
        assert equal == [{}, {}, {3: 3}, {}, {}]
        assert sets.loc[sets["source"] == "equal", ["matching", "draw", "matched"]].isna().all(axis=None)
        first, other = (
            sets[(sets["method"] == "wu24") & (sets["question"] == question) & (sets["context_length"] == 512)]
            for question in ("hq_state", "inc_year")
        )
        assert sizes(first) == {2: 2, 5: 3, 12: 3} and sizes(other) == {2: 2, 5: 5, 12: 12}
        (of_three,) = other.loc[other["source"] == "equal", "heads"]
        assert set(of_three) < set(other.loc[(other["source"] == "method") & (other["k"] == 5), "heads"].iloc[0])

    def test_models_do_not_ask_for_the_sizes_of_each_other(self):
        few, many = tied([9, 8, 7], model="few"), tied(range(24, 0, -1), model="many")
        sets = choose_head_sets(pd.concat([few, many]), LEVELS, DRAWS, 1)
        assert "equal" not in set(sets["source"])
        alone = as_dict(choose_head_sets(many, LEVELS, DRAWS, 1))
        assert {key: heads for key, heads in as_dict(sets).items() if key[0] == "many"} == alone

    def test_how_scores_that_tie_are_ordered_does_not_matter(self):
        rankings = tied([9, 9, 9, 8, 8])
        again = choose_head_sets(rankings.sample(frac=1, random_state=2), LEVELS, DRAWS, 1)
        assert as_dict(again) == as_dict(choose_head_sets(rankings, LEVELS, DRAWS, 1))


class TestMatchedShare:
    def test_by_hand(self):
        assert matched_share([(0, 0), (0, 1), (1, 0)], [(0, 2), (1, 1), (2, 0)]) == pytest.approx(2 / 3)
        assert matched_share([(0, 0), (1, 0)], [(0, 1), (0, 2)]) == 1 / 2
        assert matched_share([(0, 0)], [(1, 0)]) == 0
        assert matched_share([(0, 0), (1, 0)], [(1, 1), (0, 1)]) == 1

    @staticmethod
    def matched(scores, layers, heads, levels):
        """k → (share matched, distinct draws) of the draws that are called matched."""
        of_layers = tied([0], layers, heads).sort_values(["layer", "head"], ignore_index=True)
        of_layers.loc[: len(scores) - 1, "score"] = scores
        sets = choose_head_sets(placed(of_layers), levels, {"matched": 20, "unmatched": 1}, 1)
        drawn = sets[sets["matching"] == "layer"]
        assert sets.loc[sets["matching"] != "layer", "matched"].isna().all()
        assert set(sets.loc[sets["matching"] == "none", "k"]) == set(levels)  # these are there whatever the layers
        return {k: (set(rows["matched"].round(9)), len(rows)) for k, rows in drawn.groupby("k")}

    def test_a_layer_with_heads_left_is_matched_wholly(self):
        assert self.matched([9, 8], 3, 4, [2]) == {2: ({1.0}, 1)}  # the two others of the layer
        assert self.matched([9], 3, 4, [1]) == {1: ({1.0}, 3)}

    def test_the_share_is_told_where_layers_have_too_few_left(self):
        # Three of four: one is left, and two come from the layer beside it, in 6 ways.
        assert self.matched([9, 8, 7], 3, 4, [3]) == {3: ({round(1 / 3, 9)}, 6)}

    def test_none_is_called_matched_where_no_head_is(self):
        # All four of a layer: every control is from another one.
        assert self.matched([9, 8, 7, 6], 3, 4, [4]) == {}
        assert self.matched([9, 8, 7, 6], 3, 4, [1, 4]) == {1: ({1.0}, 3)}


class TestControls:
    def test_there_are_as_many_as_asked_for_but_for_those_that_come_out_alike(self, sets):
        random = sets[sets["source"] == "random"]
        assert len(random) == len(random[SET].drop_duplicates())
        for (_, _, _, matching, k), mine in random.groupby(["method", "question", "context_length", "matching", "k"]):
            distinct = mine["heads"].map(frozenset).nunique()
            assert len(mine) == distinct and 0 in set(mine["draw"])
            if k == 12:  # all the heads that there are beside the top set
                assert distinct == 1
            if matching == "none" and k < 12:
                assert set(mine["draw"]) == {0, 1}

    def test_draws_that_come_out_alike_are_one(self):
        one = {"questions": ["hq_state"], "lengths": [512], "methods": ["wu24"]}
        sets = choose(levels=[1], draws={"matched": 50, "unmatched": 0}, **one)
        drawn = sets.loc[sets["source"] == "random", "heads"].map(tuple)
        assert len(drawn) == len(set(drawn)) == HEADS - 1  # of a layer of four, one is the top head
        sets = choose(levels=[1], draws={"matched": 0, "unmatched": 500}, **one)
        assert len(sets[sets["source"] == "random"]) == LAYERS * HEADS - 1

    @given(st.integers(0, 1000), st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True))
    @settings(max_examples=20)
    def test_they_share_no_head_with_their_top_set_and_have_its_size(self, seed, levels):
        chosen = as_dict(choose(levels=levels, seed=seed, questions=["hq_state"], lengths=[512]))
        for (model, question, length, source, method, _, _, k), heads in chosen.items():
            if source == "random":
                top = chosen[model, question, length, "method", method, None, None, k]
                assert len(set(heads)) == len(heads) == len(top) == k
                assert not set(heads) & set(top)

    @given(st.permutations(list(product(range(5), range(4)))), st.permutations(list(product(range(5), range(4)))))
    @settings(max_examples=60)
    def test_matched_ones_are_in_the_same_layers_where_possible(self, order, shuffled):
        for k in range(len(order) // 2 + 1):
            top = order[:k]
            drawn = draw_matched(top, shuffled)
            assert len(set(drawn)) == k and not set(drawn) & set(top)
            wanted, got = layers_of(top), layers_of(drawn)
            left = {layer: 4 - wanted[layer] for layer in range(5)}
            if all(wanted[layer] <= left[layer] for layer in wanted):
                assert got == wanted
            for layer in wanted:
                assert got[layer] >= min(wanted[layer], left[layer])

    def test_matched_ones_come_from_the_nearest_layers_where_one_has_too_few_left(self):
        heads = list(product(range(5), range(3)))
        # Layer 2 has one head left, so the two others come from its neighbours, the lower one first.
        assert layers_of(draw_matched([(2, 0), (2, 1)], heads)) == {2: 1, 1: 1}
        assert layers_of(draw_matched([(2, 0), (2, 1), (2, 2)], heads)) == {1: 3}
        # Layer 0 has none left and layer 1 one.
        top = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
        assert layers_of(draw_matched(top, heads)) == {1: 1, 2: 3, 3: 1}
        assert layers_of(draw_matched([(4, 0), (4, 1), (4, 2)], heads)) == {3: 3}

    def test_a_layer_with_enough_left_keeps_its_own_match(self):
        # Layer 2 has none left; layer 1 has one, which its own head gets, and so layer 2 goes to layer 3.
        drawn = draw_matched([(2, 0), (2, 1), (1, 0)], list(product(range(4), range(2))))
        assert layers_of(drawn) == {1: 1, 3: 2}

    def test_within_a_layer_the_shuffled_order_decides(self):
        shuffled = [(1, 2), (0, 1), (1, 0), (0, 2), (1, 1), (0, 0)]
        assert draw_matched([(1, 1)], shuffled) == [(1, 2)]
        assert draw_matched([(1, 2)], shuffled) == [(1, 0)]
        assert draw_unmatched([(1, 2), (0, 0)], shuffled) == [(0, 1), (1, 0)]
        assert draw_unmatched([], shuffled) == []

    def test_unmatched_ones_come_from_all_layers_alike(self):
        sets = choose(levels=[4], draws={"matched": 0, "unmatched": 100}, questions=["hq_state"], lengths=[512])
        drawn = [parse_head(name) for heads in sets.loc[sets["source"] == "random", "heads"] for name in heads]
        share = Counter(drawn)
        assert set(share) == set(product(range(LAYERS), range(HEADS)))
        assert layers_of(drawn).most_common()[-1][1] > 60  # of 800, about 133 a layer, less the top sets

    def test_draws_differ_from_one_another_and_by_question(self, sets):
        chosen = as_dict(sets)
        picked = [heads for key, heads in chosen.items() if key[3:6] == ("random", "wu24", "none") and key[7] == 5]
        # The draws of a question are two, whatever the length; the top sets that they leave out differ by length.
        assert len(picked) == 8 and len({frozenset(heads) for heads in picked}) > 4


def shared_by(number, layers=5, heads=6):
    """Head → its key-value group, in a model in which so many heads share keys and values."""
    return {(layer, head): head // number for layer, head in product(range(layers), range(heads))}


def in_groups(heads, groups):
    return Counter((head[0], groups[head]) for head in heads)


def labels_of(groups, model="small"):
    rows = [(model, layer, head, group) for (layer, head), group in groups.items()]
    return pd.DataFrame(rows, columns=["model", "layer", "head", "key_value_group"])


class TestMatchedByGroup:
    GROUPS = shared_by(2)
    ORDER = tuple(GROUPS)

    def test_another_group_of_the_layer_gives_as_many_heads(self):
        drawn = draw_grouped([(1, 0), (1, 1), (3, 2)], self.ORDER, self.GROUPS)
        assert drawn == [(1, 2), (1, 3), (3, 0)]
        assert grouped_share([(1, 0), (1, 1), (3, 2)], drawn, self.GROUPS) == 1

    def test_the_shuffled_order_decides_which_group_and_which_heads(self):
        assert draw_grouped([(1, 0)], [(1, 5), (0, 0), (1, 2), (1, 4), (1, 3)], self.GROUPS) == [(1, 5)]
        # A group with too few heads in a row does not go before others.
        groups = {(0, head): group for head, group in enumerate([0, 0, 1, 2, 2])}
        assert draw_grouped([(0, 0), (0, 1)], [(0, 2), (0, 4), (0, 3)], groups) == [(0, 4), (0, 3)]

    def test_a_layer_without_another_group_takes_one_of_the_nearest(self):
        top = [(2, 0), (2, 2), (2, 4), (2, 5)]  # all three groups of the layer
        drawn = draw_grouped(top, self.ORDER, self.GROUPS)
        assert in_groups(drawn, self.GROUPS) == {(1, 0): 2, (1, 1): 1, (1, 2): 1}
        assert grouped_share(top, drawn, self.GROUPS) == 0

    def test_the_groups_of_most_heads_are_served_first_and_every_layer_serves_its_own(self):
        # Layer 2 has one group left, which its two heads of a group get; its single head goes to layer 1, which serves
        # its own before.
        top = [(2, 0), (2, 2), (2, 3), (1, 0), (1, 2)]
        drawn = draw_grouped(top, self.ORDER, self.GROUPS)
        assert in_groups(drawn, self.GROUPS) == {(2, 2): 2, (1, 2): 1, (0, 0): 1, (3, 0): 1}
        assert grouped_share(top, drawn, self.GROUPS) == pytest.approx(3 / 5)

    def test_where_no_group_is_left_single_heads_are_taken(self):
        groups = shared_by(2, 1, 6)
        drawn = draw_grouped([(0, 0), (0, 2), (0, 4)], list(groups), groups)
        assert drawn == [(0, 1), (0, 3), (0, 5)] and grouped_share([(0, 0), (0, 2), (0, 4)], drawn, groups) == 0

    def test_only_a_group_of_as_many_heads_is_matched(self):
        top = [(0, 0), (0, 1), (1, 0)]
        assert grouped_share(top, [(0, 2), (0, 4), (1, 2)], self.GROUPS) == pytest.approx(1 / 3)
        assert grouped_share([(0, 0)], [(0, 1)], self.GROUPS) == 0  # a group that the top set touches

    @given(st.permutations(ORDER), st.permutations(ORDER), st.sampled_from([1, 2, 3, 6]), st.integers(1, 15))
    @settings(max_examples=100)
    def test_draws_are_disjoint_of_the_size_and_lie_in_as_many_groups(self, order, shuffled, number, k):
        groups, top = shared_by(number), order[:k]
        drawn = draw_grouped(top, shuffled, groups)
        assert len(set(drawn)) == len(drawn) == k and not set(drawn) & set(top)
        wanted, got = in_groups(top, groups), in_groups(drawn, groups)
        share = grouped_share(top, drawn, groups)
        assert 0 <= share <= 1 and share <= matched_share(top, drawn) + 1e-12
        others = {layer: 6 // number - len({group for at, group in wanted if at == layer}) for layer in range(5)}
        if all(others[layer] >= sum(at == layer for at, _ in wanted) for layer, _ in wanted):
            # Every layer has as many groups left as the top set touches there.
            assert not wanted.keys() & got.keys() and share == pytest.approx(1)
            for layer in range(5):
                touched, drawn_from = (sorted(n for (at, _), n in of.items() if at == layer) for of in (wanted, got))
                assert touched == drawn_from
        elif len(wanted) <= len(groups) / number - len(wanted):
            # The model has: as many groups with as many heads, if in other layers.
            assert not wanted.keys() & got.keys() and sorted(wanted.values()) == sorted(got.values())

    @given(st.permutations(ORDER), st.permutations(ORDER), st.integers(1, 15))
    @settings(max_examples=50)
    def test_in_a_model_whose_heads_share_nothing_it_is_matching_by_layer(self, order, shuffled, k):
        top, alone = order[:k], shared_by(1)
        drawn = draw_grouped(top, shuffled, alone)
        assert drawn == draw_matched(top, shuffled)
        assert grouped_share(top, drawn, alone) == matched_share(top, drawn)

    def test_every_head_of_other_groups_is_drawn_alike(self):
        rng, drawn = np.random.default_rng(1), Counter()
        for _ in range(3000):
            shuffled = [self.ORDER[i] for i in rng.permutation(len(self.ORDER))]
            drawn.update(draw_grouped([(1, 0), (1, 1), (2, 4)], shuffled, self.GROUPS))
        assert {head: drawn[head] for head in drawn if head[0] == 1}.keys() == {(1, 2), (1, 3), (1, 4), (1, 5)}
        assert all(abs(drawn[1, head] - 1500) < 150 for head in (2, 3, 4, 5))
        assert all(abs(drawn[2, head] - 750) < 150 for head in (0, 1, 2, 3))

    def test_a_study_has_them_beside_the_others(self):
        rankings, labels = make_rankings(layers=5, heads=6), labels_of(self.GROUPS)
        sets = choose_head_sets(rankings, [2, 5], DRAWS | {"grouped": 3}, 1, labels)
        grouped = sets[sets["matching"] == "group"]
        assert set(grouped["source"]) == {"random"} and grouped["matched"].between(0, 1, inclusive="right").all()
        others = sets[sets["matching"] != "group"]
        assert as_dict(others) == as_dict(choose_head_sets(rankings, [2, 5], DRAWS, 1))
        tops = sets[sets["source"] == "method"].set_index(["method", "question", "context_length", "k"])["heads"]
        for row in grouped.itertuples():
            top, heads = (
                [parse_head(name) for name in names]
                for names in (tops[row.method, row.question, row.context_length, row.k], row.heads)
            )
            assert row.matched == grouped_share(top, heads, self.GROUPS)

    def test_where_heads_share_nothing_they_are_the_ones_matched_by_layer(self):
        labels = labels_of(shared_by(1))
        sets = choose_head_sets(make_rankings(layers=5, heads=6), [2, 5], {"matched": 2, "grouped": 2}, 1, labels)
        by_layer, by_group = (
            {(*key[:5], *key[6:]): heads for key, heads in as_dict(sets).items() if key[5] == matching}
            for matching in ("layer", "group")
        )
        assert by_layer == by_group and len(by_layer) > 0

    def test_where_all_heads_of_a_layer_share_their_keys_none_is_called_matched(self):
        labels = labels_of(shared_by(6))
        sets = choose_head_sets(make_rankings(layers=5, heads=6), [2], {"grouped": 3}, 1, labels)
        assert "random" not in set(sets["source"])


class TestOneSetDoesNotDependOnOthers:
    @given(
        st.sets(st.sampled_from(METHODS), min_size=1),
        st.sets(st.sampled_from(QUESTIONS), min_size=1),
        st.sets(st.sampled_from(LENGTHS), min_size=1),
        st.sets(st.sampled_from(LEVELS), min_size=1),
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from([("small",), ("large",), ("large", "small")]),
    )
    @settings(max_examples=40)
    def test_a_smaller_study_has_a_part_of_the_same_sets(
        self, whole, methods, questions, lengths, levels, matched, unmatched, models
    ):
        draws = {"matched": matched, "unmatched": unmatched}
        part = as_dict(
            choose(list(levels), draws, 1, methods=methods, questions=questions, lengths=lengths, models=models)
        )
        asked = {"baseline": 1, "method": 1, "layer": matched, "none": unmatched}
        assert part == {
            key: heads
            for key, heads in whole.items()
            for model, question, length, source, method, matching, draw, k in [key]
            if model in models and question in questions and length in lengths
            if source == "baseline" or (method in methods and k in levels)
            if (draw or 0) < asked[matching or source]
        }

    def test_the_same_seed_gives_the_same_sets(self, sets):
        assert as_dict(choose(seed=1)) == as_dict(sets)

    def test_another_seed_gives_other_draws_of_the_same_top_sets(self, sets):
        one, other = as_dict(sets), as_dict(choose(seed=2))
        tops, others = ({key: heads for key, heads in made.items() if key[3] != "random"} for made in (one, other))
        assert tops == others
        random = [key for key in one.keys() & other.keys() if key[3] == "random" and key[7] == 5]
        assert sum(set(one[key]) == set(other[key]) for key in random) < len(random) / 10

    def test_the_order_of_rows_does_not_matter(self, sets):
        shuffled = choose_head_sets(make_rankings().sample(frac=1, random_state=9), LEVELS, DRAWS, 1)
        assert as_dict(shuffled) == as_dict(sets)


class TestTooManyHeads:
    @pytest.mark.parametrize("draws", [DRAWS, {"matched": 0, "unmatched": 0}])
    def test_a_level_beyond_the_number_of_heads(self, draws):
        with pytest.raises(StudyError, match=r"ablation\.levels: 25 is more than the model's 24 heads"):
            choose(levels=[5, 25], draws=draws)

    @pytest.mark.parametrize("draws", [{"matched": 1, "unmatched": 0}, {"matched": 0, "unmatched": 1}])
    def test_a_level_that_leaves_too_few_heads_for_controls(self, draws):
        message = r"ablation\.levels: 13 of 24 heads leave too few .*at most 12, or set ablation\.random_draws to 0"
        with pytest.raises(StudyError, match=message):
            choose(levels=[13], draws=draws)

    def test_half_of_the_heads_is_not_too_many(self):
        chosen = as_dict(choose(levels=[12]))
        for key, heads in chosen.items():
            if key[3] == "random":
                top = chosen[(*key[:3], "method", key[4], None, None, 12)]
                assert {*heads, *top} == {head_name(*head) for head in product(range(LAYERS), range(HEADS))}


def test_the_table_fits_its_schema(sets, tmp_path):
    tables.write(sets, tmp_path / "head_sets.parquet", HEAD_SETS)
    read = tables.read(tmp_path / "head_sets.parquet", HEAD_SETS)
    assert as_dict(read.assign(heads=read["heads"].map(list))) == as_dict(sets)


def labelled(heads):
    """The labels of a model, of which these heads are induction heads."""
    grid = list(product(range(LAYERS), range(HEADS)))
    frame = pd.DataFrame(grid, columns=["layer", "head"]).assign(model="small", key_value_group=0)
    return frame.assign(is_induction=[head in heads for head in grid])


def test_a_top_set_without_its_induction_heads_stands_beside_it():
    rankings = make_rankings(methods=["wu24"], questions=["hq_state"], lengths=[512])
    first = rankings.sort_values("rank")[["layer", "head"]].itertuples(index=False, name=None)
    a, b, c, *_ = first
    sets = choose_head_sets(rankings, [2, 5], {}, 1, labelled([a, b, (5, 3)]), without_induction=True)
    beside = sets[sets["source"] == "without_induction"].set_index("k")
    # None is left of the first two, and of five those that are no induction heads.
    assert beside.loc[2, "heads"] == [] and beside.loc[2, "size"] == 0
    top = sets[(sets["source"] == "method") & (sets["k"] == 5)]["heads"].iloc[0]
    assert beside.loc[5, "heads"] == [name for name in top if name not in {head_name(*head) for head in (a, b, (5, 3))}]
    assert head_name(*c) in beside.loc[5, "heads"]
    others = sets[sets["source"] != "without_induction"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, choose_head_sets(rankings, [2, 5], {}, 1))


def test_in_another_variant_the_plain_ones_top_sets_are_ablated_too(tmp_path):
    plain = make_rankings()
    other = placed(plain.assign(variant="other", score=plain["score"].sample(frac=1, random_state=3).to_numpy()))
    sets = choose_head_sets(other, LEVELS, DRAWS, 1, plain=plain)
    tables.write(sets, tmp_path / "head_sets.parquet", HEAD_SETS)
    own = choose_head_sets(plain, LEVELS, DRAWS, 1)
    cell = ["model", "question", "context_length", "method", "k"]
    of_plain = sets[sets["source"] == "plain"].set_index(cell)["heads"].map(tuple).sort_index()
    tops = own[own["source"] == "method"].set_index(cell)["heads"].map(tuple).sort_index()
    pd.testing.assert_series_equal(of_plain, tops)
    assert set(sets["variant"]) == {"other"}
    rest = sets[sets["source"] != "plain"].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, choose_head_sets(other, LEVELS, DRAWS, 1))

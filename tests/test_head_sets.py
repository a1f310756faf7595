from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_heads import tables
from retrieval_heads.errors import StudyError
from retrieval_heads.head_sets import choose_head_sets, draw_matched, draw_unmatched, head_name, parse_head

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
        frame = frame.assign(model=model, method=method, question=question, context_length=length)
        frames.append(frame.assign(score=-frame.index.to_numpy(float), rank=frame.index + 1, n_samples=3, score_sd=0.1))
    return pd.concat(frames, ignore_index=True).sample(frac=1, random_state=1)


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
            assert row.heads == expected[: row.k]
            assert pd.isna(row.matching) and pd.isna(row.draw)

    def test_they_are_nested_whatever_the_order_of_levels(self):
        sets = choose(levels=[12, 2, 5])
        for _, group in sets[sets["source"] == "method"].groupby(["method", "question", "context_length"]):
            two, five, twelve = group.sort_values("k")["heads"]
            assert five[:2] == two and twelve[:5] == five

    def test_the_baseline_is_there_once_per_question_and_length(self, sets):
        baseline = sets[sets["source"] == "baseline"]
        assert Counter(zip(baseline["question"], baseline["context_length"], strict=True)) == Counter(
            product(QUESTIONS, LENGTHS)
        )
        assert (baseline["k"] == 0).all() and (baseline["heads"].map(len) == 0).all()
        assert baseline[["method", "matching", "draw"]].isna().all(axis=None)

    def test_the_whole_model_can_be_cut_when_there_are_no_controls(self):
        sets = choose(levels=[LAYERS * HEADS], draws={"matched": 0, "unmatched": 0})
        assert set(sets["source"]) == {"baseline", "method"}
        assert sets.loc[sets["source"] == "method", "heads"].map(set).map(len).eq(LAYERS * HEADS).all()


class TestControls:
    def test_there_are_as_many_as_asked_for(self, sets):
        random = sets[sets["source"] == "random"]
        for matching, draws in (("layer", 3), ("none", 2)):
            mine = random[random["matching"] == matching]
            assert set(mine["draw"]) == set(range(draws))
            assert len(mine) == draws * len(METHODS) * len(QUESTIONS) * len(LENGTHS) * len(LEVELS)
        assert len(random) == len(random[SET].drop_duplicates())

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
        assert part.items() <= whole.items()
        configurations = len(models) * len(questions) * len(lengths)
        assert len(part) == configurations * (1 + len(methods) * len(levels) * (1 + matched + unmatched))

    def test_the_same_seed_gives_the_same_sets(self, sets):
        assert as_dict(choose(seed=1)) == as_dict(sets)

    def test_another_seed_gives_other_draws_of_the_same_top_sets(self, sets):
        one, other = as_dict(sets), as_dict(choose(seed=2))
        assert one.keys() == other.keys()
        for key in one:
            if key[3] != "random":
                assert one[key] == other[key]
        random = [key for key in one if key[3] == "random" and key[7] == 5]
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
    tables.write(sets, tmp_path / "head_sets.parquet", tables.HEAD_SETS)
    read = tables.read(tmp_path / "head_sets.parquet", tables.HEAD_SETS)
    assert as_dict(read.assign(heads=read["heads"].map(list))) == as_dict(sets)

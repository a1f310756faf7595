"""Equal scores are no evidence: the rule of ties, and that nothing in the analysis takes an order of names for one."""

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise, permutations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_tables import analyse, make_ablation, make_counts, make_scores, make_study
from retrieval_heads.ablation.head_sets import choose_head_sets
from retrieval_heads.analysis import head_profiles, overlap
from retrieval_heads.analysis.coverage import leading_heads
from retrieval_heads.analysis.hypotheses import run_tests
from retrieval_heads.analysis.hypotheses.rankings import specialists_and_models
from retrieval_heads.analysis.layer_overlap import layer_overlap
from retrieval_heads.analysis.layers import leading_layers
from retrieval_heads.analysis.outcomes import as_outcomes, summarise
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.analysis.reliability import split_half
from retrieval_heads.analysis.score_gaps import score_gaps
from retrieval_heads.analysis.similarity import chance_of_sharing, rank_biased_overlap
from retrieval_heads.analysis.ties import TOLERANCE, listed, places, told_apart
from retrieval_heads.exchange import published
from retrieval_heads.exchange.external_lists import compare
from retrieval_heads.findings import claims
from retrieval_heads.findings.claims import Outcome
from retrieval_heads.findings.sections.parts import layers_with_shares
from retrieval_heads.seeds import generator
from retrieval_heads.study.config import complete
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.tables.columns import HEAD_SET, HEAD_SET_KEY
from retrieval_heads.tables.heads import head_name, parse_head
from retrieval_heads.tables.tests import (
    AGAINST_RANDOM,
    AGREEMENT_BY_LENGTH,
    CONSENSUS,
    DROP,
    HEAD_OVERLAP,
    LAYER_OVERLAP,
    LENGTH_BREAK,
    MODEL_RANKS,
    SCORE_GAP,
    SPECIALISTS,
)

# --- the rule ------------------------------------------------------------------------------------------------------

# Few values, so that many are equal; some that differ by less than the rule tells apart, and some by more.
scores = st.lists(
    st.sampled_from([0.0, 1.0, 1 + 1e-9, 1 + 1e-4, -2.0, 0.5, 1e-9, 1e-3]) | st.floats(-3, 3), min_size=1, max_size=12
).map(np.array)


class TestPlaces:
    @pytest.mark.parametrize(
        ("of", "rank", "last"),
        [
            ([0.5, 0.9, 0.1], [2, 1, 3], [2, 1, 3]),
            ([1, 2, 1, 3, 1], [4, 2, 4, 1, 4], [5, 2, 5, 1, 5]),
            ([0, 0, 0, 0], [2.5] * 4, [4] * 4),
            ([7], [1], [1]),
            ([-1, -2, -2], [1, 2.5, 2.5], [1, 3, 3]),
            ([0.0, -0.0], [1.5, 1.5], [2, 2]),
            ([0.1 + 0.2, 0.3], [1.5, 1.5], [2, 2]),
            # Steps of 1e-6 of the largest absolute score, whatever its sign and size.
            ([1, 0.3, 0.3 + 4e-7], [1, 2.5, 2.5], [1, 3, 3]),
            ([1, 0.3, 0.3 + 2e-6], [1, 3, 2], [1, 3, 2]),
            ([-1, 0.3, 0.3 + 4e-7], [3, 1.5, 1.5], [3, 2, 2]),
            ([0, 0.3, 0.3 + 4e-7], [3, 2, 1], [3, 2, 1]),
            ([1e300, 1e293, 0], [1, 2.5, 2.5], [1, 3, 3]),
            ([1e-300, 3e-301, 0], [1, 2, 3], [1, 2, 3]),
            ([], [], []),
        ],
    )
    def test_by_hand(self, of, rank, last):
        found = places(np.array(of, dtype=float))
        assert found.rank.tolist() == rank and found.last.tolist() == last
        assert found.last.dtype.kind == "i"

    @given(scores)
    def test_higher_scores_never_come_later_and_close_ones_share_places(self, of):
        rank, step = places(of).rank, TOLERANCE * abs(of).max()
        above = of[:, None] - of[None, :]
        before = rank[:, None] - rank[None, :]
        assert (before[above >= 0] <= 0).all()
        assert (before[above > step * 1.001] < 0).all()
        assert (above[before < 0] > 0).all()

    @given(scores)
    def test_a_place_is_the_mean_of_those_its_group_takes_up_to_the_last(self, of):
        rank, last = places(of)
        assert rank.sum() == len(of) * (len(of) + 1) / 2
        for k in range(len(of) + 1):
            assert (last <= k).sum() <= k
        for value in set(rank):
            group = rank == value
            (end,) = set(last[group])
            assert end == (rank <= value).sum() and value == end - (group.sum() - 1) / 2

    @given(scores, st.data())
    def test_they_move_with_what_is_scored_and_not_with_its_order(self, of, data):
        order = np.array(data.draw(st.permutations(range(len(of)))))
        for moved, stayed in zip(places(of[order]), places(of), strict=True):
            assert (moved == stayed[order]).all()

    @given(scores, st.sampled_from([2.0**-40, 0.5, 1024.0]))
    def test_they_do_not_depend_on_the_unit_of_the_scores(self, of, unit):
        for one, other in zip(places(of), places(of * unit), strict=True):
            assert (one == other).all()

    @given(scores, st.integers(0, 5), st.randoms(use_true_random=False))
    def test_what_a_list_does_not_name_ties_behind_it(self, of, missing, random):
        heads = len(of) + missing
        named = np.array(random.sample(range(heads), len(of)))
        found = listed(heads, named, places(of))
        # As if the others had a score below all.
        every = np.full(heads, of.min() - 1.0 - abs(of).max())
        every[named] = of
        largest = abs(every).max() / max(abs(of).max(), 1e-300)
        if missing == 0 or largest == 1:
            assert (found.rank == places(every).rank).all() and (found.last == places(every).last).all()
        others = np.setdiff1d(np.arange(heads), named)
        assert (found.rank[others] == len(of) + (missing + 1) / 2).all() and (found.last[others] == heads).all()
        assert (found.rank[named] == places(of).rank).all() and (found.last[named] == places(of).last).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1 + 0.2, 0.3, 0.7])), max_size=10), st.integers(0, 11))
def test_told_apart_gives_the_first_rows_and_none_that_ties_with_one_left_out(rows, most):
    frame = pd.DataFrame(rows, columns=["times", "rank"])
    found = told_apart(frame, ["times", "rank"], [False, True], most)
    keys = [(-times, round(rank, 9)) for times, rank in rows]
    chosen, left = [keys[i] for i in found.index], [keys[i] for i in set(range(len(rows))) - set(found.index)]
    assert chosen == sorted(chosen) and len(chosen) <= most
    assert not chosen or not left or chosen[-1] < min(left)
    # As many as possible: with the next group there would be too many.
    assert not left or len(chosen) + left.count(min(left)) > most


# --- rank-biased overlap with ties ---------------------------------------------------------------------------------


def every_order(score):
    """All ways to break the ties of a ranking: the place of each item from 1, shape (ways, items)."""
    return np.array([np.argsort(order) + 1 for order in permutations(range(len(score))) if falls(score, order)])


def falls(score, order):
    return all(score[a] >= score[b] for a, b in pairwise(order))


def mean_rbo(a, b, p):
    """The mean, over all pairs of orders, of RBO_EXT (Webber, Moffat and Zobel 2010, equation 30)."""
    depths = np.arange(1, a.shape[1] + 1)
    among_first = [(orders[:, None, :] <= depths[:, None]).astype(float) for orders in (a, b)]
    shared = np.einsum("ndh,mdh->nmd", *among_first)  # of each pair of orders and depth
    each = shared[..., -1] / depths[-1] * p ** depths[-1] + (1 - p) / p * (shared / depths * p**depths).sum(axis=-1)
    return each.mean()


few_values = st.integers(1, 6).flatmap(lambda items: st.lists(st.integers(0, 2), min_size=items, max_size=items))


@pytest.mark.parametrize(("most", "told"), [(1, "a"), (2, "ac"), (3, "ac"), (4, "acbd")])
def test_rows_without_a_number_come_last_and_tie(most, told):
    frame = pd.DataFrame({"name": list("abcd"), "number": [3.0, np.nan, 1.0, np.nan]})
    assert "".join(told_apart(frame, ["number"], [False], most)["name"]) == told


class TestRankBiasedOverlap:
    @given(few_values, st.data(), st.sampled_from([0.5, 0.9, 0.98]))
    @settings(max_examples=40, deadline=None)
    def test_with_ties_it_is_the_mean_over_all_ways_to_break_them(self, a, data, p):
        """RBO^a of Corsi and Urbano 2024 (arXiv 2406.07121), by enumeration."""
        b = data.draw(st.lists(st.integers(0, 2), min_size=len(a), max_size=len(a)))
        expected = mean_rbo(every_order(a), every_order(b), p)
        assert rank_biased_overlap(places(np.array(a)), places(np.array(b)), p) == pytest.approx(expected)

    def test_by_hand(self):
        # a: first x, then y and z in either order; b: x and y in either order, then z. Expected overlap at depths 1, 2
        # and 3: 1/2; 1 + 1/2; 3. With p = 1/2: 1/2 · 1/2 + 1/4 · 3/4 + 1/8 + 1/8.
        a, b = places(np.array([2, 1, 1])), places(np.array([2, 2, 1]))
        assert rank_biased_overlap(a, b, 0.5) == pytest.approx(1 / 4 + 3 / 16 + 1 / 4)
        # Nothing is told apart: as by chance, 1/3, 4/3, 3.
        same = places(np.zeros(3))
        assert rank_biased_overlap(same, same, 0.5) == pytest.approx(1 / 6 + 1 / 6 + 1 / 4)


# --- independent sparse scores ---------------------------------------------------------------------------------------

LAYERS, HEADS = 15, 18
STUDY = make_study(models=("a", "b"), methods=("wu24", "qrhead"), lengths=(512, 1024, 2048), consensus_k=136)
CONFIGURATION = list(DIMENSIONS)
TRIALS = 10


def made_rankings(study, score, layers=LAYERS, heads=HEADS):
    """Rankings of all heads; ``score`` gives those of each configuration anew."""
    grid = pd.MultiIndex.from_product([range(layers), range(heads)], names=["layer", "head"]).to_frame(index=False)
    config = study.config
    frames = [
        grid.assign(**dict(zip(CONFIGURATION, values, strict=True)), score=score(layers * heads))
        for values in product(
            config["models"], study.methods, config["questions"], config["prompts"]["context_lengths"], ["plain"]
        )
    ]
    return placed(pd.concat(frames, ignore_index=True).assign(n_samples=9, score_sd=0.1))


def sparse(rng, least=3, most=30):
    """Scores of heads of which 3 to 30, drawn at random, are above 0: in eighths, so that some of these tie too."""

    def score(heads):
        values = np.zeros(heads)
        chosen = rng.choice(heads, rng.integers(least, most, endpoint=True), replace=False)
        values[chosen] = np.ceil(rng.exponential(5, len(chosen))) / 8
        return values

    return score


NO_CHANGE = {
    "baseline": {"accuracy": 0.9, "correct": 9, "total": 10},
    "top_heads_ablations": [{"num_heads": k, "accuracy": 0.9, "correct": 9, "total": 10} for k in (5, 10)],
    "random_heads_ablations": [{"num_heads": k, "accuracy": 0.9, "correct": 9, "total": 10} for k in (5, 10)],
}


def through_published(rankings, folder, study):
    """The tables of the same scores as published results: with ranks from 1 on, ties in the order of layer and head."""
    for (model, method, question, length, _), rows in rankings.groupby(CONFIGURATION):
        rows = rows.sort_values(["score", "layer", "head"], ascending=[False, True, True])
        heads = [
            {"head": head_name(layer, head), "score": score, "rank": rank}
            for rank, (layer, head, score) in enumerate(zip(rows["layer"], rows["head"], rows["score"], strict=True), 1)
        ]
        for kind, content in (("rankings", {"samples_processed": 9, "head_rankings": heads}), ("ablations", NO_CHANGE)):
            file = folder / kind / method / model / question / f"tokens_{length}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content), encoding="utf-8")
    config = {name: study.config[name] for name in ("study", "questions")}
    config["prompts"] = {"context_lengths": study.config["prompts"]["context_lengths"]}
    config |= {name: {key: {} for key in study.config[name]} for name in ("models", "methods")}
    return published.convert(complete(config | {"published": {"folder": str(folder)}}))


@pytest.fixture(scope="module")
def trials(tmp_path_factory):
    """What the analysis finds in independent rankings; every other time it reads them as published results."""
    rng = np.random.default_rng(11)
    pairs, layers, tests = [], [], []
    nothing = as_outcomes(make_ablation(STUDY, documents=1).iloc[:0], 0, 1)
    for trial in range(TRIALS):
        rankings = made_rankings(STUDY, sparse(rng))
        if trial % 2:
            rankings, _ = through_published(rankings, tmp_path_factory.mktemp("published"), STUDY)
        overlaps = overlap.pairwise(rankings, STUDY.top_k)
        heads = head_profiles.profile_heads(rankings, STUDY.top_k)
        pairs.append(overlaps.assign(trial=trial))
        layers.append(layer_overlap(rankings, STUDY.top_k).assign(trial=trial))
        found = run_tests(STUDY, rankings, overlaps, heads, nothing)
        # In the mean of six rankings no head is among the first; in that of two, some are.
        few = rankings[(rankings["model"] == "a") & (rankings["context_length"] < 2048)]
        found = pd.concat([found[found["subject"] != SPECIALISTS], pd.DataFrame(specialists_and_models(STUDY, few))])
        tests.append(found.assign(trial=trial))
    return tuple(pd.concat(found, ignore_index=True) for found in (pairs, layers, tests))


def assert_null(values, trial, expected=0.0):
    """The mean over trials, which alone are independent of each other, within 4 standard errors of its null."""
    each = pd.Series(np.asarray(values, dtype=float)).groupby(np.asarray(trial)).mean().dropna()
    error = each.std(ddof=1) / np.sqrt(len(each))
    assert len(each) >= TRIALS / 2 and error > 0
    assert abs(each.mean() - expected) <= 4 * error, (each.mean(), expected, error)


def assert_valid(p, trial):
    """Chance gives p ≤ .05 in 5% of the cases at most."""
    below = pd.Series(np.asarray(p, dtype=float) <= 0.05).groupby(np.asarray(trial)).mean()
    # Tests of a trial share rankings: trials are the units, unless few of them have any such p.
    error = max(below.std(ddof=1) / np.sqrt(len(below)), np.sqrt(0.05 * 0.95 / len(p)))
    assert below.mean() <= 0.05 + 4 * error, (below.mean(), error)


@cache
def largest_p_up_to(bound, a, b):
    """The largest p up to a bound that sets of a and b heads can have: so often has chance one up to the bound."""
    every = [chance_of_sharing(LAYERS * HEADS, a, b, shared) for shared in range(min(a, b) + 1)]
    return max((p for p in every if p <= bound), default=0.0)


class TestIndependentSparseRankings:
    def test_published_scores_give_the_same_places(self, tmp_path):
        rankings = made_rankings(STUDY, sparse(np.random.default_rng(2)))
        found, _ = through_published(rankings, tmp_path, STUDY)
        columns = [*CONFIGURATION, "layer", "head", "score", "rank", "last"]
        pd.testing.assert_frame_equal(found[columns], rankings[columns])
        # They are worth this test: most heads tie, and ties reach into the top sets.
        assert (rankings["last"] == LAYERS * HEADS).mean() > 0.8
        assert overlap.top_heads(rankings).groupby(CONFIGURATION).size().nunique() > 5

    @pytest.mark.thorough
    @pytest.mark.parametrize("dimension", ["model", "method", "question", "context_length"])
    @pytest.mark.parametrize(
        ("measure", "null"), [("jaccard", "chance"), ("rbo", "rbo_chance"), ("spearman", 0)], ids=lambda name: str(name)
    )
    def test_pairs_agree_as_chance_does(self, trials, dimension, measure, null):
        pairs = trials[0][trials[0]["dimension"] == dimension]
        assert_null(pairs[measure] - (pairs[null] if null else 0), pairs["trial"])

    def test_so_many_heads_in_common_are_as_rare_as_their_p_says(self, trials):
        pairs = trials[0].dropna(subset="p")
        assert_valid(pairs["p"], pairs["trial"])
        # The distribution is discrete: p is what random sets of these sizes have, seen exactly.
        for bound in (0.01, 0.2, 0.5):
            expected = [largest_p_up_to(bound, a, b) for a, b in zip(pairs["size_a"], pairs["size_b"], strict=True)]
            assert_null((pairs["p"] <= bound) - np.array(expected), pairs["trial"])

    def test_top_heads_lie_in_the_same_layers_as_chance_has_it(self, trials):
        layers = trials[1]
        assert_null(layers["jaccard"] - layers["chance"], layers["trial"])

    @pytest.mark.parametrize(
        ("subject", "statistic"),
        [
            (HEAD_OVERLAP, "difference"),
            (LAYER_OVERLAP, "difference"),
            (CONSENSUS, "effect_size"),  # heads beyond chance
            (SPECIALISTS, "effect_size"),
            (MODEL_RANKS, "effect_size"),
            (SCORE_GAP, "difference"),
            (LENGTH_BREAK, "difference"),
            (AGREEMENT_BY_LENGTH, "difference"),
        ],
    )
    def test_tests_find_what_chance_gives(self, trials, subject, statistic):
        tests = trials[2][trials[2]["subject"] == subject]
        assert_valid(tests["p"], tests["trial"])
        # Of breaks, each pair's difference is the other's turned round.
        named = tests[tests[statistic].notna() & ~((subject == LENGTH_BREAK) & (tests["a"] != "512"))]
        assert_null(named[statistic], named["trial"])


# --- equal scores ----------------------------------------------------------------------------------------------------

ABOUT_RANKINGS = (
    "q2",
    "q4",
    "consensus",
    "specialists",
    "model_differences",
    "dominance",
    "overlap",
    "agreement",
    "imports",
)


def halves(study, score):
    """Agreement of halves of six documents in which every head has the same score."""
    made = made_rankings(study, lambda heads: np.full(heads, score))[CONFIGURATION].drop_duplicates()
    documents = pd.Series({f"p{n}": f"doc{n}" for n in range(6)})
    equal = dict.fromkeys(documents.index, np.full((LAYERS, HEADS), score))
    return split_half(
        [make_scores(equal, **of) for of in made[made["model"] == "a"].to_dict("records")], documents, 3, 0
    )


@pytest.mark.thorough
class TestEqualScores:
    """Scores that tell no head from another support nothing, and what is measured with them says that it does not."""

    @pytest.mark.parametrize(("score", "ablated"), [(0.0, "nothing"), (0.3, "by order")])
    def test_they_support_no_claim_and_are_a_sign_of_trouble(self, score, ablated, tmp_path):
        study = make_study(models=("a", "b"), methods=("wu24", "qrhead"), lengths=(512, 1024, 2048), levels=(5,))
        rankings = made_rankings(study, lambda heads: np.full(heads, score))
        sets = choose_head_sets(rankings, [5], {"matched": 2, "unmatched": 1}, 0)
        assert set(sets["source"]) == {"baseline"}
        results = make_ablation(study, documents=6)
        # Or heads were ablated in an order that scores do not give, as published ones may be.
        nothing = results[results["source"] == "baseline"]
        results = nothing if ablated == "nothing" else summarise(results)
        found = analyse(study, rankings, results, halves(study, score))
        names = json.dumps({f"{layer}-{head}": score for layer, head in product(range(LAYERS), range(HEADS))})
        (tmp_path / "list.json").write_text(names)
        found["imports"] = compare(rankings, {"theirs": {"model": "a", "file": tmp_path / "list.json"}})
        found["dataset_counts"] = make_counts(study)

        said = [claim for section in ABOUT_RANKINGS for claim in claims.of_section(section, found, study)]
        assert [claim.statement for claim in said if claim.outcome is Outcome.SUPPORTED] == []
        signs = [claim for claim in claims.warnings(found, study) if claim.rule == "top_sets_are_told_apart"]
        assert len(signs) == 2 * 2  # each method in each model
        assert all("0 of the top 13" in sign.sentence for sign in signs)
        # Nothing is in a top set, and no head is named for any reason.
        assert overlap.top_heads(rankings).empty and leading_heads(rankings).empty and found["unions"].empty
        assert found["profiles"]["top_share"].eq(0).all() and found["profiles"]["sd_rank"].eq(0).all()
        rows = head_profiles.select(found["profiles"], method="wu24")
        for chosen in (
            head_profiles.universal(rows, 10),
            head_profiles.leading(rows, 10),
            head_profiles.volatile(rows, 10),
        ):
            assert chosen.empty
        assert score_gaps(rankings)["gap"].eq(0).all()
        about_rankings = ~found["tests"]["subject"].isin([DROP, AGAINST_RANDOM])
        assert about_rankings.any() and found["tests"].loc[about_rankings, "p"].eq(1).all()


# --- names of heads --------------------------------------------------------------------------------------------------


def relabel(frame, permuted):
    """A table with other names for its heads: those of each layer change places."""
    heads = [permuted[layer, head] for layer, head in zip(frame["layer"], frame["head"], strict=True)]
    return frame.assign(head=heads)


def relabeled_name(name, permuted):
    layer, head = parse_head(name)
    return head_name(layer, permuted[layer, head])


def in_one_order(frame):
    """Rows by all that is no measured number: equal tables are equal then, whatever order ties had."""
    keys = [name for name in frame if not pd.api.types.is_float_dtype(frame[name])]
    return frame.sort_values(keys, ignore_index=True)


def same_tables(found, expected):
    assert found.keys() == expected.keys()
    for name, table in expected.items():
        pd.testing.assert_frame_equal(in_one_order(found[name]), in_one_order(table), rtol=0, atol=1e-9, obj=name)


SMALL = make_study(
    models=("a", "b"),
    methods=("wu24", "qrhead"),
    questions=("inc_state", "hq_state", "inc_year"),
    lengths=(512,),
    levels=(4,),
    top_k=4,
    resamples=20,
)
# What heads do is measured and not ranked, so it would have to be moved with them.
SMALL = replace(SMALL, config=SMALL.config | {"yardstick": None})
SHAPE = (4, 6)


def right(heads, prompt):
    """Does an ablated model answer a prompt? Made up, and the same for the same heads."""
    return generator(0, "answers", prompt, *sorted(heads)).uniform() < 0.9 - 0.1 * len(heads)


def ablation_of(sets, originals):
    """Outcomes under each head set; ``originals`` gives the names under which heads are known to :func:`right`."""
    rows = make_ablation(SMALL, documents=4)
    (base,) = [rows[rows["source"] == "baseline"].drop(columns=[*(name for name, _ in HEAD_SET), "correct"])]
    merged = base.merge(sets, on=CELL)
    answers = {
        (heads, prompt): right([originals[name] for name in heads], prompt)
        for heads, prompt in {(tuple(heads), p) for heads, p in zip(merged["heads"], merged["prompt_id"], strict=True)}
    }
    correct = [answers[tuple(heads), p] for heads, p in zip(merged["heads"], merged["prompt_id"], strict=True)]
    return merged.drop(columns="heads").assign(correct=correct)[rows.columns]


def whole_analysis(rankings, sets, originals, list_file):
    """Every table that the analysis makes, and what is chosen from them."""
    found = analyse(SMALL, rankings, ablation_of(sets, originals))
    del found["labels"]  # what is known of a head goes with it, and is no outcome
    found |= {"imports": compare(rankings, {"theirs": {"model": "a", "file": list_file}}, SMALL.top_k)}
    found |= {"leading_heads": leading_heads(rankings, SMALL.top_k), "top_heads": overlap.top_heads(rankings, 4)}
    every = head_profiles.select(found["profiles"])
    for method, rows in every.groupby("method"):
        of_questions = head_profiles.select(found["profiles"], "question", method=method)
        found |= {
            f"universal {method}": head_profiles.universal(rows, 5),
            f"volatile {method}": head_profiles.volatile(rows, 5),
            f"stable {method}": head_profiles.stable(rows, 8, 3),
            f"specialists {method}": head_profiles.specialists(of_questions, 8, 10).reset_index(),
            f"differences {method}": head_profiles.differences(
                head_profiles.select(found["profiles"], "model", method=method), "a", "b", 10, 5
            ).reset_index(),
        }
    return found | {"consensus": head_profiles.consensus(every, 12).reset_index()}


@pytest.mark.thorough
@given(st.integers(0, 2**32 - 1))
@settings(max_examples=2, deadline=None)
def test_names_of_heads_change_no_table(tmp_path_factory, seed):
    """Heads of a layer change places, in all rankings and in the sets drawn: every table has the same numbers."""
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("lists")
    rankings = made_rankings(SMALL, sparse(rng, 1, 8), *SHAPE)
    permuted = {
        (layer, old): int(new) for layer in range(SHAPE[0]) for old, new in enumerate(rng.permutation(SHAPE[1]))
    }
    # As scores come: by layer and head.
    moved = placed(relabel(rankings, permuted).sort_values([*CONFIGURATION, "layer", "head"]))

    levels, draws = SMALL.config["ablation"]["levels"], SMALL.config["ablation"]["random_draws"]
    sets, sets_of_moved = (choose_head_sets(of, levels, draws, 0) for of in (rankings, moved))
    carried = sets.assign(heads=[[relabeled_name(name, permuted) for name in heads] for heads in sets["heads"]])
    drawn, of_moved = carried["source"] == "random", sets_of_moved["source"] == "random"
    # Draws are of names, and carried along; all other sets are chosen anew.
    assert as_sets(sets_of_moved[~of_moved]) == as_sets(carried[~drawn])
    anew = pd.concat([sets_of_moved[~of_moved], carried[drawn]], ignore_index=True)

    theirs = made_rankings(
        make_study(models=("a",), methods=("wu24",), questions=("hq_state",)), sparse(rng, 1, 8), *SHAPE
    )
    for name, heads in (("before", theirs), ("after", relabel(theirs, permuted).sort_values(["layer", "head"]))):
        scores = {f"{layer}-{head}": score for layer, head, score in heads[["layer", "head", "score"]].to_numpy(object)}
        (folder / f"{name}.json").write_text(json.dumps(scores))

    names = {head_name(layer, head): head_name(layer, head) for layer, head in permuted}
    back = {relabeled_name(name, permuted): name for name in names}
    before = whole_analysis(rankings, sets, names, folder / "before.json")
    after = whole_analysis(moved, anew, back, folder / "after.json")
    # Which heads share keys goes by their names, so groups of moved heads are others.
    groups = {"key_value_groups", "group_overlap"}
    same_tables(
        {name: table for name, table in after.items() if name not in groups},
        {
            name: relabel(table, permuted) if "head" in table else table
            for name, table in before.items()
            if name not in groups
        },
    )
    assert [claim.outcome for claim in claims.every_claim(after, SMALL)] == [
        claim.outcome for claim in claims.every_claim(before, SMALL)
    ]


def as_sets(sets):
    """What identifies a head set → its heads."""
    named = sets[["model", "question", "context_length", *HEAD_SET_KEY]].astype(object)
    keys = named.where(named.notna(), None).itertuples(index=False, name=None)
    return dict(zip(keys, map(frozenset, sets["heads"]), strict=True))


def test_of_layers_that_hold_equally_many_heads_none_is_told_before_others():
    layers = pd.Series([3, 3, 3, 1, 1, 2, 2, 4])
    assert leading_layers(layers, 2).to_dict() == {3: 3 / 8}
    assert leading_layers(layers, 3).to_dict() == {3: 3 / 8, 1: 2 / 8, 2: 2 / 8}
    assert leading_layers(pd.Series([1, 2, 3]), 2).empty
    assert layers_with_shares(pd.Series([1, 2, 3]), 2) == "none"

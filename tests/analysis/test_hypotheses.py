from itertools import combinations, pairwise, product
from math import comb

import numpy as np
import pandas as pd
import pytest

from made_tables import (
    analyse,
    make_ablation,
    make_rankings,
    make_reliability,
    make_study,
)
from retrieval_heads import tables
from retrieval_heads.analysis import head_profiles, overlap
from retrieval_heads.analysis.hypotheses import run_tests
from retrieval_heads.analysis.hypotheses.agreement import breaks_between_lengths, methods_against_noise
from retrieval_heads.analysis.hypotheses.rankings import specialists_and_models, within_and_between_categories
from retrieval_heads.analysis.layer_overlap import expected_layer_overlap, layer_overlap
from retrieval_heads.analysis.outcomes import as_outcomes, summarise
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.analysis.score_gaps import score_gaps
from retrieval_heads.analysis.statistics import holm
from retrieval_heads.tables import tests as tests_table
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.overlap import OVERLAP
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.tests import AGAINST_RANDOM, CONSENSUS, DROP, MODEL_RANKS, SPECIALISTS, TESTS

pytestmark = pytest.mark.thorough

KEY = ["subject", "dimension", "layers", "heads", "a", "b", "method", "k"]


def run(study, rankings, results, reliability=None):
    pairs, heads = overlap.pairwise(rankings, study.top_k), head_profiles.profile_heads(rankings, study.top_k)
    outcomes = as_outcomes(results, study.seed, study.resamples)
    return run_tests(study, rankings, pairs, heads, outcomes, reliability)


def of(tests, subject, **values):
    """The rows of a subject with these values; None stands for null."""
    chosen = tests["subject"] == subject
    for name, value in values.items():
        chosen &= tests[name].isna() if value is None else (tests[name] == value).fillna(False).astype(bool)
    return tests[chosen]


def one(tests, subject, **values):
    (row,) = of(tests, subject, **values).to_dict("records")
    return row


@pytest.fixture(scope="module")
def study():
    return make_study(models=("a", "b"), lengths=(512, 1024, 2048), levels=(5, 10))


@pytest.fixture(scope="module")
def rankings(study):
    return make_rankings(study)


@pytest.fixture(scope="module")
def ablation(study):
    return make_ablation(study)


@pytest.fixture(scope="module")
def tests(study, rankings, ablation):
    return run(study, rankings, ablation, make_reliability(study))


class TestTable:
    def test_fits_its_schema(self, tests, tmp_path):
        tables.write(tests, tmp_path / "tests.parquet", TESTS)
        assert len(tables.read(tmp_path / "tests.parquet", TESTS)) == len(tests)
        assert tests["p"].between(0, 1).all() and (tests["p_holm"] >= tests["p"]).all()

    def test_every_subject_is_there(self, tests):
        subjects = {value for name, value in vars(tests_table).items() if name.isupper() and isinstance(value, str)}
        # The one about answers with no head ablated is asked where there are several depths.
        assert set(tests["subject"]) == subjects - {tests_table.ACCURACY}

    def test_units(self, tests, study, rankings, ablation):
        assert one(tests, DROP, dimension="question", a=None, k=5)["unit"] == "document"
        counted = run(study, rankings, summarise(ablation))
        row = one(counted, DROP, dimension="question", a=None, k=5)
        assert (row["unit"], row["units"]) == ("configuration group", 6)  # models × lengths
        row = one(counted, DROP, dimension="method", a=None, k=5)
        assert (row["unit"], row["units"]) == ("configuration", 24)

    def test_correction_is_holms_within_a_subject_dimension_level_and_method(self, tests):
        pairs = of(tests, DROP, dimension="question", k=10)
        pairs = pairs[pairs["a"].notna()]
        assert len(pairs) == 6
        assert pairs["p_holm"].tolist() == pytest.approx(holm(pairs["p"]).tolist())
        every = one(tests, DROP, dimension="question", k=10, a=None)
        assert every["p_holm"] == every["p"]

    def test_a_single_model_is_not_corrected_for_all_models_together(self):
        study = make_study(lengths=(512,), levels=(5,))
        found = of(run(study, make_rankings(study), make_ablation(study)), AGAINST_RANDOM)
        together, alone = (found[found["b"].isna() == every].set_index(["method", "a"]) for every in (True, False))
        pd.testing.assert_series_equal(together["p_holm"], alone["p_holm"])
        assert together["p_holm"].tolist() == pytest.approx(holm(together["p"]).tolist())

    def test_the_same_data_give_the_same_table(self, tests, study, rankings, ablation):
        shuffled = run(
            study,
            rankings.sample(frac=1, random_state=0).reset_index(drop=True),
            ablation.sample(frac=1, random_state=1),
            make_reliability(study),
        )
        pd.testing.assert_frame_equal(shuffled, tests)


class TestDrops:
    def test_a_method_that_costs_more_is_found(self):
        study = make_study(levels=(5, 20))
        loss = {"summed_attention": 0.0, "wu24": 0.0, "qrhead": 0.5}
        ablation = make_ablation(study, 20, top=lambda method, k: 0.95 - loss[method] * (k == 20))
        tests = run(study, make_rankings(study), ablation)
        row = one(tests, DROP, dimension="method", a="wu24", b="qrhead", k=20)
        assert row["p_holm"] < 0.01 and row["effect_size"] < -0.9
        assert row["difference_low"] < row["difference"] < row["difference_high"] < -0.2
        assert (row["unit"], row["units"]) == ("document", 20)
        assert one(tests, DROP, dimension="method", a=None, k=20)["p"] < 0.01
        assert one(tests, DROP, dimension="method", a="summed_attention", b="wu24", k=20)["p_holm"] > 0.01
        assert one(tests, DROP, dimension="method", a="wu24", b="qrhead", k=5)["p_holm"] > 0.01

    def test_difference_by_hand(self, tests, ablation):
        rows = ablation[ablation["k"] == 10]
        rows = rows[rows["source"] == "method"]
        accuracy = rows.groupby("question")["correct"].mean()
        row = one(tests, DROP, dimension="question", a="inc_state", b="inc_year", k=10)
        baseline = ablation[ablation["source"] == "baseline"].groupby("question")["correct"].mean()
        drop = baseline - accuracy
        assert row["difference"] == pytest.approx(drop["inc_state"] - drop["inc_year"])

    def test_what_only_one_value_was_measured_in_does_not_count(self):
        # Year costs more, and only one method was tried on it: the methods do not differ for that.
        study = make_study(methods=("wu24", "qrhead"), questions=("hq_state", "inc_year"), lengths=(512,), levels=(5,))
        ablation = make_ablation(study, 12, baseline=1.0, top=1.0)
        costly = (ablation["question"] == "inc_year") & (ablation["source"] == "method")
        ablation.loc[costly, "correct"] = False
        held = ablation[~(costly & (ablation["method"] == "wu24"))]
        for results in (held, summarise(held)):
            found = of(run(study, make_rankings(study), results), DROP, dimension="method", k=5)
            assert found["difference"].tolist() == [0] * len(found)

    def test_sets_are_compared_at_the_size_that_all_have(self):
        """Wu24 tells 3 heads apart at level 5; the 3 first of QRHead were ablated for that, and cost nothing."""
        study = make_study(methods=("wu24", "qrhead"), lengths=(512, 1024), levels=(5,))
        ablation = make_ablation(study, 12, baseline=1.0, top=0.5)
        top = ablation["source"] == "method"
        ablation.loc[ablation["method"] == "wu24", "size"] = 3
        equal = ablation[top & (ablation["method"] == "qrhead")].assign(source="equal", k=3, size=3, correct=True)
        lost = (~ablation[top & (ablation["method"] == "wu24")]["correct"]).mean()
        for results in (with_equal := pd.concat([ablation, equal]), summarise(with_equal)):
            found = run(study, make_rankings(study), results)
            row = one(found, DROP, dimension="method", k=5)
            assert (row["a"], row["size_least"], row["size_most"]) == ("wu24", 3, 3)
            assert row["difference"] == pytest.approx(lost) and lost > 0.1
            own = of(found, AGAINST_RANDOM, b=None, a="layer", k=5).set_index("method")["size_most"]
            assert own.to_dict() == {"wu24": 3, "qrhead": 5}
        # Sets of 3 and of 5 heads are not the same ablation.
        assert of(run(study, make_rankings(study), ablation), DROP, dimension="method").empty
        # Where Wu24 stops at one length alone, 5 heads are compared at the other.
        short = with_equal["context_length"] == 512
        whole = with_equal.assign(size=with_equal["size"].where(short, with_equal["k"]))
        row = one(run(study, make_rankings(study), whole), DROP, dimension="method", k=5)
        assert (row["size_least"], row["size_most"]) == (3, 5)

    def test_against_random(self):
        study = make_study(methods=("wu24", "qrhead"), levels=(5,))
        chance = {"wu24": 0.4, "qrhead": 0.92}
        ablation = make_ablation(study, 20, top=lambda method, k: chance[method], random=0.92)
        for results in (ablation, summarise(ablation)):
            tests = run(study, make_rankings(study), results)
            for matching in ("layer", "none"):
                rows = of(tests, AGAINST_RANDOM, a=matching, b=None, k=5).set_index("method")
                assert rows.loc["wu24", "p_holm"] < 0.05 and rows.loc["wu24", "difference_low"] > 0.2
                assert rows.loc["qrhead", "p_holm"] > 0.05 and abs(rows.loc["qrhead", "difference"]) < 0.1

    def test_against_random_a_method_needs_no_other(self, study, rankings, ablation, tests):
        hole = (ablation["method"] == "wu24") & ~ablation["doc_id"].isin(["doc0", "doc1"])
        fewer = run(study, rankings, ablation[~hole])
        at = {"a": "layer", "b": None, "k": 5}
        assert one(fewer, AGAINST_RANDOM, method="wu24", **at)["units"] == 2
        row, former = (one(found, AGAINST_RANDOM, method="qrhead", **at) for found in (fewer, tests))
        assert row["units"] == 10 and row["p"] == former["p"] and row["difference"] == former["difference"]

    def test_alike_values_are_rarely_found_different(self):
        found = []
        for seed in range(6):
            study = make_study(methods=("wu24",), lengths=(512,), levels=(5,))
            ablation = make_ablation(study, 12, seed=seed, top=0.6)
            tests = of(run(study, make_rankings(study), ablation), DROP, dimension="question", k=5)
            found += tests.loc[tests["a"].notna(), "p"].tolist()
        assert len(found) == 36 and np.mean(np.array(found) < 0.05) < 0.2


def made_pairs(value, lengths=(1, 2, 3, 4), seed=0):
    """An overlap table along context length; ``value`` gives the Jaccard beyond chance of two lengths for a method."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            **dict.fromkeys(OVERLAP.columns),
            "dimension": "context_length",
            "a": str(a),
            "b": str(b),
            "model": model,
            "method": method,
            "question": question,
            "variant": "plain",
            "jaccard": value(method, a, b) + 0.05 * b + 0.01 * rng.normal(),
            "chance": 0.05 * b,
        }
        for model in ("a", "b")
        for method in ("x", "y")
        for question in "pqrs"
        for a, b in combinations(lengths, 2)
    ]
    return pd.DataFrame(rows)


class TestLengthBreak:
    def rows(self, pairs):
        return pd.DataFrame(list(breaks_between_lengths(make_study(), pairs)))

    def found(self, pairs):
        rows = self.rows(pairs)
        return rows[rows["a"].notna()].set_index(["method", "a", "b"]) if len(rows) else rows

    def test_all_neighbours_together_are_the_gate(self):
        rows = self.rows(made_pairs(lambda method, a, b: 0.1 if method == "x" and a <= 2 < b else 0.6))
        gate = rows[rows["a"].isna()].set_index("method")
        assert gate["test"].unique().tolist() == ["Friedman"] and gate.index.tolist() == ["x", "y"]
        assert gate.loc["x", "p"] < 0.01 < gate.loc["y", "p"]

    def test_a_break_is_found_where_it_is_and_only_there(self):
        def value(method, a, b):
            return 0.1 if method == "x" and a <= 2 < b else 0.6

        found = self.found(made_pairs(value))
        assert found.index.tolist() == [(m, str(a), str(a + 1)) for m in "xy" for a in (1, 2, 3)]
        assert (found["units"] == 8).all()
        broken = found.loc[("x", "2", "3")]
        # In each of 8 groups, a third of the orders of four lengths takes two pairs apart as far.
        assert broken["effect_size"] == broken["difference"] and broken["p"] == pytest.approx(3.0**-8, abs=5e-4)
        assert broken["difference"] == pytest.approx(-0.5, abs=0.02) and broken["difference_high"] < -0.4
        assert (found.loc["x"].drop(("2", "3"))["difference"] > 0).all()
        assert (found.loc["y"]["difference"].abs() < 0.03).all() and (found.loc["y"]["p"] > 0.01).all()

    def test_only_neighbours_are_compared(self):
        # Agreement falls with distance; that alone is no break.
        found = self.found(made_pairs(lambda method, a, b: 0.9 - 0.2 * (b - a)))
        assert len(found) == 6 and (found["difference"].abs() < 0.03).all()

    def test_lengths_sort_as_numbers(self):
        found = self.found(made_pairs(lambda *_: 0.5, lengths=(512, 1024, 16384)))
        assert [pair[1:] for pair in found.index[:2]] == list(pairwise(("512", "1024", "16384")))

    def test_two_lengths_have_no_break_between_them(self):
        assert self.found(made_pairs(lambda *_: 0.5, lengths=(1, 2))).empty

    def test_pairs_of_which_a_top_set_is_empty_do_not_count(self):
        pairs = made_pairs(lambda *_: 0.5)
        empty = (pairs["question"] == "p") & (pairs["a"] == "1")
        found = self.found(pairs.assign(jaccard=pairs["jaccard"].mask(empty), chance=pairs["chance"].mask(empty)))
        assert (found["units"] == 6).all()

    def test_with_a_hole(self):
        pairs = made_pairs(lambda *_: 0.5)
        hole = (pairs["a"] == "1") & ((pairs["method"] == "x") | (pairs["question"] == "p"))
        found = self.found(pairs[~hole])
        # x has no pair from 1; y has them for three questions of two models.
        assert [pair[1] for pair in found.loc[["x"]].index] == ["2", "3"]
        assert found.loc["x", "units"].tolist() == [8, 8] and found.loc["y", "units"].tolist() == [6, 6, 6]


def with_tastes(study, strength, layers=6, heads=4, seed=0):
    """Rankings in which each question has heads of its own, those of the layer that its place in the study names."""
    rng = np.random.default_rng(seed)
    rankings = make_rankings(study, layers, heads, seed)
    place = rankings["question"].map({question: i for i, question in enumerate(study.config["questions"])})
    common = rng.normal(size=(layers, heads))
    score = common[rankings["layer"], rankings["head"]] + 0.5 * rng.normal(size=len(rankings))
    score += strength * (rankings["layer"] == place)
    return placed(rankings.assign(score=score))


class TestWholeRankings:
    @pytest.fixture
    def apart(self):
        return make_study(models=("a", "b"), methods=("wu24",), lengths=(1, 2, 3), top_k=6, specialist_k=9)

    def test_planted_specialists_are_found(self, apart):
        rankings = with_tastes(apart, 6.0)
        row = one(self.found(apart, rankings), SPECIALISTS, method="wu24")
        assert row["p"] == pytest.approx(1 / 1000) and row["effect_size"] > 5
        assert row["units"] == 6 and Grid.of(row) == (6, 4)
        # It counts what the profiles show.
        found = head_profiles.specialists(
            head_profiles.select(head_profiles.profile_heads(rankings, 6), "question", method="wu24"), k=6, beyond=9
        )
        assert row["statistic"] == len(found) > 10
        assert {(layer, row["question"]) for (layer, _), row in found.iterrows()} == set(
            enumerate(apart.config["questions"])
        )

    def test_exchangeable_questions_have_none_beyond_chance(self, apart):
        rows = [one(self.found(apart, with_tastes(apart, 0.0, seed=seed)), SPECIALISTS) for seed in range(5)]
        assert np.median([row["p"] for row in rows]) > 0.1 and abs(np.mean([row["effect_size"] for row in rows])) < 1

    def test_heads_that_are_not_listed_are_counted_as_in_profiles(self, apart):
        rankings = with_tastes(apart, 3.0)
        partial = rankings[rankings["rank"] <= 12 + 2 * (rankings["context_length"] % 2)]
        row = one(self.found(apart, partial), SPECIALISTS)
        by_question = head_profiles.select(head_profiles.profile_heads(partial, 6), "question")
        assert row["statistic"] == len(head_profiles.specialists(by_question, k=6, beyond=9))

    def test_models_that_rank_alike_and_not(self, apart):
        alike = with_tastes(apart, 2.0)
        row = one(self.found(apart, alike), MODEL_RANKS)
        assert (row["a"], row["b"], row["units"]) == ("a", "b", 12) and row["p"] > 0.05
        other = alike["model"] == "b"
        turned = placed(alike.assign(score=alike["score"].where(~other, -alike["score"])))
        row = one(self.found(apart, turned), MODEL_RANKS)
        assert row["p"] == pytest.approx(1 / 1000) and row["effect_size"] > 2
        means = turned.groupby(["model", "layer", "head"])["rank"].mean().unstack("model")
        assert row["statistic"] == pytest.approx((means["a"] - means["b"]).abs().mean())

    @staticmethod
    def found(study, rankings):
        return pd.DataFrame(list(specialists_and_models(study, rankings)))


class TestOverlaps:
    def test_within_and_between_categories_by_hand(self):
        study = make_study(lengths=(1, 2, 3, 4))
        category = study.categories
        pairs = pd.DataFrame(
            [
                (
                    "m",
                    "x",
                    length,
                    "plain",
                    a,
                    b,
                    (0.5 if category[a] == category[b] else 0.2) + 0.01 * length * ("inc" in b),
                    chance,
                )
                for length in (1, 2, 3, 4)
                for chance, (a, b) in enumerate(combinations(sorted(category), 2))
            ],
            columns=["model", "method", "context_length", "variant", "a", "b", "jaccard", "chance"],
        )
        pairs["chance"] *= 0.01
        rows = pd.DataFrame(list(within_and_between_categories(study, "made", pairs))).set_index("a")
        row = rows.loc["within"]
        same = pairs["a"].map(category) == pairs["b"].map(category)
        beyond = pairs["jaccard"] - pairs["chance"]
        expected = beyond[same].mean() - beyond[~same].mean()
        assert row["difference"] == pytest.approx(expected) == row["effect_size"] and row["units"] == 4
        # One of three ways to make two pairs of four questions is this one, in each of 4 groups.
        assert row["p"] == pytest.approx(3.0**-4, abs=0.005)

    def test_layer_overlap_by_hand(self):
        rows = [
            ("m", "x", question, 8, "plain", layer, head, 1.0 / rank, rank, rank, 3, 0.1)
            for question, order in (("p", [(0, 0), (0, 1), (1, 0), (1, 1)]), ("q", [(0, 1), (1, 1), (0, 0), (1, 0)]))
            for rank, (layer, head) in enumerate(order, start=1)
        ]
        found = layer_overlap(pd.DataFrame(rows, columns=RANKINGS.columns), top_k=2)
        assert found.to_dict("records") == [
            # p has both heads in layer 0, q one in each. Of 6 sets of 2 heads, 2 lie in one layer and 4 in both; so of
            # 36 pairs of sets, 2 + 16 overlap by 1, 16 by 0.5, and 2 by 0.
            {"model": "m", "method": "x", "context_length": 8, "variant": "plain", "a": "p", "b": "q", "jaccard": 0.5}
            | {"chance": pytest.approx((18 + 0.5 * 16) / 36)}
        ]

    @pytest.mark.parametrize(
        ("layers", "per_layer", "a", "b"), [(2, 2, 1, 2), (3, 2, 2, 3), (2, 3, 4, 1), (1, 4, 2, 2)]
    )
    def test_layer_overlap_by_chance(self, layers, per_layer, a, b):
        def shares(heads):
            return np.bincount([head // per_layer for head in heads], minlength=layers) / len(heads)

        one, other = ([shares(s) for s in combinations(range(layers * per_layer), size)] for size in (a, b))
        every = [np.minimum(x, y).sum() for x, y in product(one, other)]
        assert expected_layer_overlap(layers, per_layer, a, b) == pytest.approx(np.mean(every))

    def test_layers_of_a_question_without_a_top_set_are_not_compared(self):
        rankings = make_rankings(make_study(methods=("wu24",), lengths=(8,)))
        tied = placed(rankings.assign(score=rankings["score"].where(rankings["question"] != "hq_state", 0.0)))
        found = layer_overlap(tied, top_k=5)
        assert set(found["a"]) | set(found["b"]) == {"inc_state", "inc_year", "employee_count"}
        assert found.notna().all(axis=None)

    def test_score_gaps_by_hand(self):
        rows = [
            ("m", "x", question, 8, "plain", 0, head, score, 0, 0, 3, 0.1)
            for question, scores in zip(
                "pqrst", ([0.8, 0.6, 0.1], [0.0, -0.5], [0.9], [0.2, 0.7, 0.7 + 1e-9], [0.7, 0.7]), strict=True
            )
            for head, score in enumerate(scores)
        ]
        found = score_gaps(placed(pd.DataFrame(rows, columns=RANKINGS.columns)))
        assert found["question"].tolist() == ["p", "s", "t"]
        assert found["gap"].tolist() == [pytest.approx(0.25), 0, 0]

    def test_consensus(self):
        study = make_study(consensus_k=4)
        random = make_rankings(study, shared=0.0)
        same = placed(random.assign(score=-(random["layer"] * 4.0 + random["head"])))
        row = one(run(study, same, make_ablation(study, 2)), CONSENSUS)
        # Three heads have a mean rank below 4 under all three methods; by chance 24 (3 / 24)³.
        assert (row["statistic"], Grid.of(row), row["units"]) == (3, (6, 4), 24)
        # Two further sets of 3 must be just these.
        assert row["p"] == pytest.approx(1 / comb(24, 3) ** 2)
        assert row["effect_size"] == pytest.approx(3 - 24 * (3 / 24) ** 3)

    def test_equal_scores_are_no_consensus(self):
        """The first heads by layer and number are the same for all methods, and mean nothing."""
        study = make_study(consensus_k=4)
        rankings = make_rankings(study)
        rankings = placed(rankings.assign(score=rankings["score"].where(rankings["rank"] == 1, 0.0)))
        row = one(run(study, rankings, make_ablation(study, 2)), CONSENSUS)
        means = rankings.groupby(["method", "layer", "head"])["rank"].mean().unstack("method")
        assert row["statistic"] == (means < 4).all(axis=1).sum()
        assert means.loc[(0, 0)].min() > 4 or rankings.query("layer == 0 and head == 0")["rank"].min() == 1


class TestNoise:
    def found(self, study, jaccard, reliability, chance=0.1):
        pairs = pd.DataFrame(
            [
                {"dimension": "method", "a": "qrhead", "b": "wu24", "model": "small", "method": None}
                | {
                    "question": question,
                    "context_length": length,
                    "variant": "plain",
                    "jaccard": jaccard + 0.001 * i,
                    "chance": chance,
                }
                for i, (question, length) in enumerate((q, n) for q in study.config["questions"] for n in (512, 1024))
            ]
        ).astype({"context_length": "Int64"})
        rows = pd.DataFrame(list(methods_against_noise(study, pairs, reliability)))
        return rows.set_index(["a", "b"]) if len(rows) else rows

    def test_methods_that_differ_by_more_than_noise(self):
        study = make_study()
        row = self.found(study, 0.1, make_reliability(study)).loc[("qrhead", "wu24")]
        assert row["effect_size"] == -1 and row["p"] == pytest.approx(2 / 2**8) and row["units"] == 8
        assert row["difference_high"] < -0.5

    def test_difference_by_hand(self):
        study = make_study()
        reliability = make_reliability(study)
        own = reliability.groupby("method")["jaccard"].mean()
        row = self.found(study, 0.5, reliability, chance=0.02).loc[("qrhead", "wu24")]
        assert row["difference"] == pytest.approx(0.5 + 0.0035 - 0.02 - ((own["qrhead"] + own["wu24"]) / 2 - 0.1))

    def test_methods_that_agree_as_with_themselves(self):
        study = make_study()
        reliability = make_reliability(study).assign(jaccard=0.5)
        row = self.found(study, 0.4965, reliability).loc[("qrhead", "wu24")]
        assert row["p"] == 1 and row["difference"] == pytest.approx(0)

    def test_a_configuration_without_reliability_is_left_out(self):
        study = make_study()
        reliability = make_reliability(study)
        hole = (reliability["method"] == "wu24") & (reliability["question"] == "hq_state")
        assert self.found(study, 0.1, reliability[~hole]).loc[("qrhead", "wu24"), "units"] == 6
        assert self.found(study, 0.1, reliability[reliability["method"] != "wu24"]).empty
        assert self.found(study, 0.1, reliability.iloc[:0]).empty
        assert self.found(study, 0.1, None).empty


HOLES = {
    "a configuration": lambda r, a: (
        r[~((r["method"] == "wu24") & (r["question"] == "inc_year") & (r["context_length"] == 512))],
        a[~((a["method"] == "wu24") & (a["question"] == "inc_year"))],
    ),
    "a method in a model": lambda r, a: (
        r[~((r["method"] == "wu24") & (r["model"] == "b"))],
        a[~((a["method"] == "wu24") & (a["model"] == "b"))],
    ),
    "a level": lambda r, a: (r, a[~((a["method"] == "qrhead") & (a["k"] == 10) & (a["context_length"] == 512))]),
    "a length in a model": lambda r, a: (
        r[~((r["model"] == "b") & (r["context_length"] == 2048))],
        a[~((a["model"] == "b") & (a["context_length"] == 2048))],
    ),
    "heads in rankings": lambda r, a: (r[~((r["method"] == "wu24") & (r["rank"] > 3 + r["context_length"] // 512))], a),
    "scores that differ": lambda r, a: (placed(r.assign(score=0.0)), a[a["source"] == "baseline"]),
    "most scores": lambda r, a: (
        placed(r.assign(score=r["score"].where((r["rank"] <= 2) | (r["method"] != "wu24"), 0.0))),
        a.assign(size=a["k"].where(a["method"] != "wu24", np.minimum(a["k"], 2))),
    ),
    "random heads": lambda r, a: (r, a[a["source"] != "random"]),
    "all ablations": lambda r, a: (r, a[a["source"] == "baseline"]),
    "all rankings": lambda r, a: (r.iloc[:0], a),
    "all documents but one": lambda r, a: (r, a[a["doc_id"] == "doc0"]),
    "all but one configuration": lambda r, a: tuple(
        x[(x["model"] == "a") & (x["question"] == "hq_state") & (x["context_length"] == 512)]
        for x in (r[r["method"] == "wu24"], a[a["method"].isna() | (a["method"] == "wu24")])
    ),
}


IN_COUNTS = ("a configuration", "most scores", "random heads", "all ablations", "all but one configuration")
"""Holes in what is ablated, which counts have in another way than rows."""


@pytest.mark.parametrize(
    ("hole", "summarised"), [*((hole, False) for hole in HOLES), *((hole, True) for hole in IN_COUNTS)]
)
def test_whatever_is_missing_every_table_is_made(hole, summarised, tmp_path):
    study = make_study(
        models=("a", "b"),
        methods=("wu24", "qrhead"),
        questions=("inc_year", "hq_state", "inc_state"),
        lengths=(512, 1024, 2048),
        levels=(5, 10) if hole == "a level" else (5,),
        resamples=50,
    )
    some, rest = HOLES[hole](make_rankings(study), make_ablation(study, 4))
    made = analyse(study, some, summarise(rest) if summarised else rest)
    for name, frame in made.items():
        table = tables.by_name(name)
        tables.write(frame, tmp_path / f"{name}.parquet", table)
        tables.read(tmp_path / f"{name}.parquet", table)
    assert made["tests"]["p"].between(0, 1).all()


def test_models_of_other_grids_are_tested_apart():
    study = make_study(models=("a", "b"))
    rankings = pd.concat(
        [make_rankings(make_study(models=("a",)), 6, 4), make_rankings(make_study(models=("b",)), 3, 8)]
    )
    tests = run(study, rankings, make_ablation(study, 3))
    for subject in (SPECIALISTS, CONSENSUS):
        assert set(of(tests, subject).groupby(["layers", "heads"]).groups) == {(6, 4), (3, 8)}
    assert of(tests, MODEL_RANKS).empty
    assert not tests.duplicated(KEY).any()


def test_one_question_one_length_one_method():
    study = make_study(methods=("wu24",), questions=("hq_state",), lengths=(8,))
    tests = run(study, make_rankings(study), make_ablation(study))
    assert set(tests["subject"]) == {AGAINST_RANDOM}
    assert overlap.pairwise(make_rankings(study)).empty

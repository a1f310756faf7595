"""The quality of rankings: each measure by hand on models of few heads, and what holds whatever the numbers are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_effects import effects_of, rankings_of
from made_tables import asked_of, make_ablation, make_rankings, make_study
from retrieval_heads import tables
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.analysis.ranking_quality import (
    Asked,
    against,
    auroc,
    measure_quality,
    planted_heads,
    standing,
    trapezoid_weights,
)
from retrieval_heads.analysis.ties import places
from retrieval_heads.errors import StudyError
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.labels import LABELS
from retrieval_heads.tables.quality_tests import QUALITY_TESTS
from retrieval_heads.tables.ranking_quality import RANKING_QUALITY

NOTHING = as_outcomes(ABLATION.empty(), 1)


def asked(levels=(1, 2), level=None, resamples=200, seed=1, **more):
    return Asked(levels, level or levels[-1], more.pop("planted", {}), more.pop("costs", {}), seed, resamples)


def quality(effects, scores, shape=(2, 2), labels=None, **more):
    rankings = scores if isinstance(scores, pd.DataFrame) else rankings_of(scores, shape)
    return measure_quality(effects, rankings, LABELS.empty() if labels is None else labels, NOTHING, asked(**more))


def value(found, ranking, measure, k=None, question=None, mode="zero", column="value"):
    rows = found.ranking_quality
    rows = rows[(rows["ranking"] == ranking) & (rows["measure"] == measure)]
    rows = rows[rows["k"].isna() if k is None else (rows["k"] == k).fillna(False).astype(bool)]
    rows = rows[rows["question"].isna() if question is None else rows["question"] == question]
    (row,) = rows[rows["mode"] == mode].to_dict("records")
    return row[column]


RIGHT, WRONG = [4, 3, 2, 1], [1, 2, 3, 4]
ALIKE = {("a", "q"): RIGHT, ("b", "q"): RIGHT}


class TestByHand:
    def test_spearman_is_averaged_in_documents_and_these_among_each_other(self):
        effects = effects_of({("a", "q"): RIGHT, ("a", "r"): WRONG, ("b", "q"): RIGHT})
        found = quality(effects, {("m", "q"): RIGHT, ("m", "r"): RIGHT})
        assert value(found, "m", "spearman") == pytest.approx(((1 - 1) / 2 + 1) / 2)
        assert value(found, "m", "spearman", question="q") == 1 and value(found, "m", "spearman", question="r") == -1
        assert value(found, "m", "spearman", column="prompts") == 3
        assert value(found, "m", "spearman", column="documents") == 2

    def test_precision_shares_out_ties_of_both_sides(self):
        found = quality(effects_of({("a", "q"): [5, 5, 0, 0], ("b", "q"): [5, 1, 0, 0]}), {("m", "q"): [2, 1, 1, 0]})
        # The first head is among the first by one half of the ways in a, by all in b.
        assert value(found, "m", "precision", 1) == pytest.approx((0.5 + 1) / 2)
        # The second place is the second or the third head's.
        assert value(found, "m", "precision", 2) == pytest.approx(((1 + 0.5) / 2 + (1 + 0.5 + 0.5 * 0.0) / 2) / 2)

    def test_captured_is_a_ratio_of_means_against_the_order_of_the_other_documents(self):
        effects = effects_of({("a", "q"): [4, 1, 0, -1], ("b", "q"): [3, 2, 0, -1], ("c", "q"): [1, 6, 0, 1]})
        found = quality(effects, {("m", "q"): [9, 8, 1, 0], ("n", "q"): [0, 9, 1, 2]})
        # Beyond chance, that is 1 of 4 heads, the first head has 4 − 1, 3 − 1 and 1 − 2, the second 1 − 1, 2 − 1 and
        # 6 − 2. By their others' means, a and b are given the second head, and c the first.
        reference = (1 - 1) + (2 - 1) + (1 - 2)
        assert reference == 0
        assert np.isnan(value(found, "m", "captured", 1))
        # The first two are the same for all: 5 − 2, 5 − 2 and 7 − 4.
        assert value(found, "m", "captured", 2) == 1
        # The second and the last: 0 − 2, 1 − 2 and 7 − 4.
        assert value(found, "n", "captured", 2) == pytest.approx((-2 - 1 + 3) / 9)
        assert value(found, "ceiling", "captured", 2) == 1

    def test_a_share_is_of_what_is_above_0_on_average(self):
        found = quality(effects_of({("a", "q"): [3, -9, 1, 0]}), {("m", "q"): [1, 4, 3, 2]})
        assert [value(found, "m", "share", k) for k in (1, 2)] == pytest.approx([0, 0.25])
        assert [value(found, "ceiling", "share", k) for k in (1, 2)] == pytest.approx([0.75, 1])
        assert [value(found, "chance", "share", k) for k in (1, 2)] == pytest.approx([0.25, 0.5])

    def test_a_share_over_questions_takes_the_ranking_of_each(self):
        effects = effects_of({("a", "q"): [4, 0, 0, 0], ("a", "r"): [0, 2, 0, 0]})
        found = quality(effects, {("m", "q"): RIGHT, ("m", "r"): [0, 9, 1, 2]})
        assert value(found, "m", "share", 1) == 1

    def test_the_ceiling_is_that_of_other_documents_alone(self):
        found = quality(effects_of({("a", "q"): RIGHT, ("b", "q"): WRONG}), {("m", "q"): RIGHT})
        assert value(found, "ceiling", "spearman") == -1
        single = quality(effects_of({("a", "q"): RIGHT}), {("m", "q"): RIGHT})
        assert "ceiling" not in set(single.ranking_quality.query("measure == 'spearman'")["ranking"])
        assert np.isnan(value(single, "m", "captured", 1)) and np.isnan(
            value(single, "m", "spearman", column="value_low")
        )

    def test_rivals_go_by_depth_and_by_what_heads_write(self):
        labels = pd.DataFrame({"model": "m", "layer": [0, 0, 1, 1], "head": [0, 1, 0, 1], "write_norm": [9.0, 8, 7, 6]})
        found = quality(effects_of({("a", "q"): [0, 0, 5, 5]}), {("m", "q"): RIGHT}, labels=labels)
        assert value(found, "layer", "spearman") == 1
        assert value(found, "write_norm", "precision", 2) == 0
        untold = quality(effects_of(ALIKE), {("m", "q"): RIGHT}, labels=labels.assign(write_norm=np.nan))
        assert "write_norm" not in set(untold.ranking_quality["ranking"])

    def test_costs_and_train_prompts_stand_beside_methods_alone(self):
        scores = {("m", "q"): RIGHT, ("m", "r"): RIGHT}
        found = quality(effects_of(ALIKE), scores, costs={("m", 512): {"m": 1.5}}).ranking_quality
        own = found[found["ranking"] == "m"]
        assert set(own["cost"]) == {1.5}
        assert set(own.loc[own["question"].isna(), "train_prompts"]) == {6}
        assert set(own.loc[own["question"] == "q", "train_prompts"]) == {3}
        assert found.loc[found["kind"] != "method", ["cost", "train_prompts"]].isna().all(axis=None)

    def test_a_question_that_a_method_does_not_rank_counts_for_nothing(self):
        effects = effects_of({("a", "q"): RIGHT, ("a", "r"): WRONG, ("b", "r"): WRONG})
        found = quality(effects, {("m", "q"): RIGHT, ("n", "q"): WRONG, ("n", "r"): WRONG})
        assert value(found, "m", "spearman") == 1 and value(found, "m", "spearman", column="prompts") == 1
        (row,) = found.quality_tests.query("measure == 'spearman'").to_dict("records")
        assert (row["prompts"], row["difference"]) == (1, 2)

    def test_a_ranking_without_order_has_no_correlation(self):
        found = quality(effects_of(ALIKE), {("m", "q"): [1, 1, 1, 1]})
        assert np.isnan(value(found, "m", "spearman")) and value(found, "m", "captured", 1) == pytest.approx(0)

    def test_the_tables_fit_their_schemas(self, tmp_path):
        effects = pd.concat([effects_of(ALIKE, mode) for mode in ("zero", "mean")])
        found = quality(effects, {("m", "q"): RIGHT, ("n", "q"): WRONG}, planted={"m": ["L0H0"]})
        for frame, table in ((found.ranking_quality, RANKING_QUALITY), (found.quality_tests, QUALITY_TESTS)):
            tables.write(frame, tmp_path / "t.parquet", table)
            assert len(tables.read(tmp_path / "t.parquet", table)) == len(frame) > 0
        empty = quality(effects_of({}), {("m", "q"): RIGHT})
        tables.write(empty.ranking_quality, tmp_path / "t.parquet", RANKING_QUALITY)
        tables.write(empty.quality_tests, tmp_path / "t.parquet", QUALITY_TESTS)


class TestPlanted:
    def test_auroc_counts_ties_half(self):
        assert auroc(places(np.array([4.0, 3, 2, 1])), [0, 1]) == 1
        assert auroc(places(np.array([1.0, 2, 3, 4])), [0]) == 0
        assert auroc(places(np.array([1.0, 1, 0, 0])), [0]) == pytest.approx((0.5 + 1 + 1) / 3)
        assert auroc(places(np.zeros(4)), [2, 3]) == 0.5

    def test_only_where_heads_are_planted(self):
        found = quality(effects_of(ALIKE), {("m", "q"): RIGHT, ("m", "r"): WRONG}, planted={"m": ["L0H0"]})
        rows = found.ranking_quality.query("measure == 'auroc'").set_index(["ranking", "question"])["value"]
        assert rows["m", "q"] == 1 and rows["m", "r"] == 0
        assert rows["m"][rows["m"].index.isna()].tolist() == [0.5]
        assert set(quality(effects_of(ALIKE), {("m", "q"): RIGHT}).ranking_quality["measure"]).isdisjoint({"auroc"})

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["L2H0"], "models.m.planted: L2H0 is no head of this model, whose last one is L1H1."),
            (["L0H0", "L0H1", "L1H0", "L1H1"], "all heads"),
        ],
    )
    def test_heads_that_are_none_are_refused(self, names, message):
        with pytest.raises(StudyError, match=message):
            planted_heads({"m": names}, "m", Grid(2, 2))


class TestArea:
    def test_weights_are_those_of_the_trapezoid_rule(self):
        assert trapezoid_weights([20]).tolist() == [0.5]
        # Between 0 and 5, 5 and 20; with the weight of 0, which is 5 / 40, they sum to 1.
        assert trapezoid_weights([5, 20]).tolist() == [0.5, 0.375]

    STUDY = make_study(methods=("wu24", "qrhead"), questions=("hq_state",), lengths=(512,), levels=(5, 20))

    def areas(self, **how):
        ablation = make_ablation(self.STUDY, 40, **how)
        outcomes = as_outcomes(ablation, 1, 200)
        found = measure_quality(
            HEAD_EFFECTS.empty(), make_rankings(self.STUDY), LABELS.empty(), outcomes, asked_of(self.STUDY)
        )
        return ablation, found

    def test_by_hand(self):
        ablation, found = self.areas(top=lambda method, k: 0.5 if method == "wu24" else 0.9)
        mean = {
            key: rows["correct"].mean()
            for key, rows in ablation[ablation["matching"] != "none"].groupby(["source", "method", "k"], dropna=False)
        }
        lookup = {
            (source, method if isinstance(method, str) else "", k): one for (source, method, k), one in mean.items()
        }
        lost = [lookup["random", "wu24", k] - lookup["method", "wu24", k] for k in (5, 20)]
        wanted = (0.5 * lost[0] + 0.375 * lost[1]) / (lookup["baseline", "", 0] - lookup["no_needle", "", 0])
        rows = found.ranking_quality.query("measure == 'area' and ranking == 'wu24'")
        assert rows["value"].tolist() == pytest.approx([wanted, wanted])
        assert rows["intervention"].tolist() == ["zero_all"] * 2 and set(rows["documents"]) == {40}
        assert (rows["value_low"] < wanted).all() and (rows["value_high"] > wanted).all()

    def test_methods_are_told_apart(self):
        found = self.areas(top=lambda method, k: 0.4 if method == "wu24" else 0.9)[1].quality_tests
        (row,) = found.to_dict("records")
        assert {row["a"], row["b"]} == {"wu24", "qrhead"} and row["p"] < 0.01 and row["p_family"] == row["p"]
        assert standing(found, 0.05).method == "wu24"

    def test_missing_where_answers_are_hardly_above_guessing(self):
        _, found = self.areas(baseline=0.4, guess=0.3)
        rows = found.ranking_quality.query("measure == 'area' and kind == 'method'")
        assert len(rows) and rows["value"].isna().all() and found.quality_tests.empty

    def test_missing_where_guessing_or_a_level_was_not_measured(self):
        assert self.areas(guess=None)[1].ranking_quality.empty
        ablation = make_ablation(self.STUDY, 40)
        ablation = ablation[~((ablation["method"] == "wu24") & (ablation["k"] == 5))]
        found = measure_quality(
            HEAD_EFFECTS.empty(), make_rankings(self.STUDY), LABELS.empty(), as_outcomes(ablation, 1, 200),
            asked_of(self.STUDY),
        )  # fmt: skip
        assert set(found.ranking_quality["ranking"]) == {"qrhead", "chance"}

    def test_a_set_that_ties_end_early_stands_for_the_level_above(self):
        ablation = make_ablation(self.STUDY, 40, top=0.5)
        early = ablation.assign(size=ablation["size"].clip(upper=5))
        found = measure_quality(
            HEAD_EFFECTS.empty(), make_rankings(self.STUDY), LABELS.empty(), as_outcomes(early, 1, 200),
            asked_of(self.STUDY),
        )  # fmt: skip
        assert found.ranking_quality.query("measure == 'area'")["value"].notna().all()


numbers = st.integers(-50, 50).map(float)
SIX = st.lists(numbers, min_size=6, max_size=6)


@pytest.mark.thorough
class TestWhateverTheNumbersAre:
    @given(st.lists(SIX, min_size=3, max_size=5), SIX, st.floats(0.1, 10), st.randoms(use_true_random=False))
    @settings(max_examples=25, deadline=None)
    def test_neither_the_scale_of_effects_nor_the_order_of_rows_matters(self, effects, scores, scale, random):
        prompts = {(str(number), "q"): one for number, one in enumerate(effects)}
        of = effects_of(prompts, shape=(2, 3))
        scaled = of.assign(
            effects=[(np.asarray(one, float) * 2.0 ** round(scale)).astype("float32") for one in of["effects"]]
        )
        rows = list(range(len(of)))
        random.shuffle(rows)
        first = quality(of, {("m", "q"): scores, ("n", "q"): scores[::-1]}, shape=(2, 3))
        other = quality(scaled.iloc[rows], {("m", "q"): scores, ("n", "q"): scores[::-1]}, shape=(2, 3))
        for one, same in zip(first, other, strict=True):
            pd.testing.assert_frame_equal(one, same, check_exact=False, rtol=1e-9, atol=1e-9)

    @given(st.lists(SIX, min_size=2, max_size=4), SIX)
    @settings(max_examples=25, deadline=None)
    def test_precisions_and_shares_are_shares_and_the_best_order_holds_most(self, effects, scores):
        found = quality(
            effects_of({(str(number), "q"): one for number, one in enumerate(effects)}, shape=(2, 3)),
            {("m", "q"): scores},
            shape=(2, 3),
        ).ranking_quality
        rows = found[found["question"].isna()].set_index(["measure", "ranking"])
        assert rows.loc["precision", "value"].between(0, 1 + 1e-9).all()
        assert rows.loc["spearman", "value"].dropna().between(-1 - 1e-9, 1 + 1e-9).all()
        shares = rows.loc["share"].reset_index().pivot(index="k", columns="ranking", values="value").dropna()
        assert (shares["ceiling"] >= shares["m"] - 1e-9).all()

    def test_ties_are_what_the_mean_over_their_orders_is(self):
        rng = np.random.default_rng(0)
        effects = effects_of({(str(i), "q"): rng.normal(size=6) + np.arange(6)[::-1] for i in range(4)}, shape=(2, 3))
        tied = quality(effects, {("m", "q"): [2, 1, 1, 1, 0, 0]}, shape=(2, 3), levels=(2,))
        orders = [quality(effects, {("m", "q"): one}, shape=(2, 3), levels=(2,)) for one in
                  ([9, 3, 2, 1, 0, 0], [9, 1, 3, 2, 0, 0], [9, 2, 1, 3, 0, 0])]  # fmt: skip
        for measure in ("precision", "captured", "share"):
            wanted = np.mean([value(one, "m", measure, 2) for one in orders])
            assert value(tied, "m", measure, 2) == pytest.approx(wanted)


class TestByChance:
    """Simulated: what rankings that know nothing, and methods that are alike, are found to be."""

    @pytest.mark.thorough
    def test_random_rankings_have_quality_0_within_their_interval(self):
        rng, held = np.random.default_rng(1), []
        for trial in range(8):
            prompts = {(str(i), "q"): rng.normal(size=40) for i in range(40)}
            scores = {(f"m{number}", "q"): rng.normal(size=40) for number in range(25)}
            found = quality(effects_of(prompts, shape=(5, 8)), scores, (5, 8), levels=(8,), resamples=500, seed=trial)
            rows = found.ranking_quality.query("measure == 'spearman' and kind == 'method'")
            held += ((rows["value_low"] <= 0) & (rows["value_high"] >= 0)).tolist()
        assert np.mean(held) >= 0.93

    @pytest.mark.thorough
    def test_random_heads_capture_nothing_within_their_interval(self):
        """Four heads matter in all documents, and of ten heads drawn by lot one is among them, as it is on average."""
        rng, held = np.random.default_rng(6), []
        for trial in range(15):
            prompts = {(str(i), "q"): np.r_[np.full(4, 4.0), np.zeros(36)] + rng.normal(size=40) for i in range(40)}
            scores = {}
            for number in range(8):
                scores[f"m{number}", "q"] = np.zeros(40)
                scores[f"m{number}", "q"][[rng.integers(4), *(4 + rng.permutation(36)[:9])]] = 1
            found = quality(effects_of(prompts, shape=(5, 8)), scores, (5, 8), levels=(10,), resamples=300, seed=trial)
            rows = found.ranking_quality.query("measure == 'captured' and kind == 'method'")
            assert rows["value"].notna().all()
            held += ((rows["value_low"] <= 0) & (rows["value_high"] >= 0)).tolist()
        # Of 2,400 such rankings the interval holds 0 for 93.5%; these are 120.
        assert np.mean(held) >= 0.9

    @pytest.mark.thorough
    def test_the_p_of_two_rankings_that_know_as_much_is_uniform(self):
        rng, p = np.random.default_rng(3), []
        for trial in range(30):
            prompts = {(str(i), "q"): rng.normal(size=20) for i in range(10)}
            scores = {(f"m{number}", "q"): rng.normal(size=20) for number in range(10)}
            found = quality(effects_of(prompts, shape=(4, 5)), scores, (4, 5), levels=(5,), seed=trial, resamples=100)
            tests = found.quality_tests.query("measure == 'spearman'").set_index(["a", "b"])["p"]
            p += [tests[f"m{number}", f"m{number + 1}"] for number in range(0, 10, 2)]
        for level in (0.1, 0.25, 0.5, 0.75):
            assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=0.1)

    def test_the_ceiling_is_above_rankings_that_cannot_know(self):
        rng = np.random.default_rng(4)
        truth = rng.exponential(size=40)
        effects = effects_of({(str(i), "q"): truth + rng.normal(size=40) for i in range(10)}, shape=(5, 8))
        scores = {(f"m{i}", "q"): rng.permutation(40) for i in range(30)}
        found = quality(effects, scores, (5, 8), levels=(8,)).ranking_quality
        for measure in ("spearman", "precision", "captured"):
            rows = found[(found["measure"] == measure) & found["question"].isna()].set_index("ranking")["value"]
            assert rows["ceiling"] > rows.drop("ceiling").max()


def test_a_decoy_that_looks_and_does_not_write_puts_a_method_behind():
    """Five heads write the answer; a method by where heads look puts five that write nothing before them."""
    rng = np.random.default_rng(4)
    writing = np.r_[np.ones(5), np.zeros(35)]
    effects = effects_of({(str(i), "q"): writing * rng.uniform(1, 2, 40) for i in range(8)}, shape=(5, 8))
    looking = np.r_[np.ones(5), 2 * np.ones(5), np.zeros(30)] + 0.01 * rng.uniform(size=40)
    scores = {("looking", "q"): looking, ("writing", "q"): writing + 0.01 * rng.uniform(size=40)}
    found = quality(effects, scores, (5, 8), levels=(5,), planted={"m": [f"L0H{head}" for head in range(5)]})
    assert value(found, "writing", "captured", 5) == pytest.approx(1)
    assert value(found, "looking", "captured", 5) < 0 and value(found, "looking", "precision", 5) == 0
    first = standing(found.quality_tests.query("measure == 'captured'"), 0.05)
    assert first.method == "writing" and first.p == pytest.approx(2 / 2**8) and first.close == []
    aurocs = found.ranking_quality.query("measure == 'auroc' and question == 'q'").set_index("ranking")["value"]
    assert aurocs["writing"] == 1 > aurocs["looking"] > aurocs["chance"] == 0.5


def test_differences_can_be_read_from_either_side():
    found = quality(effects_of(ALIKE), {("m", "q"): RIGHT, ("n", "q"): WRONG}).quality_tests
    tests = found[found["measure"] == "spearman"]
    one, other = (against(tests, name).iloc[0] for name in ("m", "n"))
    assert one["difference"] == -other["difference"] == 2 and (other["a"], other["b"]) == ("n", "m")
    assert other["difference_low"] <= other["difference"] <= other["difference_high"]
    assert standing(tests.iloc[:0], 0.05) is None

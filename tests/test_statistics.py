import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test
from statsmodels.stats.contingency_tables import mcnemar

from made_tables import make_ablation, make_study, no_collection  # noqa: F401
from retrieval_heads import effects, statistics, tables
from retrieval_heads.effects import AGAINST_RANDOM, EFFECTS, at
from retrieval_heads.errors import StudyError
from retrieval_heads.statistics import bootstrap_mean, bootstrap_weights, exact_paired_test, holm, newcombe, wilson

ALL = ("question", "context_length")
outcomes = st.integers(2, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 1), min_size=n, max_size=n) for _ in range(2)])
)


def weights(documents, resamples=2000):
    return bootstrap_weights(documents, resamples, np.random.default_rng(0))


class TestExactPairedTest:
    @given(outcomes)
    def test_with_one_control_and_one_prompt_per_document_it_is_mcnemar(self, pair):
        one, other = map(np.array, pair)
        table = [
            [np.sum(one & other), np.sum(one & ~other & 1)],
            [np.sum(~one & other & 1), np.sum((1 - one) * (1 - other))],
        ]
        assert exact_paired_test(one, other) == pytest.approx(mcnemar(table, exact=True).pvalue)

    @pytest.mark.parametrize("seed", range(3))
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
        assert exact_paired_test(one, others) == pytest.approx(expected.pvalue)

    def test_by_hand(self):
        # Each of four documents is lost under the cut and kept under both draws: (1/3)^4, doubled.
        assert exact_paired_test(np.zeros(4), np.ones((2, 4))) == pytest.approx(2 / 81)

    def test_no_difference(self):
        assert exact_paired_test(np.ones(5), np.ones((3, 5))) == 1.0

    def test_needs_six_documents_to_reach_five_percent(self):
        assert exact_paired_test(np.zeros(5), np.ones(5)) > 0.05
        assert exact_paired_test(np.zeros(6), np.ones(6)) < 0.05

    @given(outcomes)
    def test_is_a_p_value_and_symmetric(self, pair):
        one, other = map(np.array, pair)
        assert 0 < exact_paired_test(one, other) <= 1
        assert exact_paired_test(one, other) == pytest.approx(exact_paired_test(other, one))


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

    def test_holm_by_hand_leaves_gaps(self):
        corrected = holm(pd.Series([0.01, np.nan, 0.04, 0.03]))
        assert corrected[[0, 2, 3]].tolist() == pytest.approx([0.03, 0.06, 0.06])
        assert np.isnan(corrected[1])


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def ablation(study):
    return make_ablation(study)


@pytest.fixture(scope="module")
def both(ablation):
    return effects.from_rows(ablation, seed=1, resamples=200)


class TestEffects:
    def test_summary_counts(self, ablation):
        summary = effects.summarise(ablation)
        one = summary[(summary["source"] == "method") & (summary["method"] == "wu24") & (summary["k"] == 5)].iloc[0]
        rows = ablation[
            (ablation["source"] == "method")
            & (ablation["method"] == "wu24")
            & (ablation["k"] == 5)
            & (ablation["question"] == one["question"])
            & (ablation["context_length"] == one["context_length"])
        ]
        assert (one["correct"], one["total"]) == (rows["correct"].sum(), len(rows))
        assert one["accuracy"] == rows["correct"].mean()
        assert (summary["source"] == "baseline").sum() == 8

    def test_drop_and_difference_are_differences(self, both, ablation):
        effect, control = (at(frame, pooled=ALL, method="qrhead", k=20).iloc[0] for frame in both)
        rows = ablation[ablation["method"] == "qrhead"]
        rows = rows[(rows["k"] == 20) & (rows["matching"] == "layer")]
        baseline = ablation.loc[ablation["source"] == "baseline", "correct"].mean()
        assert effect["drop"] == pytest.approx(baseline - effect["accuracy"])
        assert control["matching"] == "layer" and control["draws"] == 2
        assert control["accuracy"] == pytest.approx(rows["correct"].mean())
        assert control["difference"] == pytest.approx(control["accuracy"] - effect["accuracy"])
        assert control["prompts"] == 80 and control["documents"] == 10

    def test_every_pooling_is_there_once(self, both):
        for frame, sets in zip(both, (9, 18), strict=True):
            assert [len(at(frame, pooled=pool)) for pool in ((), ALL[:1], ALL[1:], ALL)] == [
                8 * sets,
                2 * sets,
                4 * sets,
                sets,
            ]

    def test_pooled_intervals_are_narrower(self, both):
        def width(rows):
            return (rows["accuracy_high"] - rows["accuracy_low"]).mean()

        assert width(at(both[0], pooled=ALL, k=10)) < width(at(both[0], k=10))

    def test_correction_never_lowers_p(self, both):
        for frame in both:
            assert (frame["p_holm"] >= frame["p"]).all()

    def test_tables_fit_their_schemas(self, both, ablation, tmp_path):
        summary = effects.summarise(ablation)
        for frame, table in ((both[0], EFFECTS), (both[1], AGAINST_RANDOM), (summary, tables.ABLATION_SUMMARY)):
            tables.write(frame, tmp_path / table.name, table)
            assert len(tables.read(tmp_path / table.name, table)) == len(frame)

    def test_row_order_does_not_matter_and_the_seed_does(self, both, ablation):
        shuffled = effects.from_rows(ablation.sample(frac=1, random_state=3), seed=1, resamples=200)
        pd.testing.assert_frame_equal(shuffled[0], both[0])
        pd.testing.assert_frame_equal(shuffled[1], both[1])
        other = effects.from_rows(ablation, seed=2, resamples=200)[0]
        assert not other["accuracy_low"].equals(both[0]["accuracy_low"])

    def test_a_table_read_from_disk_gives_the_same(self, both, ablation, tmp_path):
        tables.write(ablation, tmp_path / "ablation.parquet", tables.ABLATION)
        read = effects.from_rows(tables.read(tmp_path / "ablation.parquet", tables.ABLATION), seed=1, resamples=200)
        for one, other in zip(read, both, strict=True):
            pd.testing.assert_frame_equal(one, other, check_dtype=False)

    def test_another_question_changes_no_other(self, both, ablation):
        fewer = effects.from_rows(ablation[ablation["question"] != "hq_state"], seed=1, resamples=200)[0]
        kept = at(both[0])
        kept = kept[kept["question"] != "hq_state"].drop(columns="p_holm").reset_index(drop=True)
        pd.testing.assert_frame_equal(at(fewer).drop(columns="p_holm").reset_index(drop=True), kept)

    def test_counts_give_the_same_values(self, both, ablation, tmp_path):
        path = tmp_path / "summary.parquet"
        tables.write(effects.summarise(ablation), path, tables.ABLATION_SUMMARY)
        counted = effects.from_counts(tables.read(path, tables.ABLATION_SUMMARY))
        for one, other, table in zip(counted, both, (EFFECTS, AGAINST_RANDOM), strict=True):
            merged = one.merge(other, on=list(table.key), how="outer", suffixes=("", "_rows"))
            assert len(merged) == len(other)
            for name in ("accuracy", "drop"):
                assert merged[name].to_numpy() == pytest.approx(merged[f"{name}_rows"].to_numpy())
            assert one["p"].isna().all() and one["documents"].isna().all()

    def test_a_hole_is_compared_with_its_own_baseline(self, study, ablation):
        hole = (ablation["method"] == "wu24") & (ablation["question"] == "inc_year")
        frame, controls = effects.from_rows(ablation[~hole], seed=1, resamples=50)
        assert at(frame, pooled=ALL, method="wu24", k=5).iloc[0]["prompts"] == 60
        assert at(frame, pooled=ALL, method="qrhead", k=5).iloc[0]["prompts"] == 80
        assert at(frame, method="wu24", question="inc_year").empty
        assert at(controls, method="wu24", question="inc_year").empty

    def test_nothing_ablated_gives_empty_tables(self, ablation):
        frame, controls = effects.from_rows(ablation[ablation["source"] == "baseline"], seed=1, resamples=50)
        assert frame.empty and controls.empty
        assert list(frame.columns) == EFFECTS.columns

    def test_headline_level(self, study, both):
        assert study.level(both[0]) == 20
        assert make_study(level=10).level(both[0]) == 10
        with pytest.raises(StudyError, match=r"analysis\.level: 7 heads were not cut; choose one of 5, 10, 20"):
            make_study(level=7).level(both[0])


def test_every_interval_has_one_level():
    assert statistics.LEVEL == 0.95

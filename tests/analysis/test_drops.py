import numpy as np
import pandas as pd
import pytest

from made_tables import make_ablation, make_study
from retrieval_heads import tables
from retrieval_heads.analysis.drops import drops_by_unit, mean_drops
from retrieval_heads.analysis.outcomes import as_outcomes, summarise
from retrieval_heads.analysis.statistics import newcombe
from retrieval_heads.tables.mean_drops import MEAN_DROPS

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def study():
    return make_study(models=("a", "b"))


@pytest.fixture(scope="module")
def ablation(study):
    return make_ablation(study)


def means_of(study, results, resamples=200):
    return mean_drops(as_outcomes(results, 1, resamples), study.categories)


@pytest.fixture(scope="module")
def by_rows(study, ablation):
    return means_of(study, ablation)


@pytest.fixture(scope="module")
def by_counts(study, ablation):
    return means_of(study, summarise(ablation))


def at(means, grouping="all", value="all", k=None, source="method", matching=None):
    chosen = (means["grouping"] == grouping) & (means["value"] == value) & (means["source"] == source)
    chosen &= means["k"].isna() if k is None else means["k"] == k
    chosen &= means["matching"].isna() if matching is None else means["matching"] == matching
    (row,) = means[chosen.fillna(False).astype(bool)].to_dict("records")
    return row


@pytest.mark.parametrize("made", ["by_rows", "by_counts"])
def test_intervals_hold_their_means_and_tables_fit_their_schema(made, request, tmp_path):
    means = request.getfixturevalue(made)
    assert (means["drop_low"] <= means["drop"]).all() and (means["drop"] <= means["drop_high"]).all()
    assert (means["drop_low"] < means["drop_high"]).all()
    tables.write(means, tmp_path / "mean_drops.parquet", MEAN_DROPS)
    read = tables.read(tmp_path / "mean_drops.parquet", MEAN_DROPS)
    assert len(read) == len(means) and read["k"].isna().sum() == means["k"].isna().sum() > 0


def test_what_there_is(by_rows):
    assert set(by_rows["grouping"]) == {"all", "model", "method", "question", "category", "context_length"}
    assert at(by_rows)["configurations"] == 2 * 3 * 4 * 2
    assert at(by_rows, "model", "a", 5)["configurations"] == 3 * 4 * 2
    assert at(by_rows, "category", "numerical", source="random", matching="layer")["configurations"] == 2 * 3 * 2 * 2
    assert set(by_rows.loc[by_rows["source"] != "method", "matching"]) == {"layer", "none"}


def test_a_difference_is_the_top_heads_drop_minus_that_of_random_ones(by_rows, by_counts):
    for means in (by_rows, by_counts):
        for value, k in (("wu24", 5), ("qrhead", 20), ("qrhead", None)):
            top = at(means, "method", value, k)["drop"]
            for matching in ("layer", "none"):
                random = at(means, "method", value, k, "random", matching)["drop"]
                found = at(means, "method", value, k, "difference", matching)["drop"]
                assert found == pytest.approx(top - random)


def test_mean_and_population_sd_are_over_configurations(ablation, by_rows):
    cell = ["model", "question", "context_length"]
    accuracy = ablation.groupby([*cell, "source", "method", "k"], dropna=False)["correct"].mean()
    baseline = accuracy.xs("baseline", level="source").droplevel(["method", "k"])
    ablated = accuracy.xs("method", level="source").reset_index()
    drop = baseline.reindex(pd.MultiIndex.from_frame(ablated[cell])).to_numpy() - ablated["correct"]
    assert len(drop) == 2 * 4 * 2 * 3 * 3
    assert at(by_rows)["drop"] == pytest.approx(drop.mean())
    assert at(by_rows)["drop_sd"] == pytest.approx(drop.std(ddof=0))
    assert at(by_rows, "method", "wu24", 10)["drop_sd"] == pytest.approx(
        drop[(ablated["method"] == "wu24") & (ablated["k"] == 10)].std(ddof=0)
    )


def planted(sizes, lost):
    """A configuration for each question: so many documents, and so many of them lost with 5 heads ablated; no draws."""
    study = make_study(methods=("wu24",), questions=tuple(sizes), lengths=(512,), levels=(5,))
    rows = make_ablation(study, max(sizes.values()))
    number = rows["doc_id"].str.removeprefix("doc").astype(int)
    rows["correct"] = ~((rows["source"] == "method") & (number < rows["question"].map(lost)))
    return study, rows[number < rows["question"].map(sizes)]


def test_configurations_weigh_the_same_however_many_prompts_they_have():
    study, rows = planted({"hq_state": 4, "inc_year": 20}, {"hq_state": 4, "inc_year": 5})
    for results in (rows, summarise(rows)):
        means = means_of(study, results)
        assert at(means)["drop"] == pytest.approx((1 + 1 / 4) / 2)
        assert at(means)["drop_sd"] == pytest.approx((1 - 1 / 4) / 2)
        assert at(means, "question", "inc_year")["drop"] == pytest.approx(1 / 4)


def test_one_configuration_has_newcombes_interval_where_only_counts_are_known():
    study, rows = planted({"inc_year": 20}, {"inc_year": 5})
    row = at(means_of(study, summarise(rows)), k=5)
    assert (row["drop"], row["drop_low"], row["drop_high"]) == pytest.approx(newcombe(20, 20, 15, 20))


def test_with_rows_documents_are_drawn():
    # A quarter of 20 documents lost: the percentile interval of a binomial share.
    study, rows = planted({"inc_year": 20}, {"inc_year": 5})
    row = at(means_of(study, rows, 2000))
    assert (row["drop_low"], row["drop_high"]) == pytest.approx((0.05, 0.45), abs=0.051)
    # A second question lost with the same documents tells no more, one with others does.
    study, rows = planted({"inc_year": 20, "hq_state": 20}, {"inc_year": 5, "hq_state": 5})
    again = at(means_of(study, rows, 2000))
    assert again["drop_high"] - again["drop_low"] == pytest.approx(row["drop_high"] - row["drop_low"], abs=0.051)
    number = rows["doc_id"].str.removeprefix("doc").astype(int)
    swapped = (rows["question"] == "hq_state") & (rows["source"] == "method")
    rows.loc[swapped, "correct"] = ~number[swapped].isin(range(10, 15))
    apart = at(means_of(study, rows, 2000))
    assert apart["drop_high"] - apart["drop_low"] < row["drop_high"] - row["drop_low"] - 0.05


def test_documents_that_all_agree_leave_some_width():
    study, rows = planted({"inc_year": 20}, {"inc_year": 0})
    row = at(means_of(study, rows))
    assert row["drop"] == 0 and row["drop_high"] == -row["drop_low"] == pytest.approx(1 - 0.025 ** (1 / 20))


def test_prompts_of_a_document_are_taken_together():
    study, rows = planted({"inc_year": 10}, {"inc_year": 5})
    depths = [rows.assign(prompt_id=rows["prompt_id"] + f"/{depth}", depth=depth) for depth in (0.2, 0.8)]
    both = pd.concat(depths, ignore_index=True)
    pd.testing.assert_frame_equal(drops_by_unit(as_outcomes(both, 1)), drops_by_unit(as_outcomes(rows, 1)))
    # Random heads cost nothing in any document; what was not seen is then the less likely the more prompts there are.
    once, twice = ((means := means_of(study, made))[means["source"] == "method"] for made in (rows, both))
    pd.testing.assert_frame_equal(twice, once)


@pytest.mark.parametrize("summarised", [False, True])
class TestHoles:
    @staticmethod
    def means(study, rows, summarised):
        return means_of(study, summarise(rows) if summarised else rows, 50)

    def test_a_missing_method(self, study, ablation, summarised):
        hole = (ablation["method"] == "wu24") & (ablation["question"] == "inc_year")
        means = self.means(study, ablation[~hole], summarised)
        assert at(means, "method", "wu24")["configurations"] == 12
        assert at(means, "question", "inc_year", 5)["configurations"] == 8

    def test_a_missing_baseline_leaves_no_drop(self, study, ablation, summarised):
        hole = (ablation["source"] == "baseline") & (ablation["question"] == "inc_year")
        means = self.means(study, ablation[~hole], summarised)
        assert "inc_year" not in set(means["value"]) and at(means)["configurations"] == 36

    def test_no_random_heads(self, study, ablation, summarised):
        means = self.means(study, ablation[ablation["source"] != "random"], summarised)
        assert set(means["source"]) == {"method"} and means["drop"].notna().all()

    def test_nothing_ablated(self, study, ablation, summarised):
        means = self.means(study, ablation[ablation["source"] == "baseline"], summarised)
        assert means.empty and list(means.columns) == MEAN_DROPS.columns

    def test_one_document(self, study, ablation, summarised):
        means = self.means(study, ablation[ablation["doc_id"] == "doc0"], summarised)
        assert np.isfinite(means[["drop", "drop_low", "drop_high", "drop_sd"]]).all(axis=None)

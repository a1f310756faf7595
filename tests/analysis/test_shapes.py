"""Models of unequal shape: results of each grid, and numbers of heads that are equal shares."""

import pandas as pd
import pytest

from made_tables import make_ablation, make_rankings, make_study
from retrieval_heads.analysis.drops import mean_drops
from retrieval_heads.analysis.head_profiles import profile_heads
from retrieval_heads.analysis.hypotheses import run_tests
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.analysis.overlap import grids, pairwise
from retrieval_heads.analysis.shapes import at_equal_shares, equal_shares, models_by_grid, results_by_grid
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.tests import AGAINST_RANDOM, DROP

pytestmark = pytest.mark.thorough

SMALL, LARGE = Grid(6, 4), Grid(10, 8)
STUDY = make_study(
    models=("small", "large"), methods=("wu24", "qrhead"), questions=("inc_year", "hq_state"), levels=(6, 20)
)


@pytest.fixture(scope="module")
def rankings():
    parts = [
        make_rankings(
            make_study(models=(model,), methods=("wu24", "qrhead"), questions=("inc_year", "hq_state")), *grid
        )
        for model, grid in (("small", SMALL), ("large", LARGE))
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def ablation():
    """In the small model top heads cost much, in the large one little."""
    rows = make_ablation(STUDY, top=0.1)
    mild = make_ablation(STUDY, top=0.9)
    return pd.concat([rows[rows["model"] == "small"], mild[mild["model"] == "large"]], ignore_index=True)


def test_models_are_taken_by_their_grid_in_their_order():
    known = {"a": Grid(9, 30), "b": Grid(6, 12), "c": Grid(9, 30)}
    found = models_by_grid(known, ["a", "unknown", "b", "a", "c"])
    # No ranking tells the grid of the unknown one.
    assert list(found.items()) == [(Grid(9, 30), ["a", "c"]), (None, ["unknown"]), (Grid(6, 12), ["b"])]


def test_the_results_of_a_grid_are_those_of_its_models(rankings, ablation):
    means = mean_drops(as_outcomes(ablation, 1, 50), STUDY.categories, grids(rankings))
    made = {"rankings": rankings, "mean_drops": means, "documents": pd.DataFrame({"doc_id": ["d"]})}
    found = results_by_grid(made, ["large", "small"])
    assert [(grid, models) for grid, models, _ in found] == [(LARGE, ["large"]), (SMALL, ["small"])]
    for grid, (model,), part in found:
        assert set(part["rankings"]["model"]) == {model} and set(part["mean_drops"]["layers"]) == {grid.layers}
        assert len(part["documents"]) == 1


def test_equal_shares_are_rounded_to_whole_heads():
    assert equal_shares(15, {"smollm2": 270, "gemma": 72}) == {"smollm2": 15, "gemma": 4}
    assert equal_shares(20, {"smollm2": 270, "gemma": 72}) == {"smollm2": 20, "gemma": 5}


def test_rows_at_equal_shares_go_by_the_number_of_the_model_with_most_heads():
    rows = pd.DataFrame({"model": ["l", "l", "l", "s", "s", "s"], "k": [4, 15, 16, 1, 4, 15], "row": range(6)})
    found = at_equal_shares(rows, {"l": 270, "s": 72}, "k")
    # 4 of 72 are nearer to 15 of 270 than to 16; 15 of 72 are as large a share as none that there is.
    assert found[["row", "k"]].values.tolist() == [[0, 4], [1, 15], [2, 16], [3, 4], [4, 15]]


def test_rows_of_models_of_one_size_stay_as_they_are():
    rows = pd.DataFrame({"model": ["a", "b", "b"], "k": [5, 5, 20]})
    assert at_equal_shares(rows, {"a": 80, "b": 80}, "k").equals(rows)


def test_no_mean_drop_is_over_two_grids(rankings, ablation):
    outcomes = as_outcomes(ablation, 1, 50)
    apart = mean_drops(outcomes, STUDY.categories, grids(rankings))
    for model, grid in (("small", SMALL), ("large", LARGE)):
        alone = mean_drops(outcomes.of_models([model]), STUDY.categories, grids(rankings))
        of_grid = apart[(apart["layers"] == grid.layers) & (apart["heads"] == grid.heads)]
        assert of_grid.reset_index(drop=True).equals(alone)


@pytest.fixture(scope="module")
def tests(rankings, ablation):
    pairs, profiles = pairwise(rankings, STUDY.top_k), profile_heads(rankings, STUDY.top_k)
    return run_tests(STUDY, rankings, pairs, profiles, as_outcomes(ablation, STUDY.seed, 50))


def test_no_test_is_of_models_of_two_grids_but_those_between_models(tests):
    assert tests["layers"].isna().tolist() == tests["dimension"].eq("model").tolist()
    against = tests[(tests["subject"] == AGAINST_RANDOM) & tests["b"].isna() & (tests["k"] == 20)]
    by_grid = against.groupby("layers")["difference"].mean()
    assert by_grid[SMALL.layers] > 0.6 and by_grid[LARGE.layers] < 0.3


def test_models_are_tested_at_equal_shares_of_their_heads(tests, ablation):
    rows = tests[(tests["subject"] == DROP) & (tests["dimension"] == "model") & (tests["k"] == 20)]
    (row,) = rows.to_dict("records")
    assert (row["size_least"], row["size_most"]) == (20, 20)

    def accuracy(model, k):
        chosen = ablation[(ablation["model"] == model) & (ablation["source"] == "method") & (ablation["k"] == k)]
        return chosen["correct"].mean()

    baseline = ablation[ablation["source"] == "baseline"].groupby("model")["correct"].mean()
    drops = {model: baseline[model] - accuracy(model, k) for model, k in (("small", 6), ("large", 20))}
    sign = 1 if row["a"] == "small" else -1
    assert row["difference"] == pytest.approx(sign * (drops["small"] - drops["large"]))
    # 6 of 80 heads are as large a share as 2 of 24, which were not ablated.
    assert not ((tests["subject"] == DROP) & (tests["dimension"] == "model") & (tests["k"] == 6)).any()

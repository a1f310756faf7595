"""What heads are needed for beside what they carry: by hand, by chance, and whatever the numbers are."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from retrieval_heads import tables
from retrieval_heads.analysis.needed_or_carrying import agreement, carrying_mode, needed_mode, pair_effects
from retrieval_heads.tables.head_effects import HEAD_EFFECTS, effects_row
from retrieval_heads.tables.needed_or_carrying import BACKED_UP, BOTH, NEEDED_ONLY, NEEDED_OR_CARRYING

CELL = {"model": "m", "question": "q", "context_length": 512, "variant": "plain", "depth": 0.5}


def both(needed, carrying, shape=(2, 2), modes=("zero", "resample"), leave=()):
    """The head_effects table, from effects of shape (documents, heads) under both modes."""
    rows = []
    for mode, effects in zip(modes, (needed, carrying), strict=True):
        for number, one in enumerate(np.asarray(effects, float)):
            if (mode, number) not in leave:
                prompt = SimpleNamespace(**CELL, doc_id=f"d{number:03d}", prompt_id=f"d{number:03d}/q")
                odds = (1.0, one.reshape(shape)) if mode == "resample" else ()
                rows.append(effects_row(prompt, mode, -1.0, one.reshape(shape), *odds))
    return pd.DataFrame(rows, columns=HEAD_EFFECTS.columns)


def pairs(effects, resamples=200):
    return pair_effects(effects, 0.05, 1, resamples)


def test_modes_are_told_by_their_twins():
    effects = both([[1, 0, 0, 0]], [[1, 0, 0, 0]], modes=("mean", "resample"))
    assert (needed_mode(effects), carrying_mode(effects)) == ("mean", "resample")
    assert carrying_mode(effects[effects["mode"] == "mean"]) is None
    assert needed_mode(effects[effects["mode"] == "resample"]) is None


def test_both_numbers_are_over_the_prompts_that_were_asked_for_both(tmp_path):
    needed, carrying = [[4, 1, 0, 0], [2, 1, 0, 0], [100, 0, 0, 0]], [[1, 1, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0]]
    found = pairs(both(needed, carrying, leave=[("resample", 2)]))
    tables.write(found, tmp_path / "t.parquet", NEEDED_OR_CARRYING)
    first = found.iloc[0]
    assert (first["needed"], first["carrying"], first["difference"]) == (3, 1, 2)
    assert (first["difference_low"], first["difference_high"]) == (1, 3)
    assert (first["prompts"], first["documents"], first["needed_mode"]) == (2, 2, "zero")
    # Of four ways to flip two signs, two are as far out; heads without effects are not tested.
    assert first["p"] == 0.5 and found["p_family"].isna().tolist() == [False, False, True, True]


def test_roles():
    rng = np.random.default_rng(0)
    about = np.array([1.0, 0.1, 1.0, 0.0])
    noise = rng.normal(size=(2, 8, 4)) * 0.02
    found = pairs(both(about + noise[0], [0.0, 0.8, 1.0, 0.0] + noise[1]))
    assert found["role"].fillna("").tolist() == [NEEDED_ONLY, BACKED_UP, BOTH, ""]
    assert found["p_family"].tolist()[:2] == pytest.approx([2 / 2**8] * 2)


def test_a_head_that_may_carry_a_part_is_not_called_needed_only():
    rng = np.random.default_rng(1)
    carrying = np.c_[0.15 + rng.normal(size=8) * 0.3, np.zeros((8, 3))]
    found = pairs(both(np.tile([1.0, 0, 0, 0], (8, 1)), carrying))
    assert found["p_family"].iloc[0] < 0.05 and found["role"].iloc[0] != NEEDED_ONLY


def test_too_few_documents_tell_of_no_difference():
    found = pairs(both(np.tile([1.0, 0.1, 0, 0], (4, 1)), np.tile([0.0, 0.8, 0, 0], (4, 1))))
    assert not found["role"].isin([NEEDED_ONLY, BACKED_UP]).any()
    single = pairs(both([[1.0, 0, 0, 0]], [[0.0, 0, 0, 0]]))
    assert single[["needed_low", "carrying_high"]].isna().all(axis=None) and single["role"].isna().all()


def test_one_mode_gives_no_rows(tmp_path):
    effects = both([[1, 0, 0, 0]], [[1, 0, 0, 0]])
    for mode in ("zero", "resample"):
        found = pairs(effects[effects["mode"] == mode])
        tables.write(found, tmp_path / "t.parquet", NEEDED_OR_CARRYING)
        assert found.empty and agreement(effects[effects["mode"] == mode], 1, 100).empty


@pytest.mark.thorough
def test_where_nothing_differs_few_families_find_anything():
    rng, found = np.random.default_rng(2), []
    for _ in range(150):
        shared = rng.normal(size=(8, 20)) * rng.exponential(size=20) + 1
        one, other = shared[None] + rng.normal(size=(2, 8, 20)) * rng.exponential(size=20)
        found.append((pairs(both(one, other, (4, 5)), 100)["p_family"] < 0.05).any())
    assert np.mean(found) <= 0.1


def test_heads_in_any_order_have_the_same_numbers():
    rng = np.random.default_rng(3)
    one, other = rng.normal(size=(2, 8, 6)) + 1
    order = rng.permutation(6)
    first, moved = pairs(both(one, other, (2, 3))), pairs(both(one[:, order], other[:, order], (2, 3)))
    columns = ["needed", "carrying_low", "difference_high", "p", "p_family", "role"]
    pd.testing.assert_frame_equal(first[columns].iloc[order].reset_index(drop=True), moved[columns], check_exact=False)


class TestAgreement:
    def test_by_hand(self):
        (row,) = agreement(both([[4, 3, 2, 1]] * 2, [[1, 2, 3, 4]] * 2), 1, 100).to_dict("records")
        assert (row["spearman"], row["spearman_low"], row["spearman_high"]) == (-1, -1, -1)
        assert (row["prompts"], row["documents"]) == (2, 2)
        (one,) = agreement(both([[4, 3, 2, 1]], [[4, 3, 2, 1]]), 1, 100).to_dict("records")
        assert one["spearman"] == 1 and np.isnan(one["spearman_low"])

    @pytest.mark.thorough
    def test_its_interval_holds_the_truth_of_orders_that_have_nothing_in_common(self):
        rng, held = np.random.default_rng(4), []
        for trial in range(100):
            truth = rng.normal(size=(2, 1, 60))
            one, other = truth + rng.normal(size=(2, 10, 60)) * 0.5
            (row,) = agreement(both(one, other, (6, 10)), trial, 100).to_dict("records")
            wanted = pd.Series(truth[0, 0]).corr(pd.Series(truth[1, 0]), method="spearman")
            held.append(row["spearman_low"] <= wanted <= row["spearman_high"])
        assert np.mean(held) >= 0.85

"""Sets made from top sets stand beside the top set of their level, and beside the random heads drawn for that."""

import pandas as pd
import pytest

from made_tables import make_ablation, make_study
from retrieval_heads import tables
from retrieval_heads.analysis.other_sets import compare_other_sets
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.tables.other_sets import OTHER_SETS

STUDY = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,), levels=(5,))


def with_other_sets(right, **ablation):
    """An ablation table with top and random sets, and sets without induction heads that answer ``right(prompt)``."""
    made = make_ablation(STUDY, **ablation)
    tops = made[made["source"] == "method"].copy()
    tops["correct"] = [right(document) for document in tops["doc_id"].str[3:].astype(int)]
    return pd.concat([made, tops.assign(source="without_induction", size=3)], ignore_index=True)


def compare(results):
    return compare_other_sets(as_outcomes(results, STUDY.seed, STUDY.resamples))


def test_a_set_is_held_against_its_top_set_and_that_ones_random_heads(tmp_path):
    results = with_other_sets(lambda document: document >= 8, documents=12, baseline=1.0, top=0.0, random=1.0)
    found = compare(results)
    tables.write(found, tmp_path / "other_sets.parquet", OTHER_SETS)
    row = found[(found["matching"] == "layer") & found["question"].notna()].iloc[0]
    assert (row["source"], row["method"], row["k"], row["size"]) == ("without_induction", "wu24", 5, 3)
    assert row["drop"] == pytest.approx(8 / 12) and row["own_drop"] == 1 and row["random_drop"] == 0
    assert row["difference"] == pytest.approx(8 / 12) and row["documents"] == 12
    assert row["p"] < 0.05 and row["difference_low"] > 0.3
    # Of two ways to draw random heads, each is a family of its own.
    assert set(found["matching"]) == {"layer", "none"} and (found["p_holm"] == found["p"]).all()


def test_a_set_that_does_no_more_than_random_heads_is_told_so():
    found = compare(with_other_sets(lambda _: True, documents=12, baseline=1.0, top=0.0, random=1.0))
    assert (found["difference"] == 0).all() and (found["p"] == 1).all() and (found["drop"] == 0).all()


def test_without_such_sets_the_table_is_empty():
    found = compare(make_ablation(STUDY))
    assert found.empty and list(found.columns) == list(OTHER_SETS.columns)


def test_the_other_tables_of_effects_do_not_know_of_them():
    from retrieval_heads.analysis.effects import estimate_effects

    results = make_ablation(STUDY, documents=12)
    with_them = with_other_sets(lambda _: False, documents=12)
    for one, other in zip(
        estimate_effects(as_outcomes(results, 1, 100)), estimate_effects(as_outcomes(with_them, 1, 100)), strict=True
    ):
        pd.testing.assert_frame_equal(one, other)

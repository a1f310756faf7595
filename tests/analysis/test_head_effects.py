"""Effects of single heads on average: by hand, on models of few heads."""

import numpy as np
import pandas as pd

from made_effects import effects_of, rankings_of
from retrieval_heads import tables
from retrieval_heads.analysis.head_effects import (
    best_ranks,
    half_of_all,
    strongest,
    summarise_effects,
)
from retrieval_heads.tables.head_effect_summary import HEAD_EFFECT_SUMMARY


class TestSummary:
    def test_documents_weigh_alike_however_many_prompts_they_have(self, tmp_path):
        effects = effects_of({("a", "q"): [4, 0, 0, 1], ("a", "r"): [2, 0, 0, 1], ("b", "q"): [1, -2, 0, 1]})
        tables.write(summarise_effects(effects, 1, 200), tmp_path / "summary.parquet", HEAD_EFFECT_SUMMARY)
        found = tables.read(tmp_path / "summary.parquet", HEAD_EFFECT_SUMMARY)
        assert found["effect"].tolist() == [2.0, -1.0, 0.0, 1.0]
        assert found["rank"].tolist() == [1, 4, 3, 2]
        assert found[["layer", "head"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
        assert set(found["prompts"]) == {3} and set(found["documents"]) == {2}
        # Of two documents, a resample has one of them alone in half of the cases.
        assert found["effect_low"].tolist() == [1.0, -2.0, 0.0, 1.0]
        assert found["effect_high"].tolist() == [3.0, 0.0, 0.0, 1.0]

    def test_an_interval_holds_the_truth_as_often_as_it_says(self):
        rng, truth, held = np.random.default_rng(0), 0.7, []
        for trial in range(100):
            drawn = truth + rng.normal(size=(40, 1))
            effects = effects_of({(str(i), "q"): one for i, one in enumerate(drawn)}, shape=(1, 1))
            (row,) = summarise_effects(effects, trial, 400).to_dict("records")
            held.append(row["effect_low"] <= truth <= row["effect_high"])
        assert 88 <= sum(held) <= 99

    def test_a_single_document_gives_no_interval(self, tmp_path):
        found = summarise_effects(effects_of({("a", "q"): [4, 0, 0, 1]}), 1, 200)
        tables.write(found, tmp_path / "summary.parquet", HEAD_EFFECT_SUMMARY)
        assert found[["effect_low", "effect_high"]].isna().all(axis=None)

    def test_modes_are_never_taken_together(self):
        effects = pd.concat(effects_of({("a", "q"): [one, 0, 0, 0]}, mode) for mode, one in (("zero", 1), ("mean", 3)))
        first = summarise_effects(effects, 1, 200).query("layer == 0 and head == 0")
        assert dict(zip(first["mode"], first["effect"], strict=True)) == {"zero": 1.0, "mean": 3.0}

    def test_log_odds_are_averaged_where_there_are_twins(self):
        effects = effects_of({("a", "q"): [4, 0, 0, 1], ("b", "q"): [2, 0, 0, 1]})
        assert summarise_effects(effects, 1, 200)["logodds_effect"].isna().all()
        twins = effects.assign(answer_logodds=2.0, logodds_effects=[3 * one for one in effects["effects"]])
        found = summarise_effects(twins, 1, 200)
        assert found["logodds_effect"].tolist() == [9.0, 0.0, 0.0, 3.0]
        assert found["logodds_effect_low"].tolist() == [6.0, 0.0, 0.0, 3.0]

    def test_nothing_measured_is_an_empty_table(self):
        assert summarise_effects(effects_of({}), 1, 200).columns.tolist() == HEAD_EFFECT_SUMMARY.columns


def test_the_strongest_heads_are_needed_and_told_apart():
    summary = summarise_effects(effects_of({("a", "q"): [3, 1, 1, -5]}), 1, 200)
    names = [[(row.layer, row.head) for row in strongest(summary, most).itertuples()] for most in (1, 2, 3, 9)]
    assert names == [[(0, 0)], [(0, 0)], [(0, 0), (0, 1), (1, 0)], [(0, 0), (0, 1), (1, 0)]]
    assert half_of_all(summary) == 1
    assert half_of_all(summarise_effects(effects_of({("a", "q"): [1, 1, 1, 1]}), 1, 200)) == 2


def test_a_heads_best_rank_is_over_methods_and_questions():
    found = best_ranks(rankings_of({("m", "q"): [4, 3, 2, 1], ("n", "q"): [1, 4, 2, 3], ("n", "r"): [2, 1, 4, 3]}))
    of = [found.loc[("m", 512, "plain", *divmod(head, 2))].tolist() for head in range(4)]
    assert of == [[1, "m"], [1, "n"], [1, "n"], [2, "n"]]

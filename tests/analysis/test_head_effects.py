"""Effects of single heads on average, and rankings held against them: by hand, on models of few heads."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from retrieval_heads import tables
from retrieval_heads.analysis import head_effects
from retrieval_heads.analysis.head_effects import (
    best_ranks,
    half_of_all,
    held_against_effects,
    strongest,
    summarise_effects,
)
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.tables.head_effect_summary import HEAD_EFFECT_SUMMARY
from retrieval_heads.tables.head_effects import HEAD_EFFECTS, effects_row

CELL = {"model": "m", "context_length": 512, "variant": "plain"}


def effects_of(by_prompt, mode="zero", shape=(2, 2)):
    """The table, from (document, question) → the effect of each head."""
    rows = [
        effects_row(
            SimpleNamespace(
                **CELL, question=question, depth=0.5, doc_id=document, prompt_id=f"{document}/{question}/512/0.5"
            ),
            mode,
            -1.0,
            np.array(effects, float).reshape(shape),
        )
        for (document, question), effects in by_prompt.items()
    ]
    return pd.DataFrame(rows, columns=HEAD_EFFECTS.columns)


def rankings_of(scores, shape=(2, 2)):
    """The rankings table, from (method, question) → the score of each head."""
    heads = shape[1]
    rows = [
        {**CELL, "method": method, "question": question, "layer": number // heads, "head": number % heads}
        | {"score": float(score), "n_samples": 3, "score_sd": 0.1}
        for (method, question), of_heads in scores.items()
        for number, score in enumerate(of_heads)
    ]
    return placed(pd.DataFrame(rows))


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

    def test_nothing_measured_is_an_empty_table(self):
        assert summarise_effects(effects_of({}), 1, 200).columns.tolist() == HEAD_EFFECT_SUMMARY.columns


def test_the_strongest_heads_are_needed_and_told_apart():
    summary = summarise_effects(effects_of({("a", "q"): [3, 1, 1, -5]}), 1, 200)
    names = [[(row.layer, row.head) for row in strongest(summary, most).itertuples()] for most in (1, 2, 3, 9)]
    assert names == [[(0, 0)], [(0, 0)], [(0, 0), (0, 1), (1, 0)], [(0, 0), (0, 1), (1, 0)]]
    assert half_of_all(summary) == 1
    assert half_of_all(summarise_effects(effects_of({("a", "q"): [1, 1, 1, 1]}), 1, 200)) == 2


class TestRankings:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch):
        monkeypatch.setattr(head_effects, "FIRST", (1, 2))

    def held(self, effects, scores):
        found = held_against_effects(effects, rankings_of(scores))
        return found.set_index("method")[["spearman", "first_1", "first_2"]]

    def test_one_that_tells_the_effects_holds_most_of_them(self):
        effects = effects_of({("a", "q"): [4, 3, 2, 1], ("b", "q"): [4, 3, 2, 1]})
        found = self.held(effects, {("right", "q"): [9, 7, 5, 3], ("wrong", "q"): [1, 2, 3, 4]})
        assert found.loc["right"].tolist() == pytest.approx([1.0, 0.4, 0.7])
        assert found.loc["wrong"].tolist() == pytest.approx([-1.0, 0.1, 0.3])

    def test_prompts_are_averaged_in_documents_and_these_among_each_other(self):
        right, wrong = [4, 3, 2, 1], [1, 2, 3, 4]
        effects = effects_of({("a", "q"): right, ("a", "r"): wrong, ("b", "q"): right})
        found = self.held(effects, {("m", "q"): right, ("m", "r"): right})
        assert found.loc["m", "spearman"] == pytest.approx(((1 - 1) / 2 + 1) / 2)
        # Of question q the first head holds 4 of 10, of question r 1 of 10.
        assert found.loc["m", "first_1"] == pytest.approx((0.4 + 0.1) / 2)

    def test_only_what_is_above_0_is_held(self):
        found = self.held(effects_of({("a", "q"): [3, -9, 1, 0]}), {("m", "q"): [1, 4, 3, 2]})
        assert found.loc["m", ["first_1", "first_2"]].tolist() == pytest.approx([0.0, 0.25])

    def test_equal_heads_share_their_places(self):
        found = self.held(effects_of({("a", "q"): [3, 1, 0, 0]}), {("m", "q"): [5, 5, 0, 0], ("none", "q"): [0] * 4})
        assert found.loc["m", ["first_1", "first_2"]].tolist() == pytest.approx([0.5, 1.0])
        assert np.isnan(found.loc["none", "spearman"])
        assert found.loc["none", ["first_1", "first_2"]].tolist() == pytest.approx([0.25, 0.5])

    def test_heads_by_lot_hold_as_large_a_share_as_they_are_many(self):
        rng, shape = np.random.default_rng(0), (10, 10)
        effects = effects_of({("a", "q"): rng.normal(size=100)}, shape=shape)
        found = self.held_of_many(effects, rng, shape)
        assert found["spearman"].mean() == pytest.approx(0, abs=0.03)
        assert found["first_2"].mean() == pytest.approx(0.02, abs=0.004)

    def held_of_many(self, effects, rng, shape):
        scores = {(f"m{number}", "q"): rng.permutation(100) for number in range(200)}
        return held_against_effects(effects, rankings_of(scores, shape))

    def test_a_question_that_a_method_does_not_rank_counts_for_nothing(self):
        effects = effects_of({("a", "q"): [4, 3, 2, 1], ("a", "r"): [1, 2, 3, 4]})
        found = self.held(effects, {("m", "q"): [4, 3, 2, 1]})
        assert found.loc["m"].tolist() == pytest.approx([1.0, 0.4, 0.7])
        assert held_against_effects(effects, rankings_of({("m", "s"): [1, 2, 3, 4]})).empty


def test_a_heads_best_rank_is_over_methods_and_questions():
    found = best_ranks(rankings_of({("m", "q"): [4, 3, 2, 1], ("n", "q"): [1, 4, 2, 3], ("n", "r"): [2, 1, 4, 3]}))
    of = [found.loc[("m", 512, "plain", *divmod(head, 2))].tolist() for head in range(4)]
    assert of == [[1, "m"], [1, "n"], [1, "n"], [2, "n"]]

"""What is asked of the needle's depth, by hand, with planted differences, and with none."""

from functools import cache
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest

from made_tables import ablation_by_depth, make_ablation, make_scores, make_study
from retrieval_heads import tables
from retrieval_heads.analysis.depth_rankings import compare_depths
from retrieval_heads.analysis.hypotheses.depths import by_depth
from retrieval_heads.analysis.outcomes import as_outcomes, summarise
from retrieval_heads.analysis.similarity import spearman
from retrieval_heads.analysis.ties import places
from retrieval_heads.tables.depth_rankings import DEPTH_RANKINGS
from retrieval_heads.tables.tests import ACCURACY, DROP

STUDY = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,), levels=(5,), depths=(0, 0.5, 1))


def asked_of(ablation):
    return pd.DataFrame(list(by_depth(STUDY, as_outcomes(ablation, 1, 100))))


@cache
def alike(depths=(0, 0.5, 1)):
    """Every depth is answered by the same chances, drawn anew."""
    return ablation_by_depth(STUDY, {depth: {"documents": 30, "seed": i} for i, depth in enumerate(depths)})


class TestAccuracy:
    def test_differences_are_those_of_documents(self):
        found, rows = asked_of(alike()), alike()
        pair = found[(found["subject"] == DROP) & (found["a"] == "0.0") & (found["b"] == "1.0")].iloc[0]
        right = rows.pivot_table(index=["doc_id", "depth"], columns="source", values="correct", aggfunc="mean")
        drop = (right["baseline"] - right["method"]).unstack("depth")
        assert pair["difference"] == pytest.approx((drop[0] - drop[1]).mean())
        assert pair["units"] == 30 and pair["k"] == 5 and pair["intervention"] == "zero_all"
        unablated = found[(found["subject"] == ACCURACY) & (found["a"] == "0.0") & (found["b"] == "0.5")].iloc[0]
        before = right["baseline"].unstack("depth")
        assert unablated["difference"] == pytest.approx((before[0] - before[0.5]).mean())
        assert pd.isna(unablated["intervention"]) and pd.isna(unablated["k"])

    def test_a_depth_that_is_answered_worse_is_found(self):
        how = {depth: {"documents": 30, "baseline": 0.95 - 0.6 * depth, "seed": 0} for depth in (0, 0.5, 1)}
        found = asked_of(ablation_by_depth(STUDY, how))
        every = found[(found["subject"] == ACCURACY) & found["a"].isna()].iloc[0]
        assert every["test"] == "Friedman" and every["p"] < 0.001

    def test_two_depths_are_one_pair(self):
        found = asked_of(alike((0, 1)))
        assert found["a"].notna().all() and found.groupby("subject").size().tolist() == [1, 1]

    def test_one_depth_or_counts_alone_ask_nothing(self):
        assert not len(asked_of(make_ablation(STUDY)))
        assert not len(asked_of(summarise(alike())))


DEPTHS = (0.0, 0.5, 1.0)


def scores_of(by_depth, documents=10, noise=1.0, seed=0, methods=("x",)):
    """Scores of 30 heads, from depth → what they are there but for noise; and the prompts."""
    rng = np.random.default_rng(seed)
    prompts, parts = [], []
    for method in methods:
        made = {}
        for document in range(documents):
            for depth, truth in by_depth.items():
                made[f"d{document}/{depth}"] = (truth + noise * rng.normal(size=30)).reshape(5, 6)
                prompts.append((f"d{document}/{depth}", f"d{document}", depth))
        parts.append(make_scores(made, method))
    named = pd.DataFrame(prompts, columns=["prompt_id", "doc_id", "depth"]).drop_duplicates()
    return pd.concat(parts, ignore_index=True), named


def compared(*args, **how):
    scores, prompts = scores_of(*args, **how)
    return compare_depths([scores.iloc[:7], scores.iloc[7:]], prompts, 1, 100)


TRUTH = np.random.default_rng(5).exponential(size=(3, 30)) * 2


class TestRankings:
    def test_correlations_are_of_every_two_documents(self, tmp_path):
        scores, prompts = scores_of(dict(zip(DEPTHS, TRUTH, strict=True)), documents=4)
        found = compare_depths([scores], prompts, 1, 100)
        tables.write(found, tmp_path / "depth_rankings.parquet", DEPTH_RANKINGS)
        own = dict(zip(scores["prompt_id"], scores["scores"], strict=True))
        same, other = [], []
        for one, two in permutations(range(4), 2):
            for a, b in product(DEPTHS, repeat=2):
                value = spearman(*(places(own[prompt]).rank for prompt in (f"d{one}/{a}", f"d{two}/{b}")))
                (same if a == b else other).append(value)
        row = found.iloc[0]
        assert row["same_depth"] == pytest.approx(np.mean(same)) and row["other_depth"] == pytest.approx(np.mean(other))
        assert row["difference"] == pytest.approx(np.mean(same) - np.mean(other))
        assert row["documents"] == 4 and row["depths"] == 3

    def test_heads_that_change_with_depth_are_found(self):
        found = compared(dict(zip(DEPTHS, TRUTH, strict=True)), methods=("x", "y"))
        assert (found["p_holm"] < 0.05).all() and (found["difference_low"] > 0.1).all()

    def test_heads_that_do_not_are_found_as_often_as_alpha(self):
        alike = dict.fromkeys(DEPTHS, TRUTH[0])
        p = [compared(alike, seed=seed)["p"].iloc[0] for seed in range(200)]
        # 200 draws of 0.05 lie below 0.1 but in 1 of 400.
        assert np.mean(np.array(p) < 0.05) < 0.1

    def test_documents_without_some_depth_do_not_count(self):
        scores, prompts = scores_of(dict(zip(DEPTHS, TRUTH, strict=True)), documents=5)
        fewer = scores[scores["prompt_id"] != "d0/0.5"]
        assert compare_depths([fewer], prompts, 1, 100)["documents"].tolist() == [4]
        only = fewer[fewer["prompt_id"].str.startswith(("d0", "d1", "d2"))]
        assert compare_depths([only], prompts, 1, 100).empty

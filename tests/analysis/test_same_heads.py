"""Settings with the same heads are called that, those with others different, and noise is told from neither."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from retrieval_heads import tables
from retrieval_heads.analysis.same_heads import same_heads
from retrieval_heads.analysis.similarity import expected_jaccard
from retrieval_heads.tables.same_heads import SAME_HEADS
from retrieval_heads.tables.scores import SCORES, score_row

HEADS, K = 60, 6


def scores_of(settings, documents=40, noise=0.5, seed=0):
    """Scores in settings, (variant, question) → the heads that are strong, with the prompts' documents."""
    rng = np.random.default_rng(seed)
    rows, owners = [], {}
    for (variant, question), strong in settings.items():
        mean = np.zeros(HEADS)
        mean[list(strong)] = np.linspace(1.5, 2, len(strong))
        for document in range(documents):
            prompt = SimpleNamespace(
                model="small",
                question=question,
                context_length=512,
                variant=variant,
                prompt_id=f"{question}/{document}",
            )
            owners[prompt.prompt_id] = f"d{document}"
            rows.append(score_row(prompt, "wu24", (mean + noise * rng.normal(size=HEADS)).reshape(6, -1)))
    return pd.DataFrame(rows, columns=SCORES.columns), pd.Series(owners)


def compare(settings, splits=5, resamples=100, **how):
    scores, documents = scores_of(settings, **how)
    return same_heads([scores], documents, splits, 1, resamples, K)


def pooled(found, dimension="variant"):
    here = found[(found["dimension"] == dimension) & found["question"].isna() & found["context_length"].isna()]
    assert len(here) == 1
    return here.iloc[0]


def test_the_same_heads_are_the_same_and_others_are_not(tmp_path):
    same = compare({("plain", "q"): range(K), ("other", "q"): range(K)})
    tables.write(same, tmp_path / "same_heads.parquet", SAME_HEADS)
    assert pooled(same)["verdict"] == "same" and pooled(same)["sameness"] == pytest.approx(1, abs=0.1)
    apart = pooled(compare({("plain", "q"): range(K), ("other", "q"): range(K, 2 * K)}))
    assert apart["verdict"] == "different" and apart["sameness_high"] < 0.1


def test_without_noise_each_agreement_is_the_jaccard_beyond_chance():
    found = pooled(compare({("plain", "q"): range(K), ("other", "q"): range(3, K + 3)}, noise=1e-9))
    chance = expected_jaccard(HEADS, K, K)
    between = (3 / 9 - chance) / (1 - chance)
    assert found["within_a"] == found["within_b"] == pytest.approx(1)
    assert found["between"] == pytest.approx(between) == pytest.approx(found["sameness"])
    assert (found["a"], found["b"], found["k"], found["splits"], found["documents"]) == ("other", "plain", K, 5, 40)


def test_rankings_that_do_not_agree_with_themselves_tell_nothing():
    found = pooled(compare({("plain", "q"): range(K), ("other", "q"): range(K)}, noise=20.0))
    assert found["verdict"] == "untold" and np.isnan(found["sameness"])


def test_heads_that_all_tie_are_in_no_top_set():
    found = pooled(compare({("plain", "q"): (), ("other", "q"): ()}, noise=0.0))
    assert found["verdict"] == "untold" and np.isnan(found["between"])


def test_a_ceiling_of_noise_does_not_make_heads_different():
    """Halves agree by half, and two settings with the same heads no better: that is no difference between them."""
    verdicts = [
        pooled(compare({("plain", "q"): range(K), ("other", "q"): range(K)}, documents=16, noise=1.5, seed=seed))
        for seed in range(20)
    ]
    assert np.mean([one["within_a"] for one in verdicts]) < 0.8
    assert "different" not in {one["verdict"] for one in verdicts}
    assert np.mean([one["between"] / np.sqrt(one["within_a"] * one["within_b"]) for one in verdicts]) == pytest.approx(
        1, abs=0.1
    )


def test_questions_are_compared_in_each_variant_and_pooled_over_in_comparing_variants():
    strong = {"p": range(K), "q": range(K, 2 * K)}
    found = compare({(variant, question): strong[question] for variant in ("plain", "other") for question in strong})
    assert pooled(found)["configurations"] == 2 and pooled(found)["verdict"] == "same"
    questions = found[found["dimension"] == "question"]
    # One pair in each variant, and the same pooled over its only length.
    assert questions["variant"].value_counts().to_dict() == {"other": 2, "plain": 2}
    assert set(questions["verdict"]) == {"different"}


def test_a_further_setting_changes_no_other_row():
    two = compare({("plain", "q"): range(K), ("other", "q"): range(K)})
    scores, documents = scores_of({("plain", "q"): range(K), ("other", "q"): range(K), ("third", "q"): range(K)})
    three = same_heads([scores], documents, 5, 1, 100, K)
    here = three[(three["a"] == "other") & (three["b"] == "plain")].reset_index(drop=True)
    pd.testing.assert_frame_equal(here, two, check_dtype=False)

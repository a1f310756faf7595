"""What is decided by less than noise: cuts of rankings, where the true order is known, and choices, counted by hand."""

import numpy as np
import pandas as pd
import pytest

from made_tables import make_scores
from retrieval_heads import tables
from retrieval_heads.analysis.noise import count_close_calls, measure_cuts, within_rounding, within_sampling
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.tables.close_calls import CLOSE_CALLS
from retrieval_heads.tables.cuts import CUTS

HEADS, LEVEL = 40, 5
CELL = {"model": "small", "question": "q", "context_length": 512, "variant": "plain"}


def cut(by_prompt, owners=None, levels=(LEVEL,), dtype="float32", top_k=LEVEL):
    """The cuts table of scores {prompt: (layers, heads)}; each prompt is a document of its own, or has its owner."""
    scores = make_scores(by_prompt, **CELL)
    documents = pd.Series(owners or {prompt: prompt for prompt in by_prompt})
    return measure_cuts(rank_heads([scores]), [scores], documents, {"small": dtype}, levels, 400, 1, top_k)


def simulated(means, documents=24, noise=1.0, seed=0):
    """Scores of heads with these true means, and normal noise in each document."""
    rng = np.random.default_rng(seed)
    return {str(d): (means + noise * rng.normal(size=HEADS)).reshape(4, -1) for d in range(documents)}


def test_the_gap_is_that_of_the_last_head_inside_and_the_first_one_outside(tmp_path):
    one = [[5.0, 3.0], [1.0, 0.0]]
    two = [[7.0, 3.0], [2.0, 0.0]]
    found = cut({"a": one, "b": two}, levels=(1, 2, 3), top_k=2)
    assert found["k"].tolist() == [1, 2, 3] == found["size"].tolist()
    assert found["gap"].tolist() == [3.0, 1.5, 1.5]
    # By hand: both documents drawn alike, or one of them twice.
    assert found["gap_low"].tolist() == [2.0, 1.0, 1.0]
    assert found["gap_high"].tolist() == [4.0, 2.0, 2.0]
    assert found["noise"].tolist() == [pytest.approx(6e-5)] * 3
    assert found[["prompts", "documents"]].drop_duplicates().values.tolist() == [[2, 2]]
    tables.write(found, tmp_path / "cuts.parquet", CUTS)


def test_a_top_set_that_ties_end_early_is_cut_where_it_ends():
    found = cut({"a": [[4.0, 2.0], [2.0, 1.0]], "b": [[4.0, 2.0], [2.0, 0.0]]}, levels=(2,), top_k=2)
    assert found[["k", "size", "gap"]].values.tolist() == [[2, 1, 2.0]]


def test_where_all_heads_tie_or_all_are_in_the_top_set_there_is_no_cut():
    assert cut({"a": [[1.0, 1.0]], "b": [[1.0, 1.0]]}, levels=(1,), top_k=1).empty
    assert cut({"a": [[1.0, 2.0]], "b": [[1.0, 2.0]]}, levels=(2,), top_k=2).empty


def test_a_single_document_has_no_interval_and_so_may_be_otherwise(tmp_path):
    found = cut({"a": [[2.0, 1.0]], "b": [[2.0, 1.0]]}, owners={"a": "one", "b": "one"}, levels=(1,), top_k=1)
    assert found["gap"].tolist() == [1.0] and found["gap_low"].isna().all()
    assert within_sampling(found).all()
    tables.write(found, tmp_path / "cuts.parquet", CUTS)


def test_prompts_about_one_document_are_drawn_together():
    by_prompt = {str(number): [[1.0 + 3 * (number % 2), 1.0 + 1.0 * (1 - number % 2)]] for number in range(12)}
    alone = cut(by_prompt, levels=(1,), top_k=1).iloc[0]
    paired = cut(by_prompt, {str(number): str(number // 2) for number in range(12)}, levels=(1,), top_k=1).iloc[0]
    # Each document has one prompt of either kind, so that all of them say the same.
    assert paired["gap_low"] == paired["gap"] == alone["gap"]
    assert alone["gap_low"] < alone["gap"]


@pytest.mark.parametrize(
    ("apart", "dtype", "close"),
    [(0.5, "float32", False), (5e-6, "float32", True), (5e-6 * 4, "float32", False), (5e-3, "bfloat16", True)],
)
def test_a_cut_is_within_rounding_if_the_gap_is_a_small_enough_share_of_the_range(apart, dtype, close):
    scores = np.linspace(1.0, 0.0, HEADS)
    scores[LEVEL:] += scores[LEVEL - 1] - scores[LEVEL] - apart
    found = cut({str(d): scores.reshape(4, -1) for d in range(4)}, dtype=dtype)
    assert found["gap"].tolist() == [pytest.approx(apart, rel=1e-2)]
    assert within_rounding(found).tolist() == [close]


def test_heads_that_are_truly_equal_are_within_sampling_noise():
    """The last head inside and the first outside are alike but for noise, in 40 studies: nearly all say so."""
    means = np.zeros(HEADS)
    flagged = [within_sampling(cut(simulated(means, seed=seed))).item() for seed in range(40)]
    assert sum(flagged) >= 38


@pytest.mark.thorough
def test_two_equal_heads_at_the_cut_are_told_apart_no_more_often_than_an_interval_may_err():
    means = np.where(np.arange(HEADS) < LEVEL - 1, 10.0, -10.0)
    means[[LEVEL - 1, LEVEL]] = 0.0
    flagged = [within_sampling(cut(simulated(means, seed=seed))).item() for seed in range(60)]
    assert sum(flagged) >= 52  # of 57 that a 95% interval has


def test_heads_that_are_truly_apart_are_told_apart():
    """By twice the noise of a document, so by more than six standard errors of the difference over 24."""
    means = np.where(np.arange(HEADS) < LEVEL, 3.0, 0.0) - 0.0
    means[LEVEL:] -= 1.0
    flagged = [within_sampling(cut(simulated(means, seed=seed))).item() for seed in range(40)]
    assert sum(flagged) == 0


def test_what_all_documents_share_is_no_noise():
    """A document's level moves both heads, and not their difference."""
    rng, means = np.random.default_rng(0), np.where(np.arange(HEADS) < LEVEL, 1.0, 0.0)
    by_prompt = {str(d): (means + 5 * rng.normal() + 0.1 * rng.normal(size=HEADS)).reshape(4, -1) for d in range(12)}
    assert not within_sampling(cut(by_prompt)).item()


def rows(margins, **values):
    return pd.DataFrame([CELL | values | {"margin": margin} for margin in margins]).astype({"margin": float})


def test_close_calls_are_counted_by_what_was_chosen(tmp_path):
    scores = [
        rows([1e-5, None, 0.2], method="wu24"),
        rows([None], method="summed_attention"),
        rows([2e-5], method="wu24"),
    ]
    ablated = [rows([1e-6], source="baseline", intervention="a"), rows([0.3, 9e-5], source="random", intervention="a")]
    found = count_close_calls(
        {"generations": [rows([0.5])], "scores": scores, "ablation": ablated, "unablated": []}, {"small": "float32"}
    )
    tables.write(found, tmp_path / "close_calls.parquet", CLOSE_CALLS)
    found = found.set_index("source")
    assert found[["choices", "close", "smallest"]].to_dict("index") == {
        "generations": {"choices": 1, "close": 0, "smallest": 0.5},
        "scores": {"choices": 3, "close": 2, "smallest": 1e-5},
        "ablation": {"choices": 2, "close": 1, "smallest": 9e-5},
    }
    assert found.loc["scores", "method"] == "wu24" and found.loc["ablation", "intervention"] == "a"
    assert (found["noise"] == 1e-4).all()


def test_the_noise_is_that_of_the_models_dtype():
    frames = {"generations": [rows([0.01]), rows([0.01], model="coarse")]}
    found = count_close_calls(frames, {"small": "float32", "coarse": "bfloat16"}).set_index("model")
    assert found["close"].to_dict() == {"small": 0, "coarse": 1}


def test_without_a_choice_there_is_nothing_to_count(tmp_path):
    found = count_close_calls({"generations": [rows([None])], "ablation": []}, {"small": "float32"})
    tables.write(found, tmp_path / "close_calls.parquet", CLOSE_CALLS)
    assert found.empty

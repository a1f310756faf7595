from functools import partial

import numpy as np
import pandas as pd
import pytest

from made_tables import make_scores, peak_of
from retrieval_heads import tables
from retrieval_heads.analysis.overlap import Ranking
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.analysis.reliability import split_half
from retrieval_heads.analysis.similarity import jaccard
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.reliability import RELIABILITY

DOCUMENTS = 8


def scores_and_documents(
    documents=DOCUMENTS, noise=0.0, seed=0, methods=("x",), questions=("p",), depths=2, shape=(5, 4)
):
    """Scores that are alike in all documents but for some noise, with the prompts' documents."""
    rng = np.random.default_rng(seed)
    parts, owners = [], {}
    truth = rng.exponential(size=shape)
    for method in methods:
        for question in questions:
            prompts = [(f"{question}/{i}/{depth}", f"doc{i}") for i in range(documents) for depth in range(depths)]
            owners |= dict(prompts)
            noisy = {prompt: truth + noise * rng.normal(size=shape) for prompt, _ in prompts}
            parts.append(make_scores(noisy, method, question=question))
    return pd.concat(parts, ignore_index=True), pd.Series(owners)


def halved(scores, documents, splits, seed, top_k=None):
    return split_half([scores], documents, splits, seed, top_k)


def test_halves_of_equal_documents_agree_fully(tmp_path):
    scores, documents = scores_and_documents(methods=("x", "y"), questions=("p", "q"))
    found = halved(scores, documents, splits=3, seed=0)
    assert len(found) == 2 * 2 * 3
    assert found[["jaccard", "rbo", "spearman"]].to_numpy() == pytest.approx(1)
    assert set(found["documents"]) == {DOCUMENTS} and set(found["k"]) == {1}
    tables.write(found, tmp_path / "reliability.parquet", RELIABILITY)


def test_noise_lowers_agreement():
    means = [
        halved(*scores_and_documents(noise=noise), splits=5, seed=0, top_k=5)[["jaccard", "rbo", "spearman"]].mean()
        for noise in (0.1, 1.0, 10.0)
    ]
    assert (means[0] > means[1]).all() and (means[1] > means[2]).all()
    # Noise alone agrees as chance does: 5 of 20 heads share 1.25 on average.
    assert means[2]["jaccard"] < 0.3 and abs(means[2]["spearman"]) < 0.35


def test_a_half_is_half_of_the_documents_with_all_their_prompts():
    scores, documents = scores_and_documents(documents=4, noise=1.0, depths=2)
    found = halved(scores, documents, splits=20, seed=0, top_k=5)
    possible = set()
    names = sorted(set(documents))
    for other in names[1:]:
        half = scores["prompt_id"].map(documents).isin([names[0], other])
        tops = [rank_heads([scores[chosen]]).query("rank <= 5") for chosen in (half, ~half)]
        sets = [set(zip(top["layer"], top["head"], strict=True)) for top in tops]
        possible.add(round(jaccard(*sets), 12))
    assert set(found["jaccard"].round(12)) <= possible
    assert found["jaccard"].nunique() > 1


def test_documents_without_scores_do_not_unbalance_the_halves():
    # Two documents are scored: each half has one of them, in every split, however many others there are.
    scores, documents = scores_and_documents(documents=2)
    others = pd.Series({f"p/{i}/0": f"doc{i}" for i in range(2, 12)})
    found = halved(scores, pd.concat([documents, others]), splits=10, seed=0)
    assert found["split"].tolist() == list(range(10))
    pd.testing.assert_frame_equal(found, halved(scores, documents, splits=10, seed=0))


def test_a_split_is_the_same_for_all_methods_and_questions():
    scores, documents = scores_and_documents(noise=1.0, questions=("p", "q"))
    twice = pd.concat([scores, scores.assign(method="y")], ignore_index=True)
    together = halved(twice, documents, splits=3, seed=0, top_k=5)
    each = [rows.drop(columns="method").reset_index(drop=True) for _, rows in together.groupby("method")]
    pd.testing.assert_frame_equal(*each)
    alone = halved(scores[scores["question"] == "q"], documents, splits=3, seed=0, top_k=5)
    pd.testing.assert_frame_equal(
        each[0][each[0]["question"] == "q"].reset_index(drop=True), alone.drop(columns="method")
    )


def test_the_seed_chooses_the_splits():
    made = scores_and_documents(noise=1.0)
    first, again, other = (halved(*made, splits=4, seed=seed, top_k=5) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first["spearman"].equals(other["spearman"])


def test_where_a_half_has_no_scores_there_is_no_row():
    scores, documents = scores_and_documents(questions=("p", "q"))
    few = (scores["question"] == "p") & ~scores["prompt_id"].str.startswith("p/0/")
    assert set(halved(scores[~few], documents, splits=2, seed=0)["question"]) == {"q"}


def test_nothing_scored_gives_nothing():
    scores, documents = scores_and_documents(documents=1)
    for empty in (halved(scores, documents, 2, 0), halved(scores.iloc[:0], documents, 2, 0)):
        assert empty.empty and list(empty.columns) == RELIABILITY.columns
    assert halved(*scores_and_documents(), splits=0, seed=0).empty


def plainly(scores, documents, splits, seed, k, grid):
    """The same by its definition: the rows of a half are ranked as the rows of a study are."""
    doc, found = scores["prompt_id"].map(documents), []
    names = np.array(sorted(doc.unique()))
    for split in range(splits):
        chosen = generator(seed, "split_half", split).permutation(len(names))[: len(names) // 2]
        first = doc.isin(names[chosen])
        halves = [
            {key: Ranking.of(rows, grid, k) for key, rows in rank_heads([scores[rows]]).groupby(list(DIMENSIONS))}
            for rows in (first, ~first)
        ]
        used = doc.groupby([scores[name] for name in DIMENSIONS]).nunique()
        for key in sorted(halves[0].keys() & halves[1].keys()):
            agreement = halves[0][key].compare(halves[1][key])
            found.append((*key, split, used[key], k, *agreement.values()))
    return pd.DataFrame(found, columns=RELIABILITY.columns)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_ranking_the_rows_of_each_half_gives(seed):
    rng = np.random.default_rng(seed)
    scores, documents = scores_and_documents(
        documents=7, noise=1.0, seed=seed, methods=("y", "x"), questions=("p", "q")
    )
    # Prompts that a method did not score, heads that tie at nothing, in several parts.
    scores = scores[rng.random(len(scores)) < 0.4]
    scores = scores.assign(scores=[np.where(values > 0.5, values, 0) for values in scores["scores"]])
    found = split_half([scores[:7], scores[7:8], scores[8:]], documents, splits=6, seed=seed, top_k=5)
    expected = plainly(scores, documents, 6, seed, 5, Grid(5, 4))
    assert len(found) > 6
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_memory_does_not_grow_with_the_number_of_prompts():
    documents = pd.Series({f"d{number:05d}/hq_state/512/0.5": f"d{number % 10}" for number in range(1000)})
    work = partial(split_half, documents=documents, splits=3, seed=0)
    peak_of(work, parts=1)  # what is imported now is not counted
    assert peak_of(work, parts=16) < 1.2 * peak_of(work, parts=4)

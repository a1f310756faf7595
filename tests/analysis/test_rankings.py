import math
import statistics
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval_heads import tables
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.scores import SCORES


def scores(by_head, method="wu24", question="hq_state", length=512, model="small"):
    """The scores table from (layer, head) → one score a prompt."""
    rows = [
        (model, method, question, length, f"{question}/{length}/{prompt}", layer, head, float(score))
        for (layer, head), values in by_head.items()
        for prompt, score in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=SCORES.columns)


def order(ranking):
    """The heads, those of each place together: ``[{first}, {second, third}, …]``."""
    return [set(heads[["layer", "head"]].itertuples(index=False, name=None)) for _, heads in ranking.groupby("rank")]


def at(ranking, layer, head):
    (row,) = ranking[(ranking["layer"] == layer) & (ranking["head"] == head)].to_dict("records")
    return row


def test_by_hand():
    ranking = rank_heads(scores({(0, 0): [1, 2, 3, 6], (0, 1): [0, 0, 0, 16], (1, 0): [2, 2, 2, 2], (1, 1): [0] * 4}))
    assert ranking.columns.tolist() == RANKINGS.columns
    assert order(ranking) == [{(0, 1)}, {(0, 0)}, {(1, 0)}, {(1, 1)}]
    assert ranking["rank"].tolist() == ranking["last"].tolist() == [1, 2, 3, 4]
    assert ranking["score"].tolist() == [4, 3, 2, 0]
    assert set(ranking["n_samples"]) == {4}
    # The sample's standard deviation: (4 + 1 + 0 + 9) / 3 and (3 × 16 + 144) / 3, square roots.
    assert ranking["score_sd"].tolist() == pytest.approx([8, math.sqrt(14 / 3), 0, 0])


def test_zeros_count():
    ranking = rank_heads(scores({(0, 0): [0, 0, 0, 0.5], (0, 1): [0.25, 0.25, 0.25, 0.25]}))
    assert at(ranking, 0, 0)["score"] == 0.125 and at(ranking, 0, 0)["n_samples"] == 4
    assert order(ranking) == [{(0, 1)}, {(0, 0)}]


def test_one_prompt_has_no_deviation(tmp_path):
    ranking = rank_heads(scores({(0, 0): [1], (0, 1): [2]}))
    assert ranking["score_sd"].isna().all() and set(ranking["n_samples"]) == {1}
    tables.write(ranking, tmp_path / "rankings.parquet", RANKINGS)
    assert tables.read(tmp_path / "rankings.parquet", RANKINGS)["score_sd"].isna().all()


def test_equal_heads_share_their_places():
    by_head = {(layer, head): [0, 0] for layer, head in product((2, 0, 10, 1), (3, 0, 12))}
    by_head[10, 3] = [1, 0]
    by_head[0, 12] = by_head[2, 0] = [0.25, 0.5]
    ranking = rank_heads(scores(by_head))
    assert order(ranking) == [{(10, 3)}, {(0, 12), (2, 0)}, set(by_head) - {(10, 3), (0, 12), (2, 0)}]
    assert ranking["rank"].tolist() == [1, 2.5, 2.5, *[8] * 9]
    assert ranking["last"].tolist() == [1, 3, 3, *[12] * 9]
    # Rows of one place are in an order, so that the same scores give the same file.
    assert ranking[["layer", "head"]].to_numpy().tolist()[1:5] == [[0, 12], [2, 0], [0, 0], [0, 3]]


def test_means_that_differ_by_rounding_alone_are_equal():
    # 0.1 + 0.2 + 0.3 and 0.6 + 0 + 0 differ in their last bit.
    ranking = rank_heads(scores({(0, 0): [0.1, 0.2, 0.3], (0, 1): [0.6, 0, 0], (1, 0): [0.3, 0.3, 0.001]}))
    assert ranking["rank"].tolist() == [1, 2.5, 2.5] and ranking["last"].tolist() == [1, 3, 3]
    assert order(ranking) == [{(1, 0)}, {(0, 0), (0, 1)}]


def test_negative_scores_rank_below_zero():
    ranking = rank_heads(scores({(0, 0): [-1, 0], (0, 1): [0, 0], (1, 0): [-3, 4]}))
    assert order(ranking) == [{(1, 0)}, {(0, 1)}, {(0, 0)}]


def test_every_configuration_has_its_own_ranking():
    parts = [
        scores({(0, 0): [1], (0, 1): [2]}),
        scores({(0, 0): [4, 2], (0, 1): [2, 0]}, method="qrhead"),
        scores({(0, 0): [0], (0, 1): [5]}, question="inc_year"),
        scores({(0, 0): [6], (0, 1): [5]}, length=1024),
        scores({(0, 0): [7], (0, 1): [8], (0, 2): [9]}, model="large"),
    ]
    whole = rank_heads(pd.concat(parts, ignore_index=True))
    assert len(whole) == 11
    configuration = ["model", "method", "question", "context_length"]
    by_part = {key: group for key, group in whole.groupby(configuration)}
    for part in parts:
        alone = rank_heads(part)
        together = by_part[tuple(part[configuration].iloc[0])]
        pd.testing.assert_frame_equal(together.reset_index(drop=True), alone)


def test_a_configuration_without_scores_has_no_ranking(tmp_path):
    # No prompt succeeded for the second question, so wu24 scored none there.
    both = pd.concat([scores({(0, 0): [1]}, method="qrhead", question=q) for q in ("hq_state", "inc_year")])
    ranking = rank_heads(pd.concat([both, scores({(0, 0): [1]})], ignore_index=True))
    present = set(zip(ranking["method"], ranking["question"], strict=True))
    assert present == {("qrhead", "hq_state"), ("qrhead", "inc_year"), ("wu24", "hq_state")}
    tables.write(scores({}), tmp_path / "scores.parquet", SCORES)
    nothing = rank_heads(tables.read(tmp_path / "scores.parquet", SCORES))
    assert nothing.empty and nothing.columns.tolist() == RANKINGS.columns
    tables.write(nothing, tmp_path / "rankings.parquet", RANKINGS)


values = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7, 1e-9, 1 / 3]) | st.floats(-1e3, 1e3)


@given(st.data())
@settings(max_examples=60)
def test_the_order_of_rows_does_not_matter(data):
    prompts = data.draw(st.integers(1, 6))
    lists = st.lists(values, min_size=prompts, max_size=prompts)
    table = pd.concat(
        [
            scores({head: data.draw(lists) for head in product(range(2), range(3))}, method=method)
            for method in ("wu24", "qrhead")
        ],
        ignore_index=True,
    )
    shuffled = table.iloc[data.draw(st.permutations(range(len(table))))]
    pd.testing.assert_frame_equal(rank_heads(shuffled), rank_heads(table), check_exact=True)


@given(st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.lists(values, min_size=2, max_size=2)))
@settings(max_examples=60)
def test_it_is_a_ranking(by_head):
    ranking = rank_heads(scores(by_head))
    assert set().union(*order(ranking)) == set(by_head) and len(ranking) == len(by_head)
    step = 1e-6 * ranking["score"].abs().max()
    assert (np.diff(ranking["score"]) <= step).all()
    before = 0
    for heads in order(ranking):
        places = ranking[ranking[["layer", "head"]].apply(tuple, axis=1).isin(heads)]
        assert set(places["last"]) == {before + len(heads)}
        assert set(places["rank"]) == {before + (1 + len(heads)) / 2}
        assert np.ptp(places["score"]) <= step
        before += len(heads)
    for head, given_scores in by_head.items():
        row = at(ranking, *head)
        assert row["score"] == pytest.approx(statistics.mean(given_scores))
        assert row["score_sd"] == pytest.approx(statistics.stdev(given_scores), abs=1e-9)

import math
import statistics
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_tables import make_scores, peak_of
from retrieval_heads import tables
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.scores import SCORES


def scores(by_head, question="hq_state", context_length=512, variant="plain", **of):
    """The scores table from (layer, head) → one score a prompt, for all heads of a grid."""
    layers, heads = (max(numbers) + 1 for numbers in zip(*by_head, strict=True))
    assert len(by_head) == layers * heads
    by_prompt = np.array([by_head[head] for head in sorted(by_head)], float).T.reshape(-1, layers, heads)
    names = [f"{question}/{context_length}/{prompt:03d}" for prompt in range(len(by_prompt))]
    return make_scores(
        dict(zip(names, by_prompt, strict=True)),
        question=question,
        context_length=context_length,
        variant="plain",
        **of,
    )


def ranked(*parts):
    return rank_heads(parts)


def order(ranking):
    """The heads, those of each place together: ``[{first}, {second, third}, …]``."""
    return [set(heads[["layer", "head"]].itertuples(index=False, name=None)) for _, heads in ranking.groupby("rank")]


def at(ranking, layer, head):
    (row,) = ranking[(ranking["layer"] == layer) & (ranking["head"] == head)].to_dict("records")
    return row


def test_by_hand():
    ranking = ranked(scores({(0, 0): [1, 2, 3, 6], (0, 1): [0, 0, 0, 16], (1, 0): [2, 2, 2, 2], (1, 1): [0] * 4}))
    assert ranking.columns.tolist() == RANKINGS.columns
    assert order(ranking) == [{(0, 1)}, {(0, 0)}, {(1, 0)}, {(1, 1)}]
    assert ranking["rank"].tolist() == ranking["last"].tolist() == [1, 2, 3, 4]
    assert ranking["score"].tolist() == [4, 3, 2, 0]
    assert set(ranking["n_samples"]) == {4}
    # The sample's standard deviation: (4 + 1 + 0 + 9) / 3 and (3 × 16 + 144) / 3, square roots.
    assert ranking["score_sd"].tolist() == pytest.approx([8, math.sqrt(14 / 3), 0, 0])


def test_zeros_count():
    ranking = ranked(scores({(0, 0): [0, 0, 0, 0.5], (0, 1): [0.25, 0.25, 0.25, 0.25]}))
    assert at(ranking, 0, 0)["score"] == 0.125 and at(ranking, 0, 0)["n_samples"] == 4
    assert order(ranking) == [{(0, 1)}, {(0, 0)}]


def test_one_prompt_has_no_deviation(tmp_path):
    ranking = ranked(scores({(0, 0): [1], (0, 1): [2]}))
    assert ranking["score_sd"].isna().all() and set(ranking["n_samples"]) == {1}
    tables.write(ranking, tmp_path / "rankings.parquet", RANKINGS)
    assert tables.read(tmp_path / "rankings.parquet", RANKINGS)["score_sd"].isna().all()


def test_equal_heads_share_their_places():
    by_head = {(layer, head): [0, 0] for layer, head in product(range(4), range(3))}
    by_head[3, 1] = [1, 0]
    by_head[0, 2] = by_head[2, 0] = [0.25, 0.5]
    ranking = ranked(scores(by_head))
    assert order(ranking) == [{(3, 1)}, {(0, 2), (2, 0)}, set(by_head) - {(3, 1), (0, 2), (2, 0)}]
    assert ranking["rank"].tolist() == [1, 2.5, 2.5, *[8] * 9]
    assert ranking["last"].tolist() == [1, 3, 3, *[12] * 9]
    # Rows of one place are in an order, so that the same scores give the same file.
    assert ranking[["layer", "head"]].to_numpy().tolist()[1:5] == [[0, 2], [2, 0], [0, 0], [0, 1]]


def test_means_that_differ_by_rounding_alone_are_equal():
    # 0.1 + 0.2 + 0.3 and 0.6 + 0 + 0 differ in their last bit.
    ranking = ranked(scores({(0, 0): [0.1, 0.2, 0.3], (0, 1): [0.6, 0, 0], (0, 2): [0.3, 0.3, 0.001]}))
    assert ranking["rank"].tolist() == [1, 2.5, 2.5] and ranking["last"].tolist() == [1, 3, 3]
    assert order(ranking) == [{(0, 2)}, {(0, 0), (0, 1)}]


def test_negative_scores_rank_below_zero():
    ranking = ranked(scores({(0, 0): [-1, 0], (0, 1): [0, 0], (0, 2): [-3, 4]}))
    assert order(ranking) == [{(0, 2)}, {(0, 1)}, {(0, 0)}]


def test_every_configuration_has_its_own_ranking():
    parts = [
        scores({(0, 0): [1], (0, 1): [2]}),
        scores({(0, 0): [4, 2], (0, 1): [2, 0]}, method="qrhead"),
        scores({(0, 0): [0], (0, 1): [5]}, question="inc_year"),
        scores({(0, 0): [6], (0, 1): [5]}, context_length=1024, variant="plain"),
        scores({(0, 0): [7], (0, 1): [8], (0, 2): [9]}, model="large"),
    ]
    whole = ranked(pd.concat(parts, ignore_index=True))
    assert len(whole) == 11
    configuration = ["model", "method", "question", "context_length"]
    by_part = {key: group for key, group in whole.groupby(configuration)}
    for part in parts:
        alone = ranked(part)
        together = by_part[tuple(part[configuration].iloc[0])]
        pd.testing.assert_frame_equal(together.reset_index(drop=True), alone)


def test_a_configuration_without_scores_has_no_ranking(tmp_path):
    # No prompt succeeded for the second question, so wu24 scored none there.
    both = pd.concat([scores({(0, 0): [1]}, method="qrhead", question=q) for q in ("hq_state", "inc_year")])
    ranking = ranked(both, scores({(0, 0): [1]}))
    present = set(zip(ranking["method"], ranking["question"], strict=True))
    assert present == {("qrhead", "hq_state"), ("qrhead", "inc_year"), ("wu24", "hq_state")}
    tables.write(make_scores({}), tmp_path / "scores.parquet", SCORES)
    nothing = rank_heads(tables.Stream([tmp_path / "scores.parquet"], SCORES))
    assert nothing.empty and nothing.columns.tolist() == RANKINGS.columns
    tables.write(nothing, tmp_path / "rankings.parquet", RANKINGS)


values = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7, 1e-9, 1 / 3]) | st.floats(-1e3, 1e3, width=32)
grids = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def by_heads(draw):
    """(layer, head) → one score a prompt."""
    prompts, (layers, heads) = draw(st.integers(1, 6)), draw(grids)
    lists = st.lists(values, min_size=prompts, max_size=prompts)
    return {head: draw(lists) for head in product(range(layers), range(heads))}


@pytest.mark.thorough
@given(by_heads(), st.data())
@settings(max_examples=60)
def test_neither_parts_nor_the_order_of_rows_matter(by_head, data):
    table = pd.concat([scores(by_head, method=method) for method in ("wu24", "qrhead")], ignore_index=True)
    whole = ranked(table)
    cut = data.draw(st.integers(0, len(table)))
    pd.testing.assert_frame_equal(ranked(table[:cut], table[cut:]), whole, check_exact=True)
    shuffled = ranked(table.iloc[data.draw(st.permutations(range(len(table))))])
    of_heads = [*DIMENSIONS, "layer", "head"]
    # But for the last bit, by which a score may be rounded to the next step.
    for column, tolerance in (("score", 1e-12), ("score_sd", 1e-7)):
        one, other = (of.set_index(of_heads)[column].sort_index() for of in (shuffled, whole))
        assert one.to_numpy() == pytest.approx(other.to_numpy(), rel=1e-12, abs=tolerance, nan_ok=True)


@given(by_heads())
@settings(max_examples=60)
def test_means_and_deviations_are_those_of_pandas_to_the_last_bit(by_head):
    table = scores(by_head)
    rows = table.explode("scores").astype({"scores": float})
    rows["head"] = rows.groupby("prompt_id").cumcount()
    expected = rows.groupby("head")["scores"].agg(["mean", "count", "std"])
    expected["mean"] += 0.0  # the mean of minus zero is a zero without a sign
    ranking = ranked(table).sort_values(["layer", "head"])[["score", "n_samples", "score_sd"]]
    assert ranking.to_numpy().tobytes() == expected.to_numpy().tobytes()


@given(by_heads())
@settings(max_examples=60)
def test_it_is_a_ranking(by_head):
    ranking = ranked(scores(by_head))
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
        given_scores = np.float32(given_scores).astype(float).tolist()
        assert row["score"] == pytest.approx(statistics.mean(given_scores), abs=1e-12)
        if len(given_scores) > 1:
            assert row["score_sd"] == pytest.approx(statistics.stdev(given_scores), rel=1e-6, abs=1e-9)


def test_memory_does_not_grow_with_the_number_of_prompts():
    peak_of(rank_heads, parts=1)  # what is imported now is not counted
    assert peak_of(rank_heads, parts=16) < 1.2 * peak_of(rank_heads, parts=4)

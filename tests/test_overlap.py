from itertools import combinations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_tables import make_ablation, make_counts, make_rankings, make_study
from retrieval_heads import effects, overlap, tables
from retrieval_heads.analysis import dataset_counts, gaps, leading_heads
from retrieval_heads.errors import StudyError

heads = st.sets(st.integers(0, 9), min_size=1)


def test_jaccard_by_hand():
    assert overlap.jaccard({1, 2, 3}, {2, 3, 4}) == 0.5
    assert overlap.jaccard({1}, {2}) == 0
    assert pd.isna(overlap.jaccard(set(), set()))


@given(heads, heads)
def test_jaccard_is_symmetric_and_one_only_for_equal_sets(a, b):
    assert overlap.jaccard(a, b) == overlap.jaccard(b, a)
    assert 0 <= overlap.jaccard(a, b) <= 1
    assert (overlap.jaccard(a, b) == 1) == (a == b)


@given(st.integers(1, 7), st.data())
def test_expected_jaccard_is_the_mean_over_all_pairs_of_sets(n, data):
    a, b = data.draw(st.integers(1, n)), data.draw(st.integers(1, n))
    every = [overlap.jaccard(x, y) for x in combinations(range(n), a) for y in combinations(range(n), b)]
    assert overlap.expected_jaccard(n, a, b) == pytest.approx(sum(every) / len(every))


def test_chance_of_sharing_by_hand():
    assert overlap.chance_of_sharing(4, 2, 2, 2) == pytest.approx(1 / 6)
    assert overlap.chance_of_sharing(4, 2, 2, 0) == 1


@pytest.mark.parametrize(("model_heads", "k"), [(1024, 50), (270, 13), (4, 1), (1, 1)])
def test_default_size_of_a_top_set(model_heads, k):
    assert overlap.top_k_for(model_heads) == k


def test_too_large_a_top_set_is_refused():
    with pytest.raises(StudyError, match=r"analysis\.top_k: 9 is more than the 8 heads"):
        overlap.top_k_for(8, 9)


def test_pairs_differ_in_exactly_one_dimension():
    study = make_study(models=("a", "b"), lengths=(1, 2, 3))
    pairs = overlap.pairwise(make_rankings(study))
    assert pairs["dimension"].value_counts().to_dict() == {
        "model": 3 * 4 * 3,
        "method": 2 * 3 * 4 * 3,
        "question": 2 * 3 * 6 * 3,
        "context_length": 2 * 3 * 4 * 3,
    }
    for dimension, rows in pairs.groupby("dimension"):
        assert rows[dimension].isna().all()
        assert rows.drop(columns=dimension).notna().all(axis=None)


def test_values_by_hand(tmp_path):
    rows = [
        ("m", method, "q", 8, 0, head, 1.0, rank, 3, None)
        for method, order in (("x", [0, 1, 2, 3]), ("y", [1, 3, 0, 2]))
        for rank, head in enumerate(order, start=1)
    ]
    pairs = overlap.pairwise(pd.DataFrame(rows, columns=tables.RANKINGS.columns), top_k=2)
    tables.write(pairs, tmp_path / "overlap.parquet", tables.OVERLAP)
    (row,) = tables.read(tmp_path / "overlap.parquet", tables.OVERLAP).to_dict("records")
    assert (row["dimension"], row["a"], row["b"], row["k"]) == ("method", "x", "y", 2)
    assert row["jaccard"] == pytest.approx(1 / 3)
    assert row["chance"] == pytest.approx((4 * (1 / 3) + 1) / 6)


def test_models_with_other_grids_are_not_compared():
    rankings = pd.concat(
        [make_rankings(make_study(models=("a",)), 6, 4), make_rankings(make_study(models=("b",)), 3, 8)]
    )
    assert "model" not in set(overlap.pairwise(rankings)["dimension"])
    assert overlap.incomparable_models(rankings) == [("a", "b")]


def test_one_configuration_has_no_pairs():
    study = make_study(methods=("wu24",), questions=("hq_state",), lengths=(8,))
    pairs = overlap.pairwise(make_rankings(study))
    assert pairs.empty and list(pairs.columns) == tables.OVERLAP.columns


def test_significance_matches_the_sets_behind_a_pair():
    study = make_study()
    rankings = make_rankings(study, 10, 8)
    pairs = overlap.pairwise(rankings)
    row = pairs.iloc[0]
    same = (rankings["question"] == row["question"]) & (rankings["context_length"] == row["context_length"])
    a, b = (
        set(
            rankings[same & (rankings["method"] == row[end]) & (rankings["rank"] <= 4)][["layer", "head"]].itertuples(
                index=False
            )
        )
        for end in "ab"
    )
    expected = overlap.chance_of_sharing(80, 4, 4, len(a & b))
    assert overlap.significance(pairs, rankings).iloc[0] == pytest.approx(expected)


def test_significance_where_a_ranking_lists_few_heads():
    rankings = make_rankings(make_study(lengths=(512,)), 10, 8)
    short = rankings[(rankings["method"] != "wu24") | (rankings["rank"] <= 2)]
    pairs = overlap.pairwise(short)
    assert overlap.significance(pairs, short).between(0, 1).all()
    assert pairs.loc[pairs["method"] == "wu24", "chance"].max() < pairs.loc[pairs["method"] == "qrhead", "chance"].min()


def test_leading_heads_prefer_what_more_questions_share():
    rows = [
        ("m", "x", question, 8, 0, head, 1.0, rank, 3, None)
        for question, order in (("p", [0, 1, 2, 3]), ("q", [3, 1, 0, 2]))
        for rank, head in enumerate(order, start=1)
    ]
    leading = leading_heads(pd.DataFrame(rows, columns=tables.RANKINGS.columns), top_k=2)
    assert leading["head"].tolist() == [1, 0, 3]
    assert leading["share"].tolist() == [1.0, 0.5, 0.5]


def test_dataset_counts():
    prompts = pd.DataFrame(
        {"model": "m", "question": ["q", "q", "q"], "context_length": 8, "split": "test", "status": ["ok", "ok", "cut"]}
    )
    counts = dataset_counts([prompts.iloc[:1], prompts.iloc[1:]])
    assert dict(zip(counts["status"], counts["prompts"], strict=True)) == {"ok": 2, "cut": 1}
    assert set(make_counts(make_study()).columns) == set(tables.DATASET_COUNTS.columns)


def test_gaps_are_named():
    study = make_study(models=("a",))
    rankings, ablation = make_rankings(study), make_ablation(study, documents=1)
    summary = effects.summarise(ablation)
    assert gaps(study, rankings, summary) == []
    hole = (rankings["method"] == "qrhead") & (rankings["question"] == "inc_year") & (rankings["context_length"] == 512)
    few = (rankings["method"] == "wu24") & (rankings["rank"] > 20)
    assert gaps(study, rankings[~hole & ~few], summary[summary["question"] != "hq_state"]) == [
        "QRHead ranked no heads for year of incorporation at 512 tokens in a.",
        "Wu24 lists only 20 of the 24 heads of a.",
    ]

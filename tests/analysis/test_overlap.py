import numpy as np
import pandas as pd
import pytest

from made_tables import make_ablation, make_counts, make_rankings, make_study
from retrieval_heads import tables
from retrieval_heads.analysis import overlap
from retrieval_heads.analysis.coverage import dataset_counts, gaps, leading_heads, twin_counts
from retrieval_heads.analysis.outcomes import summarise
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.errors import StudyError
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.dataset_counts import DATASET_COUNTS
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.overlap import OVERLAP
from retrieval_heads.tables.rankings import RANKINGS
from retrieval_heads.tables.unions import UNIONS


@pytest.mark.parametrize(("model_heads", "k"), [(1024, 50), (270, 13), (4, 1), (1, 1)])
def test_default_size_of_a_top_set(model_heads, k):
    assert top_k_for(model_heads) == k


def test_too_large_a_top_set_is_refused():
    with pytest.raises(StudyError, match=r"analysis\.top_k: 9 is more than the 8 heads"):
        top_k_for(8, 9)


def test_models_of_unequal_size_are_told_with_their_heads():
    small, large, other = (make_rankings(make_study(models=(name,)), 6, 4 + at) for at, name in enumerate("abc"))
    assert overlap.unequal_totals(small) == {}
    assert overlap.unequal_totals(pd.concat([small, large])) == {"a": 24, "b": 30}
    assert overlap.unequal_totals(pd.concat([small, large, other])) == {"a": 24, "b": 30, "c": 36}


def test_summaries_come_in_the_order_of_what_they_are_about():
    pairs = overlap.pairwise(make_rankings(make_study(models=("b", "a"))))
    pairs = pd.concat([pairs[pairs["dimension"] == name] for name in ("question", "method", "model")])
    assert overlap.summarise(pairs, ["dimension"])["dimension"].tolist() == ["question", "method", "model"]
    # Pairs of models have no model in common; they are summarised all the same.
    of_models = overlap.summarise(pairs, ["dimension", "model"])
    assert of_models.loc[of_models["model"].isna(), "dimension"].tolist() == ["model"]


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
        ("m", method, "q", 8, "plain", 0, head, 1.0 / rank, rank, rank, 3, None)
        for method, order in (("x", [0, 1, 2, 3]), ("y", [1, 3, 0, 2]))
        for rank, head in enumerate(order, start=1)
    ]
    pairs = overlap.pairwise(pd.DataFrame(rows, columns=RANKINGS.columns), top_k=2)
    tables.write(pairs, tmp_path / "overlap.parquet", OVERLAP)
    (row,) = tables.read(tmp_path / "overlap.parquet", OVERLAP).to_dict("records")
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
    assert pairs.empty and list(pairs.columns) == OVERLAP.columns


def ranking(method, order, **names):
    """A ranking of heads in layer 0, best first."""
    at = {"model": "m", "question": "q", "context_length": 8, "variant": "plain", **names}
    rows = [
        {**at, "method": method, "layer": 0, "head": head, "score": -rank, "rank": rank, "last": rank, "n_samples": 3}
        for rank, head in enumerate(order, start=1)
    ]
    return pd.DataFrame(rows).assign(score_sd=0.1)[RANKINGS.columns]


def rankings_of(**orders):
    return pd.concat([ranking(method, order) for method, order in orders.items()], ignore_index=True)


class TestPairsByHand:
    def test_p_is_the_chance_that_random_sets_share_so_many(self):
        (row,) = overlap.pairwise(rankings_of(x=[0, 1, 2, 3], y=[1, 0, 3, 2]), top_k=2).to_dict("records")
        assert row["jaccard"] == 1
        assert row["p"] == pytest.approx(1 / 6)  # one of the six sets of two

    def test_rank_biased_overlap_gives_the_first_k_places_most_weight(self):
        (row,) = overlap.pairwise(rankings_of(x=[0, 1, 2, 3], y=[1, 0, 3, 2]), top_k=2).to_dict("records")
        # k = 2: persistence 1/2, weights 1/2, 1/4, 1/8 and the rest; agreement 0, 1, 2/3, 1, 1, …
        assert row["rbo"] == pytest.approx(1 / 4 + 1 / 8 * 2 / 3 + 1 / 8)
        # By chance d² / 4 of the first d.
        assert row["rbo_chance"] == pytest.approx(1 / 2 * 1 / 4 + 1 / 4 * 2 / 4 + 1 / 8 * 3 / 4 + 1 / 8)
        assert overlap.persistence_for(50) == pytest.approx(0.98)
        assert 0 < overlap.persistence_for(1) < 1

    def test_spearman_with_heads_that_are_not_listed(self):
        rankings = rankings_of(x=[0, 1, 2, 3], y=[1, 0])
        (row,) = overlap.pairwise(rankings, top_k=2).to_dict("records")
        # Heads 2 and 3 share rank 3.5 in y.
        assert row["spearman"] == pytest.approx(np.corrcoef([1, 2, 3, 4], [2, 1, 3.5, 3.5])[0, 1])

    def test_a_ranking_with_fewer_heads_than_k_has_its_own_chance_level(self):
        (row,) = overlap.pairwise(rankings_of(x=[0, 1, 2, 3], y=[1]), top_k=2).to_dict("records")
        assert row["k"] == 2 and row["jaccard"] == 1 / 2
        assert row["chance"] == pytest.approx(1 / 2 * 1 / 2)  # head 1 is in a random pair half of the time
        assert row["p"] == pytest.approx(1 / 2)
        assert (row["size_a"], row["size_b"]) == (2, 1)
        # y's others share places 2 to 4: of the first 1, 2, 3, 4 both have 0, 4/3, 7/3, 4; persistence 1/2.
        assert row["rbo"] == pytest.approx(1 / 4 * 2 / 3 + 1 / 8 * 7 / 9 + 1 / 8)
        assert row["rbo_chance"] == pytest.approx(1 / 2 * 1 / 4 + 1 / 4 * 2 / 4 + 1 / 8 * 3 / 4 + 1 / 8)

    def test_a_top_set_ends_before_heads_that_tie_beyond_it(self):
        rankings = placed(
            pd.concat(
                [
                    ranking("x", [0, 1, 2, 3, 4]).assign(score=[9, 5, 5, 5, 0]),
                    ranking("y", [0, 1, 2, 3, 4]).assign(score=[9, 8, 7, 0, 0]),
                    ranking("z", [0, 1, 2, 3, 4]).assign(score=0),
                ]
            )
        )
        assert overlap.top_heads(rankings, 3).groupby("method").size().to_dict() == {"x": 1, "y": 3}
        assert set(overlap.top_heads(rankings, 3)["k"]) == {3}
        pairs = overlap.pairwise(rankings, top_k=3).set_index(["a", "b"])
        assert pairs.loc[("x", "y"), ["size_a", "size_b", "jaccard"]].tolist() == [1, 3, 1 / 3]
        # A set of three holds head 0 in three of five cases.
        assert pairs.loc[("x", "y"), ["chance", "p"]].tolist() == pytest.approx([1 / 5, 3 / 5])
        for pair in (("x", "z"), ("y", "z")):
            assert pairs.loc[pair, "size_b"] == 0
            assert pairs.loc[pair, ["jaccard", "chance", "p", "spearman"]].isna().all()
            # What ties wholly could be in any order: it agrees as chance does.
            assert pairs.loc[pair, "rbo"] == pytest.approx(pairs.loc[pair, "rbo_chance"])
        four = overlap.pairwise(rankings, top_k=4).set_index(["a", "b"])
        assert four.loc[("x", "y"), ["size_a", "size_b"]].tolist() == [4, 3]

    def test_independent_rankings_agree_as_by_chance(self):
        pairs = overlap.pairwise(make_rankings(make_study(lengths=(1, 2, 3)), 12, 10, shared=0.0))
        summary = overlap.summarise(pairs.assign(every="all"), ["every"]).iloc[0]
        assert summary["jaccard"] == pytest.approx(summary["chance"], abs=0.02)
        assert summary["rbo"] == pytest.approx(summary["rbo_chance"], abs=0.02)
        assert summary["spearman"] == pytest.approx(0, abs=0.02)
        assert (pairs["p"] < 0.05).mean() < 0.1


def test_summary_by_hand():
    pairs = overlap.pairwise(
        pd.concat(
            [ranking("x", [0, 1, 2, 3]), ranking("y", [0, 1, 3, 2]), ranking("z", [3, 2, 1, 0])], ignore_index=True
        ),
        top_k=2,
    )
    (row,) = overlap.summarise(pairs, ["dimension"]).to_dict("records")
    assert row["pairs"] == 3 and (row["lowest"], row["highest"]) == (0, 1)
    assert row["jaccard"] == pytest.approx(1 / 3)
    assert row["sd"] == pytest.approx(np.std([1, 0, 0]))


class TestUnions:
    def test_what_tells_no_head_apart_has_none(self):
        orders = {"p": [0, 1, 2, 3], "q": [1, 0, 2, 3], "r": [2, 0, 1, 3]}
        rankings = pd.concat([ranking("x", order, question=question) for question, order in orders.items()])
        rankings.loc[rankings["question"] == "r", "score"] = 0
        found = overlap.unions(placed(rankings), dict.fromkeys(orders, "one"), top_k=1)
        assert found[["dimension", "a", "b", "jaccard"]].to_numpy().tolist() == [["question", "p", "q", 0]]

    def test_by_hand(self):
        rankings = pd.concat(
            [
                ranking("x", [0, 1, 2, 3], question="p"),
                ranking("x", [1, 2, 3, 0], question="q"),
                ranking("y", [3, 2, 1, 0], question="p"),
                ranking("y", [3, 2, 0, 1], question="q"),
            ],
            ignore_index=True,
        )
        found = overlap.unions(rankings, {"p": "one", "q": "other"}, top_k=2).set_index("dimension")
        method, question = found.loc["method"], found.loc["question"]
        assert (method["a"], method["b"], Grid.of(method), method["k"]) == ("x", "y", (1, 4), 2)
        # x names 0, 1, 2 and y names 2, 3; question p names all four, q names 1, 2, 3.
        assert (method["heads_a"], method["heads_b"], method["jaccard"]) == (3, 2, 1 / 4)
        assert (question["heads_a"], question["heads_b"], question["jaccard"]) == (4, 3, 3 / 4)
        assert found.loc["category", "jaccard"] == 3 / 4
        # Three of four and two of four share one head or two, half of the time each.
        assert method["chance"] == pytest.approx((1 / 4 + 2 / 3) / 2)

    def test_categories_join_all_their_questions(self):
        rankings = pd.concat(
            [ranking("x", [head, 9], question=question) for question, head in zip("abc", range(3), strict=True)]
        )
        found = overlap.unions(rankings, {"a": "one", "b": "one", "c": "other"}, top_k=2)
        (row,) = found[found["dimension"] == "category"].to_dict("records")
        assert (row["heads_a"], row["heads_b"]) == (3, 2)

    def test_models_are_joined_only_where_their_grids_are_equal(self, tmp_path):
        rankings = pd.concat(
            [make_rankings(make_study(models=("a", "c")), 6, 4), make_rankings(make_study(models=("b",)), 3, 8)]
        )
        found = overlap.unions(rankings, make_study().categories)
        assert set(found.groupby(["layers", "heads"]).groups) == {(6, 4), (3, 8)}
        assert (
            found.groupby(["layers", "heads"])["dimension"].value_counts().unstack().to_dict("records")
            == [{"category": 1, "method": 3, "question": 6}] * 2
        )
        tables.write(found, tmp_path / "unions.parquet", UNIONS)


def test_a_table_with_holes_fits_its_schema(tmp_path):
    rankings = make_rankings(make_study(models=("a", "b"), lengths=(512, 1024)), 10, 8)
    hole = (rankings["method"] == "wu24") & (rankings["model"] == "b")
    short = (rankings["method"] == "wu24") & (rankings["rank"] > 2)
    pairs = overlap.pairwise(rankings[~hole & ~short])
    tables.write(pairs, tmp_path / "overlap.parquet", OVERLAP)
    assert set(pairs.loc[pairs["method"] == "wu24", "dimension"]) == {"question", "context_length"}
    assert overlap.pairwise(rankings.iloc[:0]).empty and overlap.unions(rankings.iloc[:0], {}).empty


def test_leading_heads_prefer_what_more_questions_share():
    rows = [
        ("m", "x", question, 8, "plain", 0, head, 1.0 / rank, rank, rank, 3, None)
        for question, order in (("p", [0, 1, 2, 3]), ("q", [3, 1, 0, 2]))
        for rank, head in enumerate(order, start=1)
    ]
    leading = leading_heads(pd.DataFrame(rows, columns=RANKINGS.columns), top_k=2)
    assert leading["head"].tolist() == [1, 0, 3]
    assert leading["share"].tolist() == [1.0, 0.5, 0.5]
    assert leading["last"].tolist() == [1, 3, 3]  # heads 0 and 3 were the first of one question each


def test_dataset_counts():
    prompts = pd.DataFrame(
        {
            "model": "m",
            "question": ["q", "q", "q"],
            "context_length": 8,
            "variant": "plain",
            "split": "test",
            "status": ["ok", "ok", "cut"],
            "twin_status": ["ok", "too long", None],
        }
    )
    parts = [prompts.iloc[:1], prompts.iloc[1:]]
    counts = dataset_counts(parts)
    assert dict(zip(counts["status"], counts["prompts"], strict=True)) == {"ok": 2, "cut": 1}
    assert twin_counts(counts).empty
    counts = dataset_counts(parts, twins=True)
    assert counts.groupby("status")["prompts"].sum().to_dict() == {"ok": 2, "cut": 1}
    assert twin_counts(counts).to_dict() == {"ok": 1, "too long": 1}
    assert set(make_counts(make_study()).columns) == set(DATASET_COUNTS.columns)


def test_gaps_are_named():
    study = make_study(models=("a",))
    rankings, ablation = make_rankings(study), make_ablation(study, documents=1)
    summary = summarise(ablation)
    assert gaps(study, rankings, summary) == []
    hole = (rankings["method"] == "qrhead") & (rankings["question"] == "inc_year") & (rankings["context_length"] == 512)
    few = (rankings["method"] == "wu24") & (rankings["rank"] > 20)
    found = gaps(study, rankings[~hole & ~few], summary[summary["question"] != "hq_state"])
    assert found[0] == "QRHead ranked no heads for year of incorporation at 512 tokens in a."
    assert found[-1] == "Wu24 lists only 20 of the 24 heads of a."
    assert "Wu24 was not ablated for headquarters state at any length in a." in found
    assert len(found) == 2 + 3  # three methods were not ablated for a question
    wu24 = summary["method"] == "wu24"
    assert gaps(study, rankings, summary[~wu24]) == ["Wu24 was not ablated in a."]
    alone = wu24 & (summary["source"] == "random") & (summary["context_length"] == 512)
    assert gaps(study, rankings, summary[~alone | (summary["question"] != "inc_year")]) == [
        "No random heads were ablated beside those of Wu24 for year of incorporation at 512 tokens in a."
    ]
    missing = (
        (summary["source"] == "baseline") & (summary["question"] == "hq_state") & (summary["context_length"] == 512)
    )
    assert gaps(study, rankings, summary[~missing]) == [
        "There is no unablated baseline for headquarters state at 512 tokens in a."
    ]

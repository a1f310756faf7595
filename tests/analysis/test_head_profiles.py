import numpy as np
import pandas as pd
import pytest

from made_tables import make_rankings, make_study
from retrieval_heads import tables
from retrieval_heads.analysis import head_profiles, overlap
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.profiles import PROFILES
from retrieval_heads.tables.rankings import RANKINGS


def rankings_of(orders):
    """(model, method, question, length) → heads of layer 0, best first; as a rankings table."""
    rows = [
        (*configuration, "plain", 0, head, -float(rank), rank, rank, 3, 0.1)
        for configuration, order in orders.items()
        for rank, head in enumerate(order, start=1)
    ]
    return pd.DataFrame(rows, columns=RANKINGS.columns)


# Head 3 is for question r alone; y and x agree on head 0.
BY_HAND = rankings_of(
    {
        ("m", "x", "p", 8): [0, 1, 2, 3],
        ("m", "x", "q", 8): [1, 0, 2, 3],
        ("m", "x", "r", 8): [3, 0, 2, 1],
        ("n", "x", "p", 8): [0, 2, 1, 3],
        ("m", "y", "p", 8): [2, 0],
        ("m", "y", "q", 8): [0, 1, 2, 3],
    }
)


@pytest.fixture(scope="module")
def heads():
    return head_profiles.profile_heads(BY_HAND, 2)


def one(frame, **values):
    for name, value in values.items():
        frame = frame[frame[name] == value]
    (row,) = frame.to_dict("records")
    return row


class TestProfile:
    def test_over_all_configurations_by_hand(self, heads):
        row = one(head_profiles.select(heads), method="x", head=1)  # ranks 2, 1, 4, 3
        assert (Grid.of(row), row["value"]) == ((1, 4), "all")
        assert row["mean_rank"] == 2.5 and row["sd_rank"] == pytest.approx(np.std([2, 1, 4, 3]))
        assert (row["best_rank"], row["worst_rank"]) == (1, 4)
        assert (row["top_share"], row["listed"], row["configurations"]) == (2 / 4, 4, 4)

    def test_of_a_value_by_hand(self, heads):
        row = one(head_profiles.select(heads, "question", value="p"), method="x", head=1)  # ranks 2 in m, 3 in n
        assert (row["mean_rank"], row["top_share"], row["configurations"]) == (2.5, 1 / 2, 2)
        assert one(head_profiles.select(heads, "context_length", value="8"), method="x", head=1)["mean_rank"] == 2.5

    def test_a_head_that_is_not_listed_ties_last(self, heads):
        row = one(head_profiles.select(heads), method="y", head=3)  # with head 1 at ranks 3 and 4 in p, fourth in q
        assert (row["mean_rank"], row["listed"], row["configurations"], row["top_share"]) == (3.75, 1, 2, 0)
        assert (row["best_rank"], row["worst_rank"], row["sd_rank"]) == (3.5, 4, 0.25)

    def test_chance_is_that_of_the_sizes_that_ties_leave(self):
        tied = rankings_of({("m", "x", "p", 8): [0, 1, 2, 3], ("m", "x", "q", 8): [0, 1, 2, 3]})
        tied.loc[5:7, ["rank", "last"]] = [3, 4]
        found = head_profiles.select(head_profiles.profile_heads(tied, 2))
        assert found["top_share"].tolist() == [1, 0.5, 0, 0]
        assert found["top_chance"].tolist() == [3 / 8] * 4

    def test_every_head_has_a_profile_of_every_slice(self):
        study = make_study(models=("a", "b"))
        found = head_profiles.profile_heads(make_rankings(study))
        sizes = found[found["method"] == "wu24"].groupby("dimension").size().to_dict()
        assert sizes == {"all": 24, "model": 48, "question": 96, "context_length": 48}
        shares = head_profiles.select(found).groupby("method")["top_share"].sum()
        assert shares.tolist() == pytest.approx([1.0] * 3)  # top sets of one head

    def test_models_of_other_grids_stand_apart_whatever_the_index(self, tmp_path):
        rankings = pd.concat(
            [make_rankings(make_study(models=("a",)), 6, 4), make_rankings(make_study(models=("b",)), 3, 8)]
        )
        found = head_profiles.profile_heads(rankings, 2)
        tables.write(found, tmp_path / "profiles.parquet", PROFILES)
        assert head_profiles.select(found).groupby(["layers", "heads"])["configurations"].unique().map(
            list
        ).to_dict() == {
            (3, 8): [8],
            (6, 4): [8],
        }
        shares = head_profiles.select(found).groupby(["layers", "heads", "method"])["top_share"].sum()
        assert shares.tolist() == pytest.approx([2.0] * 6)

    def test_nothing_gives_nothing(self):
        assert list(head_profiles.profile_heads(BY_HAND.iloc[:0]).columns) == PROFILES.columns


class TestConsensus:
    def test_by_hand(self, heads):
        # Mean ranks in x: 1.5, 2.5, 2.75, 3.25; in y: 1.5, 2.75, 2, 3.75.
        found = head_profiles.consensus(head_profiles.select(heads), 3)
        assert found.index.tolist() == [(0, 0), (0, 1), (0, 2)]  # by the worse of the two
        assert found.loc[(0, 2)].to_dict() == {"x": 2.75, "y": 2}
        assert head_profiles.consensus(head_profiles.select(heads), 2).index.tolist() == [(0, 0)]
        assert head_profiles.consensus(head_profiles.select(heads).iloc[:0], 3).empty

    def test_a_head_that_a_method_never_lists_is_out(self):
        found = head_profiles.profile_heads(rankings_of({("m", "x", "p", 8): [0, 1], ("m", "y", "p", 8): [1]}))
        assert head_profiles.consensus(found[found["dimension"] == "all"], 5).index.tolist() == [(0, 1)]


class TestSpecialists:
    def test_by_hand(self, heads):
        rows = head_profiles.select(heads, "question", method="x")
        found = head_profiles.specialists(rows, k=2, beyond=3)
        assert found.reset_index().to_dict("records") == [
            {"layer": 0, "head": 3, "question": "r", "rank": 1, "others": 4},  # of equal ranks, the one further off
            {"layer": 0, "head": 1, "question": "q", "rank": 1, "others": (2.5 + 4) / 2},
        ]
        assert head_profiles.specialists(rows, k=1, beyond=3).empty  # below k, not at it
        assert head_profiles.specialists(rows, k=2, beyond=4).empty

    def test_one_question_or_none_has_no_specialists(self, heads):
        rows = head_profiles.select(heads, "question", method="x")
        assert head_profiles.specialists(rows[rows["value"] == "p"], 4, 0).empty
        assert head_profiles.specialists(rows.iloc[:0], 4, 0).empty

    def test_a_head_that_is_listed_for_one_question_ties_last_for_the_others(self):
        apart = rankings_of({("m", "x", "p", 8): [0], ("m", "x", "q", 8): [1]})
        found = head_profiles.specialists(head_profiles.select(head_profiles.profile_heads(apart), "question"), 2, 1)
        assert found.to_dict("records") == [
            {"question": "p", "rank": 1, "others": 2},
            {"question": "q", "rank": 1, "others": 2},
        ]


class TestDifferences:
    def test_by_hand(self, heads):
        found = head_profiles.differences(head_profiles.select(heads, "model", method="x"), "m", "n", within=2, most=4)
        # In m 5/3, 7/3, 3, 8/3 and in n 1, 3, 2, 4; heads 1 and 3 are above rank 2 in both.
        assert found.index.tolist() == [(0, 2), (0, 0)]
        assert found["difference"].tolist() == pytest.approx([-1, -2 / 3])
        assert found.loc[(0, 2), ["rank_a", "rank_b"]].tolist() == [3, 2]


class TestOrder:
    def test_volatile_heads_are_in_half_of_the_rankings_at_least(self):
        made = head_profiles.profile_heads(
            rankings_of(
                {
                    ("m", "x", q, 8): [*map(int, order)]
                    for q, order in zip("pqrs", ["0123", "1023", "012", "102"], strict=True)
                }
            )
        )
        rows = head_profiles.select(made)
        assert sorted(head_profiles.volatile(rows, 4)["head"]) == [0, 1, 2, 3]
        assert sorted(head_profiles.volatile(rows.assign(listed=rows["listed"] - 1), 4)["head"]) == [0, 1, 2]

    def test_universal_heads_by_hand(self, heads):
        found = head_profiles.universal(head_profiles.select(heads, method="x"), 4)
        # In the top two of x: head 0 four times, 1 twice, 2 and 3 once; 2 has the better mean rank.
        assert found["head"].tolist() == [0, 1, 2, 3]
        assert found["top_share"].tolist() == [1, 1 / 2, 1 / 4, 1 / 4]

    def test_heads_that_tie_are_shown_together_or_not_at_all(self, heads):
        rows = head_profiles.select(heads, method="x").assign(top_share=[1, 0.5, 0.5, 0], mean_rank=[1, 2.5, 2.5, 4])
        assert head_profiles.universal(rows, 2)["head"].tolist() == [0]
        assert head_profiles.universal(rows, 3)["head"].tolist() == [0, 1, 2]
        assert head_profiles.universal(rows, 4)["head"].tolist() == [0, 1, 2]  # head 3 is in no top set


def test_shares_of_top_sets_are_those_of_the_rankings():
    rankings = make_rankings(make_study(models=("a", "b")), 8, 8)
    found = head_profiles.select(head_profiles.profile_heads(rankings, 5)).set_index(["method", "layer", "head"])[
        "top_share"
    ]
    times = overlap.top_heads(rankings, 5).groupby(["method", "layer", "head"]).size() / 16
    pd.testing.assert_series_equal(found[found > 0].sort_index(), times.sort_index(), check_names=False)

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from made_tables import make_rankings, make_study
from retrieval_heads import figures
from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.analysis.shared_heads import sharing
from retrieval_heads.figures import (
    _head_lists,
    _layout,
    consensus_heads,
    head_volatility,
    instruct_vs_base_differences,
    method_disagreement,
    method_unique_heads,
    q4_head_patterns,
    question_specialists,
    universal_heads,
    universal_heads_by_method,
)
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables.heads import head_name

NAMES = [
    "consensus_heads",
    "head_volatility",
    "instruct_vs_base_differences",
    "layer_distribution_by_method",
    "method_disagreement",
    "method_unique_heads",
    "q4_head_patterns",
    "question_specialists",
    "universal_heads",
    "universal_heads_by_method",
]
SETS = {"x": frozenset("abcd"), "y": frozenset("bc"), "z": frozenset("ce")}
STUDY = make_study(models=("a", "b"), consensus_k=30, top_k=8, specialist_k=25)


def tables_for(study, rankings):
    return {"rankings": rankings, "profiles": head_profiles.profile_heads(rankings, study.top_k)}


@cache
def made():
    return tables_for(STUDY, make_rankings(STUDY, layers=8, heads=6))


def ranked(orders, layers=2, heads=4, **more):
    """Rankings from (model, method, question, length) → heads' places (layer × heads + head), the first first."""
    rows = [
        (*configuration, "plain", place // heads, place % heads, -float(rank), 5, 0.1)
        for configuration, order in orders.items()
        for rank, place in enumerate(order, start=1)
    ]
    columns = [*DIMENSIONS, "layer", "head", "score", "n_samples", "score_sd"]
    return placed(pd.DataFrame(rows, columns=columns))


def names_of(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


def dots(ax, label):
    """Values of a series by the head's name."""
    line = next(line for line in ax.lines if line.get_label() == label)
    return dict(zip(names_of(ax), line.get_xdata(), strict=True))


def shown(figure):
    return [text.get_text().replace("\n", " ") for text in figure.texts]


def mean_rank(table, layer, head, dimension="all", **values):
    rows = head_profiles.select(table, dimension, layer=layer, head=head, **values)
    assert len(rows) == 1
    return rows["mean_rank"].iloc[0]


def test_all_of_them_are_declared_with_a_caption_each():
    declared = figures.declarations()
    assert set(NAMES) <= set(declared)
    assert all(set(declared[name].tables) <= {"rankings", "profiles"} for name in NAMES)


class TestConsensus:
    def test_agreed_heads_stand_above_the_nearest_misses(self):
        figure = consensus_heads.draw(made(), STUDY)
        rows = head_profiles.select(made()["profiles"])
        ranks = head_profiles.mean_ranks(rows, "method").max(axis=1).sort_values(kind="stable")
        agreed, missed = ranks[ranks < 30], ranks[ranks >= 30]
        for ax, heads, room in ((figure.axes[0], agreed, 20), (figure.axes[1], missed, 8)):
            # Heads whose worst rank is the same come together or not at all.
            told = [head for head, worst in heads.items() if (heads <= worst + 1e-9).sum() <= room]
            assert names_of(ax) == [head_name(*head) for head in told] and told
        assert figure.axes[0].get_title(loc="left").startswith(f"{len(agreed)} heads below rank 30 with every method")

    def test_dots_are_mean_ranks_and_lines_ranges(self):
        figure = consensus_heads.draw(made(), STUDY)
        ax, table = figure.axes[0], made()["profiles"]
        layer, head = map(int, names_of(ax)[0][1:].split("H"))
        for label, method in (("Wu24", "wu24"), ("QRHead", "qrhead")):
            assert dots(ax, label)[names_of(ax)[0]] == mean_rank(table, layer, head, method=method)
        row = head_profiles.select(table, method="summed_attention", layer=layer, head=head).iloc[0]
        (start, end) = ax.collections[0].get_segments()[0]
        assert (start[0], end[0]) == (row["best_rank"], row["worst_rank"])

    def test_where_none_agree_the_title_says_so(self):
        study = make_study(models=("a", "b"), consensus_k=1)
        figure = consensus_heads.draw(made(), study)
        (ax,) = figure.axes
        assert ax.get_title(loc="left") == "No heads below rank 1 with every method; nearest misses"
        assert len(names_of(ax)) == 8

    def test_a_head_that_a_method_does_not_list_is_left_out_and_a_rare_one_is_hollow(self):
        whole, part = range(8), range(4)
        rankings = ranked(
            {
                ("small", "wu24", "hq_state", 512): part,
                **{("small", "wu24", "hq_state", length): [0, 1] for length in (1024, 2048)},
                ("small", "qrhead", "hq_state", 512): whole,
            }
        )
        figure = consensus_heads.draw(tables_for(make_study(consensus_k=8), rankings), make_study(consensus_k=8))
        assert names_of(figure.axes[0]) == ["L0H0", "L0H1", "L0H2", "L0H3"]
        assert np.isnan(dots(figure.axes[0], "Wu24")["L0H2"])
        assert not np.isnan(dots(figure.axes[0], "QRHead")["L0H2"])
        hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
        # Third in one ranking; in the two others it ties last with five heads, from place 3 to 8.
        assert any(np.isclose(line.get_xdata(), (3 + 2 * 5.5) / 3).any() for line in hollow)
        assert _head_lists.RARE in [text.get_text() for text in figure.legends[0].get_texts()]

    def test_a_note_where_no_head_is_listed_by_all(self):
        rankings = ranked({("small", "wu24", "hq_state", 512): [0, 7], ("small", "qrhead", "hq_state", 512): [1, 2]})
        figure = consensus_heads.draw(tables_for(make_study(), rankings), make_study())
        assert not figure.axes and "No head that every method ranks" in shown(figure)[0]
        equal = tables_for(make_study(), placed(make_rankings(make_study()).assign(score=0.5)))
        assert not consensus_heads.draw(equal, make_study()).axes


class TestDisagreement:
    def test_top_heads_that_fall_furthest_come_first(self):
        study = make_study(methods=("wu24", "qrhead"), top_k=3)
        orders = {
            ("small", "wu24", "hq_state", 512): [0, 1, 2, 3, 4, 5, 6, 7],
            ("small", "qrhead", "hq_state", 512): [2, 1, 3, 4, 5, 6, 7, 0],
        }
        figure = method_disagreement.draw(tables_for(study, ranked(orders)), study)
        first, second = figure.axes
        # Of wu24's first three, L0H0 falls from 1 to 8; L0H1 stays; L0H2 rises.
        assert names_of(first) == ["L0H0"]
        # Of qrhead's first three, L0H2 falls from 1 to 3, L0H3 from 3 to 4.
        assert names_of(second) == ["L0H2", "L0H3"]
        assert dots(first, "Wu24")["L0H0"] == 1 and dots(first, "QRHead")["L0H0"] == 8
        assert [ax.get_title(loc="left") for ax in figure.axes] == ["Top with Wu24", "Top with QRHead"]

    def test_a_note_where_methods_agree(self):
        study = make_study(methods=("wu24", "qrhead"))
        orders = {("small", method, "hq_state", 512): range(8) for method in ("wu24", "qrhead")}
        figure = method_disagreement.draw(tables_for(study, ranked(orders)), study)
        assert not figure.axes and shown(figure) == ["No top head of one method has a lower rank with another."]


class TestSpecialists:
    def test_heads_are_those_of_the_profiles(self):
        study = make_study(methods=("wu24", "qrhead"), questions=("hq_state", "inc_year"), top_k=3, specialist_k=5)
        same = [0, 1, 2, 3, 4, 5, 6, 7]
        orders = {
            ("small", "wu24", "hq_state", 512): same,
            ("small", "wu24", "inc_year", 512): [7, 2, 1, 3, 4, 5, 6, 0],
            ("small", "qrhead", "hq_state", 512): same,
            ("small", "qrhead", "inc_year", 512): same,
        }
        figure = question_specialists.draw(tables_for(study, ranked(orders)), study)
        (ax,) = figure.axes
        assert ax.get_title(loc="left") == "Wu24: 2 heads" and names_of(ax) == ["L0H0", "L1H3"]
        assert dots(ax, "Headquarters state") == {"L0H0": 1, "L1H3": 8}
        assert dots(ax, "Year of incorporation") == {"L0H0": 8, "L1H3": 1}
        assert figure.get_supxlabel().endswith("No specialists: QRHead")
        assert {text.get_text() for text in ax.texts} == {"3", "5"}

    def test_a_note_where_there_are_none(self):
        study = make_study(methods=("wu24",), questions=("hq_state", "inc_year"))
        orders = {("small", "wu24", question, 512): range(8) for question in study.config["questions"]}
        figure = question_specialists.draw(tables_for(study, ranked(orders)), study)
        assert not figure.axes and "No method ranks a head" in shown(figure)[0]


class TestModelDifferences:
    def test_the_largest_differences_come_first(self):
        figure = instruct_vs_base_differences.draw(made(), STUDY)
        table = made()["profiles"]
        for ax, method in zip(figure.axes, STUDY.methods, strict=True):
            found = head_profiles.differences(head_profiles.select(table, "model", method=method), "a", "b", 25, 10)
            assert names_of(ax) == [head_name(*head) for head in found.index]
            assert list(dots(ax, "a").values()) == found["rank_a"].tolist()
            assert list(dots(ax, "b").values()) == found["rank_b"].tolist()
            texts = [text.get_text() for text in ax.texts]
            assert f"{found['difference'].iloc[0]:+,.0f}".replace("-", "−") in texts

    def test_the_first_pair_that_can_be_compared_is_named(self):
        study = make_study(models=("a", "b", "c"), methods=("wu24",))
        whole = range(8)
        orders = {
            ("b", "wu24", "hq_state", 512): whole,
            ("c", "wu24", "hq_state", 512): list(reversed(whole)),
        }
        rankings = pd.concat([ranked({("a", "wu24", "hq_state", 512): range(6)}, heads=3), ranked(orders)])
        figure = instruct_vs_base_differences.draw(tables_for(study, rankings), study)
        (ax,) = figure.axes
        assert ax.get_title(loc="left") == "Wu24: b and c"

    def test_a_note_where_grids_differ(self):
        study = make_study(models=("a", "b"), methods=("wu24",))
        rankings = pd.concat(
            [
                ranked({("a", "wu24", "hq_state", 512): range(6)}, heads=3),
                ranked({("b", "wu24", "hq_state", 512): range(8)}),
            ]
        )
        figure = instruct_vs_base_differences.draw(tables_for(study, rankings), study)
        assert not figure.axes and "No two models have equal grids" in shown(figure)[0]


class TestVolatility:
    def test_most_volatile_and_most_stable_top_heads(self):
        figure = head_volatility.draw(made(), STUDY)
        rows = head_profiles.select(made()["profiles"], method="wu24")
        volatile = rows.sort_values("sd_rank", ascending=False).head(6)
        stable = rows.nsmallest(8, "mean_rank").nsmallest(6, "sd_rank")
        titles = [ax.get_title(loc="left") for ax in figure.axes]
        for title, chosen in (("Wu24: most volatile", volatile), ("Wu24: most stable top heads", stable)):
            ax = figure.axes[titles.index(title)]
            assert names_of(ax) == [head_name(*head) for head in zip(chosen["layer"], chosen["head"], strict=True)]
            strokes, marks = ax.lines[:2]
            assert marks.get_xdata().tolist() == chosen["mean_rank"].tolist()
            first = made()["rankings"].query("method == 'wu24'").merge(chosen[["layer", "head"]].head(1))
            assert sorted(strokes.get_xdata()[strokes.get_ydata() == 0]) == sorted(first["rank"])

    def test_a_note_where_each_method_has_one_configuration(self):
        study = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,))
        figure = head_volatility.draw(tables_for(study, make_rankings(study)), study)
        assert not figure.axes and "ranked the heads once only" in shown(figure)[0]


class TestUniversal:
    def test_shares_are_of_all_configurations(self):
        figure = universal_heads.draw(made(), STUDY)
        (ax,) = figure.axes
        top = made()["rankings"].query("rank <= 8")
        configurations = made()["rankings"].groupby(["model", "method", "question", "context_length"]).ngroups
        shares = top.groupby(["layer", "head"]).size() / configurations
        bars = dict(zip(names_of(ax), (bar.get_width() for bar in ax.containers[0]), strict=True))
        # 30 heads have room, but heads of equal share come together or not at all.
        told = [share for share in sorted(shares, reverse=True) if (shares >= share - 1e-9).sum() <= 30]
        assert list(bars.values()) == pytest.approx(told) and 20 < len(told) < 30 < len(shares)
        assert bars == pytest.approx(
            {head_name(*head): shares[head] for head in shares.index if head_name(*head) in bars}
        )
        own = top.query("method == 'qrhead'").groupby(["layer", "head"]).size() / (configurations / 3)
        own = {head_name(*head): share for head, share in own.items()}
        assert dots(ax, "QRHead") == pytest.approx({name: own.get(name, 0) for name in bars})

    def test_chance_is_the_size_of_a_top_set(self):
        for figure in (universal_heads.draw(made(), STUDY), universal_heads_by_method.draw(made(), STUDY)):
            for ax in figure.axes:
                line = next(line for line in ax.lines if line.get_label() == "Top sets drawn by lot")
                assert set(line.get_xdata()) == {8 / 48}

    def test_by_method_the_heads_are_its_most_frequent(self):
        figure = universal_heads_by_method.draw(made(), STUDY)
        for ax, method in zip(figure.axes, STUDY.methods, strict=True):
            rows = head_profiles.universal(head_profiles.select(made()["profiles"], method=method), 12)
            assert names_of(ax) == [head_name(*head) for head in zip(rows["layer"], rows["head"], strict=True)]
            assert [bar.get_width() for bar in ax.containers[0]] == rows["top_share"].tolist()


class TestQuestionMaps:
    def test_cells_are_shares_of_configurations(self):
        figure = q4_head_patterns.draw(made(), STUDY)
        maps = [ax for ax in figure.axes if ax.images]
        titles = [ax.get_title(loc="left").replace("\n", " ") for ax in maps]
        assert titles == [
            "State of incorporation (categorical)",
            "Headquarters state (categorical)",
            "Year of incorporation (numerical)",
            "Number of employees (numerical)",
        ]
        rows = made()["rankings"].query("question == 'hq_state' and rank <= 8")
        expected = np.zeros((8, 6))
        np.add.at(expected, (rows["layer"], rows["head"]), 1 / 12)
        assert maps[1].images[0].get_array().data == pytest.approx(expected)

    def test_bars_are_each_layers_share(self):
        figure = q4_head_patterns.draw(made(), STUDY)
        first = made()["rankings"].query("question == 'inc_state' and rank <= 8")
        bars = next(ax.containers[0] for ax in figure.axes if ax.containers)
        shares = first.groupby("layer").size().reindex(range(8), fill_value=0) / len(first)
        assert [bar.get_width() for bar in bars] == pytest.approx(shares.tolist())


class TestUniqueHeads:
    def test_counts_by_how_many_others_have_them(self):
        counts, _ = sharing(SETS, "x", 10)
        assert counts.tolist() == [2, 1, 1]

    def test_expectation_is_that_of_random_sets(self):
        _, by_lot = sharing(SETS, "x", 10)
        # Each other set holds a given head with probability 0.2.
        assert by_lot == pytest.approx([4 * 0.64, 4 * 0.32, 4 * 0.04])

    def test_bars_are_the_union_of_a_methods_top_sets(self):
        figure = method_unique_heads.draw(made(), STUDY)
        (ax,) = figure.axes
        top = made()["rankings"].query("rank <= 8")
        sets = {method: set(zip(rows["layer"], rows["head"], strict=True)) for method, rows in top.groupby("method")}
        alone = len(sets["summed_attention"] - sets["wu24"] - sets["qrhead"])
        counted = ax.containers[0][0], ax.containers[2][0]
        assert counted[0].get_width() == alone
        assert counted[1].get_width() == len(set.intersection(*sets.values()))

    def test_a_note_where_models_share_no_method(self):
        study = make_study(models=("a", "b"), methods=("wu24", "qrhead"))
        rankings = pd.concat(
            [
                ranked({("a", "wu24", "hq_state", 512): range(6)}, heads=3),
                ranked({("b", "qrhead", "hq_state", 512): range(8)}),
            ]
        )
        figure = method_unique_heads.draw(tables_for(study, rankings), study)
        assert not figure.axes and "No two methods" in shown(figure)[0]


@pytest.mark.parametrize("name", NAMES)
def test_models_with_different_grids_and_rankings_with_holes_are_drawn(name):
    study = make_study(models=("a", "b", "c"), lengths=(512, 1024))
    parts = []
    for seed, (model, layers) in enumerate((("a", 5), ("b", 5), ("c", 7))):
        only = make_study(models=(model,))
        parts.append(make_rankings(only, layers=layers, heads=5, seed=seed))
    rankings = pd.concat(parts, ignore_index=True)
    partial = (rankings["method"] == "wu24") & (rankings["rank"] > 9)
    missing = (rankings["model"] == "b") & (rankings["method"] == "qrhead")
    missing |= (rankings["question"] == "hq_state") & (rankings["context_length"] == 512)
    tables = tables_for(study, rankings[~partial & ~missing].reset_index(drop=True))
    figure = figures.load(name).draw({table: tables[table] for table in figures.declarations()[name].tables}, study)
    assert figure.axes or figure.texts
    assert all(ax.has_data() for ax in figure.axes)


def test_a_note_is_whole():
    text = "One sentence that is long enough to be broken into several lines, for it goes on and on and on and on."
    figure = _layout.note(text)
    assert shown(figure) == [text]
    box = figure.texts[0].get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1

"""Figures of single heads' effects, and of what rankings tell of them, show the tables."""

from dataclasses import replace

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from made_tables import analyse, make_ablation, make_rankings, make_study, with_twins
from retrieval_heads.figures import (
    _effects,
    _layout,
    _style,
    effects_by_method,
    needed_and_carrying,
    quality_and_cost,
    score_and_effect,
)
from retrieval_heads.figures._naming import name_marks
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.needed_or_carrying import BACKED_UP, BOTH, NEEDED_ONLY

pytestmark = pytest.mark.thorough

REPLACEMENTS = {"zero": {"label": "zero"}, "resample": {"label": "from the twin"}}
STUDY = replace(
    with_twins(make_study(models=("a", "b"), lengths=(512, 1024), levels=(3, 5))), replacements=REPLACEMENTS
)
METHODS = [STUDY.label("method", method) for method in STUDY.methods]
CELLS = [("a", 512), ("a", 1024), ("b", 512), ("b", 1024)]
FIRST = 5
"""At how many heads rankings are judged: the study's largest level."""


@pytest.fixture(scope="module")
def tables():
    return analyse(STUDY, make_rankings(STUDY), make_ablation(STUDY, 3))


@pytest.fixture(scope="module")
def plane(tables):
    return needed_and_carrying.draw(tables, STUDY)


def one_mode(tables, mode="zero"):
    """The tables of a study whose yardstick has one mode."""
    return {
        name: frame[frame["mode"] == mode] if name in ("head_effect_summary", "ranking_quality") else frame
        for name, frame in (tables | {"needed_or_carrying": tables["needed_or_carrying"].head(0)}).items()
    }


def of(frame, model="a", length=512):
    """The rows of a model and length, layer by layer where they are of heads."""
    rows = frame[(frame["model"] == model) & (frame["context_length"] == length)]
    return rows.sort_values(["layer", "head"], ignore_index=True) if "layer" in rows else rows


def panel(figure, title):
    """All panels with this title, in their order."""
    return [ax for ax in figure.axes if ax.get_title(loc="left").replace("\n", " ") == title]


def marks(ax):
    """Places, colours and sizes of the marks in a panel, one row for each."""
    found = [one for one in ax.collections if isinstance(one, PathCollection)]
    places = np.concatenate([one.get_offsets() for one in found])
    colours = np.concatenate([np.broadcast_to(one.get_facecolors(), (len(one.get_offsets()), 4)) for one in found])
    sizes = np.concatenate([np.broadcast_to(one.get_sizes(), len(one.get_offsets())) for one in found])
    return pd.DataFrame(
        {"x": places[:, 0], "y": places[:, 1], "colour": [*map(matplotlib.colors.to_hex, colours)], "size": sizes}
    )


def names(ax):
    """Names that are written beside marks → the mark's place."""
    return {text.get_text(): text.xy for text in ax.texts if isinstance(text, Annotation) and text.get_text()}


def first_by_mean_rank(tables, method, k=FIRST, model="a", length=512):
    """The heads with the best mean ranks over questions, as pairs."""
    rows = of(tables["rankings"], model, length)
    means = rows[rows["method"] == method].groupby(["layer", "head"])["rank"].mean().sort_values()
    assert means.iloc[k - 1] < means.iloc[k]
    return set(means.index[:k])


class TestNeededAndCarrying:
    def test_every_head_stands_where_the_table_has_it(self, plane, tables):
        for model, length in CELLS:
            (ax,) = panel(plane, f"{model}, {length:,} tokens")
            rows = of(tables["needed_or_carrying"], model, length)
            found, known = (
                sorted(map(tuple, np.round(places, 9)))
                for places in (marks(ax)[["x", "y"]].to_numpy(), rows[["needed", "carrying"]].to_numpy())
            )
            assert found == known and len(found) == 24

    def test_heads_that_stand_out_are_named_and_have_intervals(self, plane, tables):
        (ax,) = panel(plane, "a, 512 tokens")
        rows = of(tables["needed_or_carrying"])
        rows = rows.loc[rows[["needed", "carrying"]].abs().max(axis=1).nlargest(16).index]
        known = {head_name(row.layer, row.head): (row.needed, row.carrying) for row in rows.itertuples()}
        assert {name: tuple(place) for name, place in names(ax).items()} == known
        ends = [[row.needed_low, row.needed_high] for row in rows.itertuples()]
        ends += [[row.carrying_low, row.carrying_high] for row in rows.itertuples()]
        lines = [segment for one in ax.collections if isinstance(one, LineCollection) for segment in one.get_segments()]
        across = [segment[:, 0].tolist() for segment in lines if segment[0, 0] != segment[1, 0]]
        up = [segment[:, 1].tolist() for segment in lines if segment[0, 1] != segment[1, 1]]
        assert np.sort(across + up, axis=0) == pytest.approx(np.sort(ends, axis=0))

    def test_colours_are_what_is_told_of_heads(self, tables):
        rows = tables["needed_or_carrying"].assign(role=None)
        told = {(0, 0): NEEDED_ONLY, (1, 2): BOTH, (3, 1): BACKED_UP}
        for (layer, head), role in told.items():
            rows.loc[(rows["layer"] == layer) & (rows["head"] == head), "role"] = role
        (ax,) = panel(needed_and_carrying.draw({**tables, "needed_or_carrying": rows}, STUDY), "a, 512 tokens")
        found = marks(ax).set_index(["x", "y"])["colour"].str.upper()
        for row in of(rows).itertuples():
            role = told.get((row.layer, row.head))
            assert found[row.needed, row.carrying] == needed_and_carrying.COLOURS.get(role, "#B5B5B5")

    def test_each_methods_first_heads_are_filled_in_its_panel(self, plane, tables):
        rows = of(tables["needed_or_carrying"]).set_index(["layer", "head"])[["needed", "carrying"]]
        for method, label in STUDY.methods.items():
            ax = panel(plane, label["label"])[0]
            found = marks(ax)
            filled = {tuple(place) for place in found.loc[found["size"] > 3, ["x", "y"]].to_numpy()}
            assert filled == {tuple(rows.loc[head]) for head in first_by_mean_rank(tables, method)}
            assert len(found) == 24

    def test_what_they_capture_is_written_beside_them(self, plane, tables):
        quality = of(tables["ranking_quality"])
        quality = quality[(quality["measure"] == "captured") & quality["question"].isna() & (quality["k"] == FIRST)]
        seen = 0
        for method, label in STUDY.methods.items():
            (text,) = panel(plane, label["label"])[0].texts
            told = text.get_text().splitlines()
            rows = quality[quality["ranking"] == method].set_index("mode")["value"].dropna()
            known = {"resample": "carried", "zero": "needed"}
            assert told == [
                f"{100 * rows[mode]:.0f}% {known[mode]}".replace("-", "−") for mode in known if mode in rows
            ]
            seen += len(told)
        assert seen

    def test_lines_at_0_and_the_diagonal_are_drawn_in_one_scale(self, plane):
        for ax in plane.axes:
            straight = [[list(line.get_xdata()), list(line.get_ydata())] for line in ax.lines]
            assert [[0, 1], [0, 0]] in straight and [[0, 0], [0, 1]] in straight
            assert any(x == y and x[0] < 0 < x[1] for x, y in straight)
            scales = [axis.get_transform() for axis in (ax.xaxis, ax.yaxis)]
            assert scales[0].linear_width == scales[1].linear_width

    def test_axes_say_what_replaces_outputs_and_how_they_are_scaled(self, plane):
        (ax,) = panel(plane, "b, 512 tokens")
        assert ax.get_xlabel().startswith("Needed: effect of the head (zero; nats; log scale beyond ±")
        assert ax.get_ylabel() == "Carrying: effect of the head (from the twin; nats)"
        regions = [text.get_text().replace("\n", " ") for text in ax.texts if not isinstance(text, Annotation)]
        assert regions == [
            "Carrying more than is needed, as backed-up heads do",
            "Needed and carrying",
            "Needed, and carrying nothing",
        ]

    def test_one_document_has_no_intervals(self, tables):
        ends = [f"{name}_{end}" for name in ("needed", "carrying") for end in ("low", "high")]
        rows = tables["needed_or_carrying"].assign(**dict.fromkeys(ends, np.nan), role=None)
        (ax,) = panel(needed_and_carrying.draw({**tables, "needed_or_carrying": rows}, STUDY), "a, 512 tokens")
        assert not [one for one in ax.collections if isinstance(one, LineCollection)] and len(names(ax)) == 16

    def test_without_twins_it_is_a_note(self, tables):
        assert needed_and_carrying.draw(one_mode(tables), STUDY).get_label().startswith("No prompt was asked both")


class TestQualityAndCost:
    def captured(self, tables, mode, length=512):
        rows = of(tables["ranking_quality"], "a", length)
        rows = rows[(rows["measure"] == "captured") & rows["question"].isna() & (rows["k"] == FIRST)]
        return rows[rows["mode"] == mode].set_index("ranking")

    def sure(self, tables):
        """Tables in which everything is known of what is captured, and two methods cost the same."""
        quality = tables["ranking_quality"].copy()
        chosen = quality["measure"] == "captured"
        values = pd.Series(np.linspace(-0.1, 0.9, chosen.sum()), index=quality.index[chosen])
        quality.loc[chosen, "value"] = values
        quality.loc[chosen, "value_low"], quality.loc[chosen, "value_high"] = values - 0.1, values + 0.2
        quality["cost"] = quality["ranking"].map({"summed_attention": 1.5, "wu24": 1.5, "qrhead": 80.0})
        return {**tables, "ranking_quality": quality}

    def test_marks_are_what_methods_capture_at_what_they_cost(self, tables):
        sure = self.sure(tables)
        figure = quality_and_cost.draw(sure, STUDY)
        for what, mode in (("what heads carry (from the twin)", "resample"), ("what is needed (zero)", "zero")):
            (ax,) = panel(figure, f"a, 512 tokens: {what}")
            rows = self.captured(sure, mode)
            of_colour = {bars.lines[0].get_color(): bars for bars in ax.containers}
            assert len(of_colour) == len(ax.containers) == 3
            for method in STUDY.methods:
                row, bars = rows.loc[method], of_colour[_style.method_style(STUDY, method)["color"]]
                ((x, y),) = bars.lines[0].get_xydata()
                assert y == row["value"] and x == pytest.approx(row["cost"], rel=0.05)
                (segment,) = bars.lines[2][0].get_segments()
                assert segment[:, 1].tolist() == pytest.approx([row["value_low"], row["value_high"]])
            assert sorted(names(ax)) == sorted(METHODS)

    def test_those_that_cost_the_same_stand_side_by_side(self, tables):
        ax = quality_and_cost.draw(self.sure(tables), STUDY).axes[0]
        first, second, third = sorted(tuple(bars.lines[0].get_xydata()[0]) for bars in ax.containers)
        assert first[0] < 1.5 < second[0] and first[1] < second[1] and third[0] == pytest.approx(80)

    def test_ceiling_and_rivals_are_lines_with_names(self, tables):
        sure = self.sure(tables)
        ax = quality_and_cost.draw(sure, STUDY).axes[0]
        rows = self.captured(sure, "resample")
        written = {text.get_text(): text for text in ax.texts}
        heights = [line.get_ydata()[0] for line in ax.lines if list(line.get_xdata()) == [0, 1]]
        for ranking, name in quality_and_cost.LINES.items():
            assert rows.loc[ranking, "value"] in heights and name in written
        order = sorted(quality_and_cost.LINES, key=lambda ranking: rows.loc[ranking, "value"])
        places = [written[quality_and_cost.LINES[ranking]].get_position()[1] for ranking in order]
        assert places == sorted(places)

    def test_one_mode_is_one_panel_for_each_model_and_length(self, tables):
        figure = quality_and_cost.draw(one_mode(self.sure(tables)), STUDY)
        assert [ax.get_title(loc="left") for ax in figure.axes] == [
            f"{model}, {length:,} tokens: what is needed (zero)" for model, length in CELLS
        ]

    def test_what_is_not_sure_is_a_note(self, tables):
        quality = tables["ranking_quality"].assign(value=np.nan, value_low=np.nan, value_high=np.nan)
        figure = quality_and_cost.draw({**tables, "ranking_quality": quality}, STUDY)
        assert figure.get_label().startswith("No effect is sure enough")


class TestEffectsByMethod:
    def maps(self, figure):
        """Title → map, of the first model and length."""
        found = {}
        for ax in figure.axes:
            if ax.images:
                found.setdefault(ax.get_title(loc="left").replace("\n", " "), ax)
        return found

    def test_maps_hold_effects_and_mean_ranks(self, tables):
        found = self.maps(effects_by_method.draw(tables, STUDY))
        assert list(found) == ["Carrying (from the twin)", "Needed (zero)", *METHODS]
        effects = of(tables["head_effect_summary"]).set_index("mode")
        for title, mode in (("Carrying (from the twin)", "resample"), ("Needed (zero)", "zero")):
            (image,) = found[title].images
            for row in effects.loc[mode].itertuples():
                assert image.get_array()[row.layer, row.head] == pytest.approx(row.effect)
            assert image.norm(0) == pytest.approx(0.5) and image.origin == "lower"
        for method, label in zip(STUDY.methods, METHODS, strict=True):
            rows = of(tables["rankings"])
            means = rows[rows["method"] == method].groupby(["layer", "head"])["rank"].mean()
            (image,) = found[label].images
            assert image.get_array().ravel().tolist() == pytest.approx(means.tolist())
            # The first are the darkest.
            assert sum(image.to_rgba(image.get_array().min())[:3]) < sum(image.to_rgba(image.get_array().max())[:3])

    def test_a_colour_means_the_same_in_all_maps_of_its_kind(self, tables):
        found = list(self.maps(effects_by_method.draw(tables, STUDY)).values())
        ends = [(ax.images[0].norm.vmin, ax.images[0].norm.vmax) for ax in found]
        assert ends[0] == ends[1] and ends[2:] == [(1, 24)] * 3
        largest = of(tables["head_effect_summary"])["effect"].abs().max()
        assert ends[0] == pytest.approx((-largest, largest))

    def test_the_strongest_of_the_first_map_are_ringed_in_all(self, tables):
        effects = of(tables["head_effect_summary"])
        effects = effects[(effects["mode"] == "resample") & (effects["effect"] > 0)].nlargest(10, "effect")
        known = set(zip(effects["head"], effects["layer"], strict=True))
        for ax in self.maps(effects_by_method.draw(tables, STUDY)).values():
            (rings,) = ax.lines
            assert set(map(tuple, rings.get_xydata().astype(int))) == known and rings.get_markerfacecolor() == "none"

    def test_one_mode_has_one_map(self, tables):
        assert list(self.maps(effects_by_method.draw(one_mode(tables), STUDY))) == ["Needed (zero)", *METHODS]
        twins = self.maps(effects_by_method.draw(one_mode(tables, "resample"), STUDY))
        assert list(twins) == ["Carrying (from the twin)", *METHODS]

    def test_no_effects_are_a_note(self, tables):
        none = {name: frame.head(0) for name, frame in tables.items()}
        assert effects_by_method.draw(none, STUDY).get_label() == _effects.NOTHING_MEASURED


class TestScoreAndEffect:
    def test_heads_stand_at_their_mean_rank_and_effect(self, tables):
        figure = score_and_effect.draw(tables, STUDY)
        effects = of(tables["head_effect_summary"])
        effects = effects[effects["mode"] == "resample"].set_index(["layer", "head"])["effect"]
        for method, label in zip(STUDY.methods, METHODS, strict=True):
            rows = of(tables["rankings"])
            means = rows[rows["method"] == method].groupby(["layer", "head"])["rank"].mean()
            found = marks(panel(figure, label)[0])
            known = np.column_stack([means, effects.reindex(means.index)])
            assert np.allclose(*(np.array(sorted(places.tolist())) for places in (known, found[["x", "y"]].to_numpy())))
            own = _style.method_style(STUDY, method)["color"].lower()
            coloured = found.loc[found["colour"] == own, "x"]
            assert sorted(coloured) == sorted(means[list(first_by_mean_rank(tables, method))])

    def test_spearman_is_that_of_the_table(self, tables):
        figure = score_and_effect.draw(tables, STUDY)
        rows = of(tables["ranking_quality"], "b", 1024)
        rows = rows[(rows["measure"] == "spearman") & rows["question"].isna() & (rows["mode"] == "resample")]
        for method, label in zip(STUDY.methods, METHODS, strict=True):
            value = rows.set_index("ranking").loc[method, "value"]
            told = [text.get_text() for text in panel(figure, label)[-1].texts]
            assert f"ρ = {value:.2f}".replace("-", "−") in told

    def test_the_heads_with_the_largest_effects_are_named_in_all_panels(self, tables):
        effects = of(tables["head_effect_summary"])
        first = effects[effects["mode"] == "resample"].nlargest(3, "effect")
        known = {head_name(row.layer, row.head): row.effect for row in first.itertuples()}
        for label in METHODS:
            found = names(panel(score_and_effect.draw(tables, STUDY), label)[0])
            assert {name: place[1] for name, place in found.items()} == pytest.approx(known)

    def test_without_twins_it_shows_what_is_needed(self, tables):
        figure = score_and_effect.draw(one_mode(tables), STUDY)
        labels = [part.get_supylabel().replace("\n", " ") for part in figure.subfigs]
        assert all(label.startswith("Needed: effect (zero; nats, log scale beyond ±") for label in labels)


class TestParts:
    def test_places_that_are_apart_stay(self):
        assert _layout.apart([1, 3, 9], 2).tolist() == pytest.approx([1, 3, 9])

    def test_places_that_are_not_move_as_little_as_can_be(self):
        assert _layout.apart([1, 1, 1, 7], 2).tolist() == pytest.approx([-1, 1, 3, 7])
        assert _layout.apart([4, 3], 1).tolist() == pytest.approx([3, 4])

    def test_names_hide_neither_each_other_nor_marks_nor_leave_the_panel(self):
        figure = Figure(figsize=(4, 3), layout="constrained")
        ax = figure.subplots()
        x, y = np.random.default_rng(0).normal(size=(2, 25)) * 0.3
        ax.scatter(x, y, s=12)
        ax.set(xlim=(-1, 1), ylim=(-1, 1))
        figure.draw_without_rendering()
        written = name_marks(ax, x[:12], y[:12], [f"L{place}H0" for place in range(12)], fontsize=7)
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [Annotation.get_window_extent(text, renderer) for text in written]
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
        inside, points = ax.get_window_extent(renderer), ax.transData.transform(np.column_stack([x, y]))
        for box in boxes:
            assert inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
            assert not any(box.contains(*point) for point in points)

    def test_the_scale_of_effects_is_linear_up_to_a_tenth_of_the_largest_at_most(self):
        assert _effects.linear_up_to([0.2, -1.65]) == pytest.approx(0.1)
        assert _effects.linear_up_to([5.0]) == pytest.approx(0.3)
        assert _effects.linear_up_to([0.0]) == pytest.approx(0.1)

    def test_limits_hold_0_and_all_that_is_known(self):
        low, high = _effects.room([0.5, np.nan, 2.0], 0.1)
        assert low < 0 and high > 2


def test_ranks_are_of_the_questions_that_effects_are_about(tables):
    """A ranking for another question is no answer to what is asked."""
    quality = tables["ranking_quality"]
    asked = quality[quality["question"].isna() | (quality["question"] == "inc_year")]
    cell = _effects.cells({**tables, "ranking_quality": asked}, STUDY)[0]
    rows = of(tables["rankings"])
    rows = rows[(rows["method"] == "wu24") & (rows["question"] == "inc_year")]
    assert cell.ranks(tables["rankings"], STUDY)["wu24"]["rank"].tolist() == pytest.approx(rows["rank"].tolist())

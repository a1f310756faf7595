import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from test_figures import STUDIES, draw, picture, tables_of, texts

from made_tables import (
    make_ablation,
    make_guard,
    make_rankings,
    make_study,
)
from retrieval_heads import figures
from retrieval_heads.analysis.configuration_drops import against_first_model, configurations, over_levels
from retrieval_heads.analysis.drops import mean_drops
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.figures import _controls, _drop_strips, _style
from retrieval_heads.tables.guard import LANGUAGE_BROKEN, LANGUAGE_WHOLE
from retrieval_heads.tables.select import select

pytestmark = pytest.mark.thorough

STRIPS = ("q1_equal_impact", "q3_ablation_effectiveness", "model_comparison")


def ablated_tables(study):
    """The tables that come from ablation alone."""
    results = make_ablation(study)
    outcomes = as_outcomes(results, study.seed, study.resamples)
    found, means = estimate_effects(outcomes), mean_drops(outcomes, study.categories)
    return {"effects": found.effects, "against_random": found.against_random, "mean_drops": means}


def marks(ax, label):
    """Means with their intervals: (mean, low, high) of each large mark with this label, from left to right."""
    found = []
    for bars in ax.containers:
        if bars.get_label() == label:
            (low, high) = bars.lines[2][0].get_segments()[0][:, 1]
            found.append((bars.lines[0].get_xdata()[0], bars.lines[0].get_ydata()[0], low, high))
    return [mark[1:] for mark in sorted(found)]


def dots(ax, look):
    """Heights of the faint dots in a colour, over all strips."""
    colour = to_hex(_style.tint(look["color"], 0.45))
    lines = [line for line in ax.lines if to_hex(line.get_color()) == colour and line.get_linestyle() == "None"]
    return sorted(height for line in lines for height in line.get_ydata())


def bands(ax):
    """Ends of the grey boxes, from left to right."""
    paths = [
        path.get_paths()[0].vertices for path in ax.collections if path.get_label() in _controls.RANDOM_HEADS.values()
    ]
    ends = [(box[:, 0].min(), box[:, 1].min(), box[:, 1].max()) for box in paths]
    return [box[1:] for box in sorted(ends)]


def means(name, grouping, value, source="method", matching=None, study="small"):
    rows = tables_of(study)["mean_drops"]
    rows = rows[(rows["grouping"] == grouping) & (rows["value"] == value) & (rows["source"] == source)]
    rows = rows[rows["matching"] == matching] if matching else rows
    by_level = rows.sort_values("k")  # the means over all levels come last
    return by_level if name == "q3_ablation_effectiveness" else by_level.dropna(subset="k")


@pytest.mark.parametrize(
    ("name", "study", "grouping", "value", "label"),
    [
        ("q1_equal_impact", "small", "question", "inc_year", "Year of incorporation"),
        ("q3_ablation_effectiveness", "small", "category", "numerical", "Numerical"),
        ("model_comparison", "large", "model", "b", "b"),
    ],
)
def test_strips_hold_means_intervals_and_every_configuration(name, study, grouping, value, label):
    ax = picture(name, study).axes[0]
    expected = means(name, grouping, value, study=study)
    drawn = marks(ax, label)
    assert np.ravel(drawn).tolist() == pytest.approx(np.ravel(expected[["drop", "drop_low", "drop_high"]]).tolist())
    single = select(tables_of(study)["effects"])
    single = single.assign(category=single["question"].map(STUDIES[study].categories))
    single = single[single[grouping] == value]
    heights = single["drop"].tolist()
    if name == "q3_ablation_effectiveness":
        heights += single.groupby(["model", "method", "question", "context_length"])["drop"].mean().tolist()
    look = {"question": _style.question_style, "category": _style.category_style, "model": _style.model_style}[grouping]
    assert dots(ax, look(STUDIES[study], value)) == pytest.approx(sorted(heights))


def test_the_grey_box_of_a_strip_is_its_own_random_control():
    drawn = bands(picture("model_comparison", "large").axes[0])
    expected = [
        row
        for rows in zip(
            *(
                means("", "model", model, "random", "layer", "large")[["drop_low", "drop_high"]].to_numpy()
                for model in "ab"
            ),
            strict=True,
        )
        for row in rows
    ]
    assert np.ravel(drawn).tolist() == pytest.approx(np.ravel(expected).tolist())


def test_many_strips_are_broken_into_rows():
    study = make_study(methods=("wu24",), levels=tuple(range(1, 13)), lengths=(512,))
    figure = figures.load("q1_equal_impact").draw(ablated_tables(study), study)
    first, second = figure.axes
    assert [[text.get_text() for text in ax.get_xticklabels()] for ax in (first, second)] == [
        [str(level) for level in part] for part in (range(1, 7), range(7, 13))
    ]


def test_over_one_level_there_is_no_mean_over_all():
    study = make_study(levels=(5,), lengths=(512,))
    figure = figures.load("q3_ablation_effectiveness").draw(ablated_tables(study), study)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["5"]


def test_dots_that_hardly_differ_stand_side_by_side():
    places = _drop_strips.dot_offsets(np.array([0.5, 0.1, 0.5, 0.501, 0.9]), 1.0)
    assert len({places[0], places[2], places[3]}) == 3
    assert places[1] == places[4] == places[0]
    assert abs(_drop_strips.dot_offsets(np.zeros(100), 1.0)).max() < 0.5


def test_configurations_of_two_models_are_paired():
    single = configurations(tables_of("large")["effects"], STUDIES["large"].categories)
    pairs = against_first_model(single[single["k"] == 20], ["a", "b"])
    assert len(pairs) == 3 * 4 * 3 and set(pairs["model"]) == {"b"}
    row = pairs.iloc[7]
    same = {name: row[name] for name in ("method", "question", "context_length")}
    single = tables_of("large")["effects"]
    for model, column in (("a", "drop_first"), ("b", "drop")):
        (drop,) = select(single, model=model, k=20, **same)["drop"]
        assert row[column] == drop


def test_paired_panels_hold_the_pairs():
    figure = picture("model_comparison", "large")
    rows = tables_of("large")["effects"]
    panel = figure.axes[2]  # below the strips come the methods
    assert panel.get_title("left") == "Wu24"
    (line,) = [line for line in panel.lines if line.get_label() == "Headquarters state"]
    for model, drawn in (("a", line.get_xdata()), ("b", line.get_ydata())):
        chosen = select(rows, model=model, method="wu24", question="hq_state", k=20)
        assert sorted(drawn) == sorted(chosen["drop"])


def test_a_configuration_that_one_model_lacks_is_left_out():
    rows = tables_of("large")["effects"]
    lacking = rows[(rows["model"] == "a") | (rows["method"] == "wu24")]
    figure = draw("model_comparison", "large", effects=lacking)
    assert [ax.get_title("left") for ax in figure.axes[1:]] == ["Wu24"] and figure.axes[1].has_data()
    apart = rows[(rows["model"] == "a") ^ (rows["method"] == "wu24")]
    assert len(draw("model_comparison", "large", effects=apart).axes) == 1


def test_lengths_hold_means_by_level_and_effects_by_method():
    figure = picture("token_length_effect", "large")
    tables = tables_of("large")
    together, of_a, of_b = figure.axes
    (bars,) = [bars for bars in together.containers if bars.get_label() == "5 heads"]
    rows = tables["mean_drops"]
    rows = rows[(rows["grouping"] == "context_length") & (rows["source"] == "method") & (rows["k"] == 5)]
    by_length = rows.set_index("value").loc[["1024", "2048", "4096"]]
    assert bars.lines[0].get_ydata().tolist() == by_length["drop"].tolist()
    ends = np.array(bars.lines[2][0].get_segments())[:, :, 1]
    assert ends.ravel() == pytest.approx(by_length[["drop_low", "drop_high"]].to_numpy().ravel())
    assert of_a.get_title("left") == "a\n20 heads ablated" and of_b.get_title("left") == "b\n20 heads ablated"
    (bars,) = [bars for bars in of_b.containers if bars.get_label() == "QRHead"]
    rows = select(tables["effects"], pooled=["question"], model="b", method="qrhead", k=20)
    assert bars.lines[0].get_ydata().tolist() == rows.sort_values("context_length")["drop"].tolist()


def test_lengths_have_their_level_of_random_heads_behind_them():
    together, of_a, _ = picture("token_length_effect", "large").axes
    rows = tables_of("large")["mean_drops"]
    rows = rows[(rows["grouping"] == "context_length") & (rows["source"] == "random") & (rows["k"] == 20)]
    rows = rows[rows["matching"] == "layer"]
    assert bands(together) == [pytest.approx((rows["drop_low"].min(), rows["drop_high"].max()))]
    rows = select(tables_of("large")["against_random"], pooled=["question"], model="a", k=20, matching="layer")
    assert bands(of_a) == [(rows["drop_low"].min(), rows["drop_high"].max())]


@pytest.mark.parametrize(
    ("name", "study", "column", "value", "words"),
    [
        ("token_length_effect", "small", "context_length", 512, "one context length only"),
        ("q1_equal_impact", "small", "question", "inc_year", "one question only"),
        ("q3_ablation_effectiveness", "small", "question", "inc_year", "one category of questions only"),
        ("model_comparison", "large", "model", "a", "one model only"),
    ],
)
def test_what_was_ablated_at_one_value_only_gives_a_note(name, study, column, value, words):
    rows = tables_of(study)["effects"]
    figure = draw(name, study, effects=rows[rows[column] == value])
    assert not figure.axes
    assert words in " ".join(text.replace("\n", " ") for text, _ in texts(figure))


@pytest.mark.parametrize("name", [*STRIPS, "token_length_effect"])
def test_without_random_heads_the_rest_is_drawn(name):
    tables = tables_of("large")
    mean_drops = tables["mean_drops"]
    figure = draw(
        name,
        "large",
        mean_drops=mean_drops[mean_drops["source"] == "method"],
        against_random=tables["against_random"].iloc[:0],
    )
    assert figure.axes and not bands(figure.axes[0])


def gap_of(rankings, **where):
    chosen = np.logical_and.reduce([rankings[name] == value for name, value in where.items()])
    first, second = rankings[chosen].sort_values("rank")["score"].iloc[:2]
    return (first - second) / first


def test_gaps_are_those_of_the_first_two_heads():
    figure = picture("score_dominance", "large")
    rankings = tables_of("large")["rankings"]
    panel = figure.axes[1]
    assert panel.get_title("left") == "Wu24"
    gaps = {
        (model, length): [
            gap_of(rankings, model=model, method="wu24", question=question, context_length=length, variant="plain")
            for question in STUDIES["large"].config["questions"]
        ]
        for model in "ab"
        for length in (1024, 2048, 4096)
    }
    drawn = [line.get_ydata() for line in panel.lines if line.get_label() == "b"]
    assert [sorted(heights) for heights in drawn] == [
        pytest.approx(sorted(gaps["b", length])) for length in (1024, 2048, 4096)
    ]
    mean = panel.containers[0].lines[0].get_ydata()[0]
    assert mean == pytest.approx(np.mean(list(gaps.values())))
    (low, high) = panel.containers[0].lines[2][0].get_segments()[0][:, 1]
    assert low < mean < high


def test_a_gap_needs_two_heads_and_a_score():
    study = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,))
    rankings = make_rankings(study)
    draw_it = figures.load("score_dominance").draw
    assert not draw_it({"rankings": rankings.assign(score=0.0)}, study).axes
    assert not draw_it({"rankings": rankings[rankings["rank"] == 1]}, study).axes
    figure = draw_it({"rankings": rankings}, study)  # one ranking has a mean, and no interval
    assert figure.axes[0].containers[0].lines[0].get_ydata()[0] == pytest.approx(
        gap_of(rankings, method="wu24", question="hq_state")
    )


def test_grid_names_models_as_the_study_does():
    study = make_study(models=("a", "b"), methods=("wu24", "qrhead"), levels=(5,), lengths=(512,))
    study.config["models"]["a"]["label"] = "The first model"
    figure = figures.load("figure8_option_c_grid").draw(ablated_tables(study), study)
    drawn = [text for text, _ in texts(figure)]
    assert drawn.count("The first model") == 1 and drawn.count("b") == 1 and "a" not in drawn


def test_a_line_and_its_band_are_one_key():
    legend = picture("figure8_option_a_by_question").legends[0]
    keys = dict(zip([text.get_text() for text in legend.get_texts()], legend.legend_handles, strict=True))
    assert len(keys) == 5 and "Random heads matched by layer" in keys


def test_a_set_that_ends_below_the_level_is_drawn_at_it():
    """Wu24 tells 5 heads apart, and so its top 20 are those of level 5."""
    study = make_study(methods=("wu24", "qrhead"), levels=(5, 20), lengths=(512, 1024), models=("a", "b"))
    results = make_ablation(study)
    results["size"] = results["size"].where(results["method"] != "wu24", 5)
    outcomes = as_outcomes(results, study.seed, 50)
    found = estimate_effects(outcomes)
    rows = select(found.effects, pooled=("question", "context_length"), model="a", method="wu24")
    assert rows["k"].tolist() == [5]
    tables = {"effects": found.effects, "against_random": found.against_random, "rankings": make_rankings(study)}
    tables["mean_drops"] = mean_drops(outcomes, study.categories)
    figure = figures.load("accuracy_drop_summary").draw(tables, study)
    (bars,) = [bars for bars in figure.axes[0].containers if bars.get_label() == "Wu24" and len(bars) == 5]
    assert bars[-1].get_height() == rows["drop"].item()
    length = figures.load("token_length_effect").draw(tables, study).axes[1]
    assert {bars.get_label() for bars in length.containers} == {"Wu24", "QRHead"}
    below = figures.load("model_comparison").draw(tables, study).axes[1:]
    assert [ax.get_title("left") for ax in below] == ["Wu24", "QRHead"]


def test_models_of_unequal_size_are_named_with_it():
    """Models are compared at equal shares alone: what was ablated in all of them."""
    top = picture("model_comparison", "two grids").axes[0]
    assert top.get_xlabel() == "Heads ablated, an equal share of each model's"
    assert [text.get_text() for text in top.get_xticklabels()] == ["5 of 72 in a\n20 of 270 in b\n20 of 270 in c"]
    rows = tables_of("two grids")["mean_drops"]
    for model, k in (("a", 5), ("b", 20), ("c", 20)):
        row = rows[(rows["grouping"] == "model") & (rows["value"] == model) & (rows["k"] == k)]
        expected = row[row["source"] == "method"][["drop", "drop_low", "drop_high"]]
        assert np.ravel(marks(top, model)).tolist() == pytest.approx(np.ravel(expected).tolist())
    assert picture("model_comparison", "large").axes[0].get_xlabel() == "Heads ablated"


def test_models_of_which_no_equal_share_was_ablated_are_not_compared():
    study, made = STUDIES["two grids"], tables_of("two grids")
    effects = made["effects"][made["effects"]["k"] != 5]
    figure = figures.load("model_comparison").draw({**made, "effects": effects}, study)
    assert any("No equal share of the heads of each model was ablated" in said for said, _ in texts(figure))


@pytest.mark.parametrize(
    ("name", "grouping", "value", "label"),
    [
        ("q1_equal_impact", "question", "inc_year", "Year of incorporation"),
        ("q3_ablation_effectiveness", "category", "numerical", "Numerical"),
    ],
)
def test_strips_of_models_of_another_shape_stand_in_a_row_of_their_own(name, grouping, value, label):
    axes = picture(name, "two grids").axes
    assert [ax.get_title(loc="left") for ax in axes] == ["a", "b, c"]
    rows = means(name, grouping, value, study="two grids")
    for ax, layers in zip(axes, (6, 9), strict=True):
        expected = rows.loc[rows["layers"] == layers, ["drop", "drop_low", "drop_high"]]
        assert np.ravel(marks(ax, label)).tolist() == pytest.approx(np.ravel(expected).tolist())


def test_categories_are_told_apart():
    study = STUDIES["small"]
    looks = [_style.category_style(study, category) for category in ("categorical", "numerical")]
    assert looks[0]["color"] != looks[1]["color"] and looks[0]["marker"] != looks[1]["marker"]


def test_means_over_all_levels_weigh_each_level_the_same():
    frame = pd.DataFrame(
        {
            "model": "m",
            "method": "w",
            "question": "q",
            "context_length": 1,
            "variant": "plain",
            "category": "c",
            "drop": [0.2, 0.6],
        }
    )
    (row,) = over_levels(frame).itertuples()
    assert row.drop == pytest.approx(0.4) and pd.isna(row.k)


def lines_of(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def test_guessing_is_drawn_in_every_panel_where_it_is_known():
    rows = tables_of("large")["effects"]
    by_question = select(rows, pooled=["context_length"]).groupby(["model", "question"])["guess"].mean()
    every = select(rows, pooled=["question", "context_length"]).groupby("model")["guess"].mean()
    for name, expected in (
        ("figure8_option_a_by_question", by_question),
        ("figure8_option_b_by_method", every.repeat(3)),
        ("figure8_option_c_grid", pd.concat([by_question["a"]] * 3 + [by_question["b"]] * 3)),
    ):
        drawn = [line.get_ydata()[0] for ax in picture(name, "large").axes for line in lines_of(ax, _controls.GUESSING)]
        assert sorted(drawn) == pytest.approx(sorted(expected)), name
        unknown = draw(name, "large", effects=rows.assign(guess=np.nan))
        assert not any(lines_of(ax, _controls.GUESSING) for ax in unknown.axes)


def test_the_drop_to_guessing_stands_at_every_group_of_bars():
    rows = tables_of("small")["effects"]
    (marks,) = [c for c in picture("accuracy_drop_summary").axes[0].collections if c.get_label() == _controls.GUESSING]
    drawn = [segment[0, 1] for segment in marks.get_segments()]
    by_question = select(rows, pooled=["context_length"], k=20).groupby("question")["headroom"].mean()
    every = select(rows, pooled=["question", "context_length"], k=20)["headroom"].mean()
    assert drawn == pytest.approx([*by_question[list(STUDIES["small"].config["questions"])], every])
    unknown = draw("accuracy_drop_summary", effects=rows.assign(headroom=np.nan))
    assert _controls.GUESSING not in [text for text, _ in texts(unknown)]


def test_the_guard_holds_means_and_ranges_by_method_and_random_heads():
    study = STUDIES["large"]
    spread = {"inc_state": 0.0, "inc_year": -0.1, "employee_count": -0.2, "hq_state": -0.7}
    guard = make_guard(
        study, lambda method, k, question: -0.01 * k + spread[question], random=lambda _, k, q: spread[q] / k
    )
    of_a, _ = draw("language_guard", "large", guard=guard).axes
    (bars,) = [bars for bars in of_a.containers if bars.get_label() == "QRHead"]
    assert bars.lines[0].get_ydata() == pytest.approx([0, -0.05 - 0.25, -0.2 - 0.25])
    ends = np.array(bars.lines[2][0].get_segments())[:, :, 1]
    assert ends == pytest.approx(np.array([[0, 0], [-0.75, -0.05], [-0.9, -0.2]]))
    assert bands(of_a) == [pytest.approx((-0.7 / 5, 0))]
    marks = {line.get_label(): line.get_ydata()[0] for line in of_a.lines if line.get_label().startswith("Limit")}
    assert marks == {
        "Limit: language whole": -LANGUAGE_WHOLE,
        "Limit: model broken": -LANGUAGE_BROKEN,
    }


def test_a_guard_of_the_whole_model_alone_gives_a_note():
    guard = make_guard(STUDIES["small"])
    assert not draw("language_guard", guard=guard[guard["source"] == "baseline"]).axes

from dataclasses import replace
from functools import cache, lru_cache
from itertools import combinations
from types import SimpleNamespace
from unittest.mock import patch

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from made_tables import (
    ELEVEN_METHODS,
    SMALL,
    TWELVE_METHODS,
    ablation_by_depth,
    analyse,
    make_ablation,
    make_rankings,
    make_reliability,
    make_study,
    small_tables,
    with_long_names,
    with_twins,
)
from projects import ROOT
from retrieval_heads import figures, tables
from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.errors import StudyError
from retrieval_heads.figures import _layout, _style
from retrieval_heads.findings.sections import TITLES
from retrieval_heads.reading import read_yaml
from retrieval_heads.study.config import complete
from retrieval_heads.study.methods import described_methods
from retrieval_heads.study.needs import available
from retrieval_heads.tables.select import select

DEPTHS = (0, 0.25, 0.5, 0.75, 1)


def yardstick_at(length, study):
    """The same study with a yardstick of one context length."""
    return replace(
        study, config={**study.config, "yardstick": {**study.config["yardstick"], "context_lengths": [length]}}
    )


def named_as_the_default(study):
    """The same study, whose methods are called as those of the default study, in order."""
    config = complete(read_yaml(ROOT / "config" / "config.yaml", "correct it"))
    labels = [method["label"] for method in described_methods(config).values()]
    named = {name: {**one, "label": label} for (name, one), label in zip(study.methods.items(), labels, strict=True)}
    return replace(study, methods=named)


STUDIES = {
    "small": SMALL,
    "one of each": make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,)),
    "large": make_study(models=("a", "b"), lengths=(1024, 2048, 4096), levels=(5, 20)),
    "two grids": with_twins(make_study(models=("a", "b", "c"), levels=(5, 20))),
    "twins": with_twins(make_study(lengths=(512,), controls={"looks": {}})),
    "many methods": named_as_the_default(
        with_twins(make_study(methods=tuple(ELEVEN_METHODS), levels=(5, 20), controls={"transfer": {}, "looks": {}}))
    ),
    "many methods and models": make_study(
        models=("a", "b"),
        methods=tuple(ELEVEN_METHODS),
        lengths=(1024, 2048, 4096),
        levels=(5, 20),
        controls={"specificity": {}, "transfer": {}},
    ),
    "long names": with_long_names(
        yardstick_at(
            512,
            with_twins(
                make_study(
                    models=("a", "b"),
                    methods=tuple(TWELVE_METHODS),
                    questions=("inc_state", "inc_year", "hq_state"),
                    levels=(5, 20),
                    controls={"transfer": {}, "looks": {}},
                )
            ),
        )
    ),
    "all equal": make_study(
        models=("a", "b"),
        lengths=(512, 1024, 2048),
        levels=(5,),
        controls={"specificity": {}, "transfer": {}, "looks": {}, "compensation": {}},
    ),
    "depths": make_study(models=("a", "b"), lengths=(512, 1024, 2048, 4096), levels=(5,), depths=DEPTHS),
}


def make_tables(study):
    return analyse(study, make_rankings(study), make_ablation(study), make_reliability(study))


def many_methods(study):
    """As many heads as a small model has, so that lists and maps are as long as they get."""
    return analyse(study, make_rankings(study, 30, 9), make_ablation(study), make_reliability(study))


def of_grids(study, *grids):
    """Rankings of models of these shapes."""
    parts = []
    for seed, (model, (layers, heads)) in enumerate(zip(study.config["models"], grids, strict=True)):
        one = replace(study, config={**study.config, "models": {model: study.config["models"][model]}})
        parts.append(make_rankings(one, layers, heads, seed))
    return pd.concat(parts, ignore_index=True)


def long_names(study):
    """Models of two shapes, and names that have no room as they are."""
    return analyse(study, of_grids(study, (6, 12), (9, 6)), make_ablation(study, 6), make_reliability(study))


def two_grids(study):
    """Models of two shapes; Wu24 scores three heads of each, and in one length of one model none."""
    rankings = of_grids(study, (6, 12), (9, 30), (9, 30))
    none = (rankings["model"] == "b") & (rankings["context_length"] == 512)
    scored = (rankings["method"] != "wu24") | (~none & (rankings["rank"] <= 3))
    ablation = make_ablation(study)
    ablation["size"] = ablation["size"].where(ablation["method"] != "wu24", ablation["size"].clip(upper=3))
    none = (ablation["method"] == "wu24") & (ablation["model"] == "b") & (ablation["context_length"] == 512)
    rankings = placed(rankings.assign(score=rankings["score"].where(scored, 0.0)))
    return analyse(study, rankings, ablation[~none], make_reliability(study))


def depths(study):
    """Prompts are answered less deep in the haystack, and ablation costs more there."""
    deep = {depth: {"baseline": 0.95 - 0.4 * depth, "seed": number} for number, depth in enumerate(DEPTHS)}
    rankings = make_rankings(study)
    return analyse(study, rankings, ablation_by_depth(study, deep), make_reliability(study))


def all_equal(study):
    """No score tells a head from another: every top set is empty, and none is ablated."""
    rankings, ablation = placed(make_rankings(study).assign(score=0.0)), make_ablation(study)
    halves = make_reliability(study).assign(
        size_a=0, size_b=0, jaccard=np.nan, chance=np.nan, p=np.nan, spearman=np.nan
    )
    return analyse(study, rankings, ablation[ablation["source"] == "baseline"], halves)


@cache
def tables_of(name):
    if name == "small":
        return small_tables()
    makers = {"two grids": two_grids, "twins": many_methods, "all equal": all_equal, "many methods": many_methods}
    makers |= {"depths": depths, "long names": long_names}
    return makers.get(name, make_tables)(STUDIES[name])


def draw(name, study="small", **changed):
    tables = {**tables_of(study), **changed}
    if study == "long names":  # which the figure itself does not know to be long
        return figures.draw(name, tables, STUDIES[study])
    declared = figures.declarations()[name].tables
    return figures.load(name).draw({table: tables[table] for table in declared}, STUDIES[study])


@lru_cache(maxsize=16)
def picture(name, study="small"):
    """A figure of a study as it is, for tests that look at it and change nothing."""
    return draw(name, study)


def texts(figure):
    """The texts that a figure draws, with the space they take."""
    found, canvas = {}, FigureCanvasAgg(figure)
    draw_text = Text.draw

    def record(text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            found[id(text)] = text
        return draw_text(text, renderer, *args, **kwargs)

    with patch.object(Text, "draw", record):
        figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    return [(text.get_text(), Text.get_window_extent(text, renderer)) for text in found.values()]


@cache
def seen(name, study):
    """What is seen of a figure, found once: its label, whether each panel has data, its size, and its texts."""
    figure = draw(name, study)
    return SimpleNamespace(
        label=figure.get_label(), panels=[ax.has_data() for ax in figure.axes], box=figure.bbox, texts=texts(figure)
    )


WIDEST = ("large", "two grids", "many methods", "many methods and models", "long names", "depths")
CASES = [(name, study) for study, made in STUDIES.items() for name in figures.drawable(available(made.config))]
"""Every figure with every study in which it has something to show."""


def to_try(without=()):
    """The cases of all studies but some; those of the widest take minutes."""
    return [
        pytest.param(name, study, marks=[pytest.mark.thorough] if study in WIDEST else [])
        for name, study in CASES
        if study not in without
    ]


@pytest.mark.parametrize(("name", "study"), to_try())
def test_every_figure_draws_what_there_is_and_no_empty_panel(name, study):
    figure = seen(name, study)
    assert all(figure.panels)
    for text, box in figure.texts:
        assert box.x0 >= -1 and box.x1 <= figure.box.x1 + 1, f"{text!r} is cut off"
        assert box.y0 >= -1 and box.y1 <= figure.box.y1 + 1, f"{text!r} is cut off"


@pytest.mark.parametrize(("name", "study"), to_try(without=("one of each", "all equal")))
def test_no_texts_overlap(name, study):
    boxes = seen(name, study).texts
    for i, (one, a) in enumerate(boxes):
        for other, b in boxes[i + 1 :]:
            across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert across <= 1 or up <= 1, f"{one!r} runs into {other!r}"


@pytest.mark.parametrize("name", figures.declarations())
def test_where_no_head_is_told_apart_a_sentence_says_so(name):
    """But for what equal ranks can show: that rankings agree as much as chance has it, and what they miss."""
    figure = seen(name, "all equal")
    shown = {"overlap_summary", "method_overlap", "reliability_by_method"}
    shown |= {"effects_by_method", "score_and_effect", "quality_and_cost", "variant_accuracy"}
    assert bool(figure.label) == (name not in shown)
    assert "nan" not in " ".join(text for text, _ in figure.texts).lower().split()


PAGE = 11.0
"""The height of a printed page, less its margins and a caption, in inches."""


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, study in CASES if study == "many methods"])
def test_many_methods_fit_on_a_page(name):
    figure = draw(name, "many methods")
    assert figure.get_figheight() <= PAGE, "break panels into more columns, list fewer heads, or draw a matrix"


@pytest.mark.thorough
def test_accuracy_of_many_methods_fits_on_a_screen():
    figure = picture("figure8_option_b_by_method", "many methods")
    assert len(figure.axes) == 11 and figure.get_figheight() < 0.6 * figure.get_figwidth()


@pytest.mark.thorough
def test_models_of_many_methods_are_drawn_apart():
    several = picture("figure8_option_b_by_method", "many methods and models")
    assert len(several.axes) == 22 and several.get_figheight() < several.get_figwidth()
    assert [part.get_suptitle() for part in several.subfigs] == ["a", "b"]


def test_each_of_many_methods_has_a_look_of_its_own():
    study = STUDIES["many methods"]
    looks = [_style.method_style(study, method) for method in study.methods]
    assert len({look["color"] for look in looks}) == len({look["marker"] for look in looks}) == len(looks) == 11


@pytest.mark.parametrize("seen_as", ["all colours", "no red", "no green"])
def test_methods_are_told_apart_by_colour(seen_as):
    """As far as the first seven are, whoever looks; the simulation is of Machado et al. 2009."""
    study = STUDIES["many methods"]
    colours = [lab(_style.method_style(study, method)["color"], seen_as) for method in study.methods]
    nearest = [np.linalg.norm(one - other) for one, other in combinations(colours, 2)]
    assert min(nearest) > 17


def lab(colour, seen_as):
    """A colour in CIELAB as it is seen with each kind of colour vision."""
    seen = {
        "all colours": np.eye(3),
        "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    }[seen_as]
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    srgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt((to_xyz @ np.clip(seen @ linear, 0, 1)) / to_xyz.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.thorough
def test_a_matrix_holds_the_mean_ranks_of_each_head_with_each_method():
    figure = draw("consensus_heads", "many methods")
    ax = figure.axes[-1]
    names = [label.get_text() for label in ax.get_yticklabels()]
    ranks = head_profiles.mean_ranks(head_profiles.select(tables_of("many methods")["profiles"]), "method")
    assert len(ax.texts) == 11 * len(names)
    for text in ax.texts:
        method, head = list(ELEVEN_METHODS)[int(text.get_position()[0])], names[int(text.get_position()[1])]
        layer, number = map(int, head[1:].split("H"))
        assert float(text.get_text()) == pytest.approx(ranks.loc[(layer, number), method], abs=0.051)


@pytest.mark.thorough
def test_matrices_of_pairs_hold_each_measure_at_each_length():
    figure = draw("method_overlap", "many methods")
    pairs = tables_of("many methods")["overlap"]
    pairs = pairs[(pairs["dimension"] == "method") & (pairs["context_length"] == 1024)]
    chosen = pairs[(pairs["a"] == "locos") & (pairs["b"] == "wu24")]
    heatmaps = [ax for ax in figure.axes if len(ax.get_yticklabels()) == 10 or ax.images or ax.collections][:6]
    cells = [ax.collections[0].get_array() for ax in heatmaps]
    order = list(ELEVEN_METHODS)
    for row, measure in enumerate(("jaccard", "rbo", "spearman")):
        found = cells[2 * row + 1][order.index("locos") - 1, order.index("wu24")]
        assert found == pytest.approx(chosen[measure].mean())


MAIN = """
figure8_option_a_by_question figure8_option_b_by_method figure8_option_c_grid accuracy_drop_summary q1_equal_impact
q2_head_overlap_questions q2_numerical_vs_categorical q3_ablation_effectiveness q4_head_patterns method_head_overlap
method_unique_heads model_comparison token_length_effect
"""
EXPLORATION = """
consensus_heads method_disagreement question_specialists instruct_vs_base_differences head_volatility score_dominance
overlap_summary question_overlap_heatmaps token_length_overlap method_overlap model_overlap universal_heads
universal_heads_by_method layer_distribution_by_method
"""


def test_all_figures_of_the_reference_study_are_there_and_drawn_where_all_is_compared():
    names = {*MAIN.split(), *EXPLORATION.split()}
    assert len(names) == 27 and names <= set(figures.drawable(available(STUDIES["large"].config)))


def test_every_figure_stands_in_a_section_and_reads_tables_that_exist():
    known = set(tables.all_tables())
    known |= {"rankings", "guard"}
    for figure in figures.declarations().values():
        assert figure.section in TITLES and set(figure.tables) <= known


def test_figures_that_compare_need_two_values():
    names = figures.drawable(available(STUDIES["one of each"].config))
    assert "figure8_option_a_by_question" in names
    assert "method_head_overlap" not in names and "q2_head_overlap_questions" not in names


def test_an_unknown_figure_is_refused():
    with pytest.raises(StudyError, match="there is no figure nothing; choose from ablation_by_intervention"):
        figures.load("nothing")


def test_curves_hold_the_tables_values():
    figure = picture("figure8_option_a_by_question")
    rows = select(tables_of("small")["effects"], pooled=["context_length"], method="wu24", question="inc_state")
    (bars,) = [bars for bars in figure.axes[0].containers if bars.get_label() == "Wu24"]
    line = bars.lines[0]
    assert line.get_ydata().tolist() == [rows["baseline"].iloc[0], *rows.sort_values("k")["accuracy"]]
    ends = np.array(bars.lines[2][0].get_segments())[:, :, 1]
    assert ends[1:].tolist() == pytest.approx(rows.sort_values("k")[["accuracy_low", "accuracy_high"]].to_numpy())


def test_band_reaches_over_the_controls_intervals():
    figure = picture("figure8_option_a_by_question")
    rows = select(
        tables_of("small")["against_random"], pooled=["context_length"], question="inc_state", matching="layer"
    )
    (band,) = figure.axes[0].collections[:1]
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == rows["accuracy_low"].min() and heights.max() == rows["accuracy_high"].max()


def test_unmatched_controls_serve_where_there_are_no_matched_ones():
    controls = tables_of("small")["against_random"]
    figure = draw("figure8_option_a_by_question", against_random=controls[controls["matching"] == "none"])
    labels = [text for text, _ in texts(figure)]
    assert "Random heads of any layer" in labels and "Random heads matched by layer" not in labels


def test_bars_are_the_drops_and_come_for_all_questions_too():
    figure = picture("accuracy_drop_summary")
    (bars,) = [bars for bars in figure.axes[0].containers if bars.get_label() == "QRHead" and len(bars) == 5]
    frame = tables_of("small")["effects"]
    last = select(frame, pooled=("question", "context_length"), method="qrhead", k=20).iloc[0]
    assert bars[-1].get_height() == last["drop"]


def test_heatmap_cells_are_mean_jaccards():
    figure = picture("method_head_overlap")
    pairs = tables_of("small")["overlap"]
    chosen = pairs[(pairs["dimension"] == "method") & (pairs["a"] == "summed_attention") & (pairs["b"] == "wu24")]
    (cells,) = figure.axes[0].collections
    assert cells.get_array()[0, 0] == pytest.approx(chosen["jaccard"].mean())


def test_layer_shares_add_up():
    figure = picture("layer_distribution_by_method")
    for ax in figure.axes:
        assert sum(bar.get_height() for bar in ax.containers[0]) == pytest.approx(1)


def test_a_method_has_one_colour_everywhere_and_no_two_share_it():
    study = STUDIES["small"]
    colours = {method: _style.method_style(study, method)["color"] for method in study.methods}
    assert len(set(colours.values())) == 3
    figure = picture("layer_distribution_by_method")
    drawn = [matplotlib.colors.to_hex(ax.containers[0][0].get_facecolor()).upper() for ax in figure.axes]
    assert drawn == [colour.upper() for colour in colours.values()]


def test_a_note_tells_its_sentence_and_a_figure_none(tmp_path):
    text = "No two of them can be compared: a < b & c."
    figures.save(_layout.note(text), tmp_path / "note.svg", tmp_path / "note.png")
    assert figures.note_in(tmp_path / "note.svg") == text
    figures.save(draw("method_head_overlap"), tmp_path / "figure.svg")
    assert figures.note_in(tmp_path / "figure.svg") is None


def test_saved_files_are_whole_and_the_same_each_time(tmp_path):
    for run in ("one", "two"):
        figures.save(draw("method_head_overlap"), tmp_path / run / "figure.svg", tmp_path / run / "figure.png")
    assert (tmp_path / "one/figure.svg").read_bytes() == (tmp_path / "two/figure.svg").read_bytes()
    assert (tmp_path / "one/figure.png").read_bytes() == (tmp_path / "two/figure.png").read_bytes()
    assert not list(tmp_path.rglob("*.partial"))

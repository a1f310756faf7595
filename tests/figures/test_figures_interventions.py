"""The figure that shows every intervention: what its panels hold, and that it can be read however many there are."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer
from test_figures import texts

from made_tables import ELEVEN_METHODS, make_ablation, make_study
from retrieval_heads import figures
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.figures import _controls
from retrieval_heads.figures.ablation_by_intervention import BASELINE
from retrieval_heads.study.needs import available
from retrieval_heads.tables.select import of_intervention, select

NAME = "ablation_by_intervention"
TWO = {"reading": {"mode": "zero", "scope": "suffix"}, "everywhere": {"mode": "zero", "scope": "all"}}
FIVE = TWO | {
    "answering": {"mode": "zero", "scope": "decode"},
    "uniform": {"mode": "uniform", "scope": "suffix"},
    "uniform_all": {"mode": "uniform", "scope": "all"},
}
MANY = tuple(ELEVEN_METHODS)
STUDIES = {
    "two": make_study(questions=("inc_year",), lengths=(512,), levels=(5, 20), interventions=TWO),
    "rows": make_study(models=("a", "b"), questions=("inc_year",), levels=(5, 10, 20), interventions=TWO),
    "many methods": make_study(
        methods=MANY, questions=("inc_year",), lengths=(512,), levels=(5, 20), interventions=FIVE
    ),
    "many rows": make_study(
        methods=MANY, models=("a", "b"), questions=("inc_year",), levels=(5, 20), interventions=FIVE
    ),
}


@cache
def tables_of(name):
    """Ablation under every intervention: zero in all tokens at the largest level alone, as it costs most."""
    study = STUDIES[name]
    parts = [
        make_ablation(study, 8, intervention=one, levels=[20] if one == "everywhere" else None)
        for one in study.interventions
    ]
    found = estimate_effects(as_outcomes(pd.concat(parts, ignore_index=True), study.seed, study.resamples))
    return {"effects": found.effects, "against_random": found.against_random}


@cache
def picture(name):
    return figures.draw(NAME, tables_of(name), STUDIES[name])


def points(ax, label):
    """k, value and ends of the interval of every point with this label."""
    (bars,) = [one for one in ax.containers if isinstance(one, ErrorbarContainer) and one.get_label() == label]
    x, y = bars.lines[0].get_data()
    ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
    return x, y, *ends.T


def test_it_is_there_where_there_are_several_interventions():
    alone = make_study()
    assert NAME in figures.drawable(available(STUDIES["two"].config))
    assert NAME not in figures.drawable(available(alone.config))


def test_each_panel_holds_the_accuracies_of_its_intervention():
    figure, made = picture("two"), tables_of("two")
    reading, everywhere = figure.axes
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["zero, question and answer", "zero, all tokens"]
    assert not figure.get_supxlabel().startswith("Ablation")  # no single one is named
    for name, ax in (("reading", reading), ("everywhere", everywhere)):
        effects = select(of_intervention(made, name)["effects"], pooled=["question"])
        for method, about in STUDIES["two"].methods.items():
            rows = effects[effects["method"] == method].sort_values("k")
            expected = rows[["accuracy", "accuracy_low", "accuracy_high"]].to_numpy(float).T
            _, *drawn = points(ax, about["label"])
            np.testing.assert_allclose(np.array(drawn, float)[:, -len(rows) :], expected)
        (baseline,) = [line for line in ax.lines if line.get_label() == BASELINE]
        assert baseline.get_ydata()[0] == pytest.approx(effects["baseline"].mean())
        (guess,) = [line for line in ax.lines if line.get_label() == _controls.GUESSING]
        assert guess.get_ydata()[0] == pytest.approx(effects["guess"].mean())
    x, y, *_ = points(reading, "Wu24")
    assert np.round(x).tolist() == [0, 5, 20] and y[0] == pytest.approx(reading.lines[0].get_ydata()[0])
    assert reading.get_ylim() == everywhere.get_ylim()


def test_one_level_is_points_side_by_side_before_random_heads():
    figure, made = picture("two"), tables_of("two")
    ax = figure.axes[1]
    at = [points(ax, about["label"])[0].tolist() for about in STUDIES["two"].methods.values()]
    assert all(len(x) == 1 for x in at) and np.mean(at) == pytest.approx(20) and at == sorted(at)
    assert list(ax.get_xticks()) == [20]
    (band,) = [one for one in ax.collections if one.get_label() == _controls.RANDOM_HEADS["layer"]]
    box = band.get_paths()[0].vertices
    assert box[:, 0].min() < min(at)[0] and box[:, 0].max() > max(at)[0]
    random = select(of_intervention(made, "everywhere")["against_random"], pooled=["question"])
    random = random[random["matching"] == "layer"]
    ends = random["accuracy_low"].min(), random["accuracy_high"].max()
    assert (box[:, 1].min(), box[:, 1].max()) == pytest.approx(ends)


def test_each_model_and_length_has_a_row_of_its_own():
    figure = picture("rows")
    assert len(figure.axes) == 4 * 2
    named = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert named == {f"{model}\n{length} tokens" for model in "ab" for length in ("512", "1,024")}


def test_a_panel_is_empty_where_an_intervention_was_not_tried():
    made = {
        name: table[(table["intervention"] != "everywhere") | (table["context_length"] == 512)]
        for name, table in tables_of("rows").items()
    }
    figure = figures.draw(NAME, made, STUDIES["rows"])
    assert [ax.axison for ax in figure.axes] == [True, True, True, False] * 2


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.thorough] if name.startswith("many") else []) for name in STUDIES]
)
def test_its_texts_can_be_read_and_it_fits_on_a_page(name):
    figure = picture(name)
    found, box = texts(figure), figure.bbox
    assert figure.get_figheight() <= 11
    for i, (one, a) in enumerate(found):
        assert a.x0 >= -1 and a.x1 <= box.x1 + 1 and a.y0 >= -1 and a.y1 <= box.y1 + 1, f"{one!r} is cut off"
        for other, b in found[i + 1 :]:
            across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
            assert across <= 1 or up <= 1, f"{one!r} runs into {other!r}"


def test_where_nothing_was_ablated_a_sentence_says_so():
    made = {name: table.iloc[:0] for name, table in tables_of("two").items()}
    assert (
        figures.draw(NAME, made, STUDIES["two"]).get_label()
        == "No top heads were ablated beside an unablated baseline."
    )

"""Long names are shortened in figures where they clash, and only there; a key below says what they are in full."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from made_tables import make_study
from retrieval_heads.figures._labels import fitted, shortened

LONG = "A model that was tuned to answer questions about {} of a report"
FIRST, SECOND = LONG.format("the first page"), LONG.format("the last page")


def study_of(first, second):
    """A study of two models with these names."""
    study = make_study(models=("a", "b"))
    models = {
        name: {**entry, "label": label}
        for (name, entry), label in zip(study.config["models"].items(), (first, second), strict=True)
    }
    return replace(study, config={**study.config, "models": models})


def beside(width):
    """A figure of this width with a model's name above each of two panels, and the drawing's number of calls."""
    calls = []

    def draw(study):
        calls.append(study)
        figure = Figure(figsize=(width, 2), layout="constrained")
        for ax, model in zip(figure.subplots(1, 2), ("a", "b"), strict=True):
            ax.plot([0, 1])
            ax.set_title(study.label("model", model), fontsize=8)
        figure.supxlabel("Heads ablated")
        return figure

    return draw, calls


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_short_names_are_drawn_once_and_as_they_are():
    draw, calls = beside(3)
    assert titles(fitted(draw, study_of("Small", "Large"))) == ["Small", "Large"] and len(calls) == 1


def test_long_names_stay_where_they_have_room():
    draw, _ = beside(12)
    figure = fitted(draw, study_of(FIRST, SECOND))
    assert titles(figure) == [FIRST, SECOND] and not figure.legends and figure.get_supxlabel() == "Heads ablated"


def test_names_that_clash_are_shortened_as_little_as_can_be_and_a_key_tells_them_in_full():
    found = {width: titles(fitted(beside(width)[0], study_of(FIRST, SECOND))) for width in (3, 4, 5)}
    lengths = [max(map(len, found[width])) for width in (3, 4, 5)]
    assert lengths == sorted(lengths) and lengths[0] < lengths[-1] < len(FIRST)
    figure = fitted(beside(4)[0], study_of(FIRST, SECOND))
    (key,) = figure.legends
    entries = " ".join(text.get_text() for text in key.get_texts()).split()
    assert " ".join(entries) == " ".join(
        f"{short} = {name}" for short, name in zip(titles(figure), (FIRST, SECOND), strict=True)
    )
    assert key.get_title().get_text() == "Heads ablated" and figure.get_figheight() > 2


def test_names_of_which_none_clashes_stay_where_others_are_shortened():
    study = study_of(FIRST, SECOND)
    methods = {name: {**entry, "label": f"Method {name}, told at length"} for name, entry in study.methods.items()}

    def draw(study):
        figure = beside(4)[0](study)
        figure.suptitle(study.label("method", "wu24"), fontsize=8)
        return figure

    figure = fitted(draw, replace(study, methods=methods))
    assert figure.get_suptitle() == "Method wu24, told at length" and titles(figure) != [FIRST, SECOND]


def test_a_panel_keeps_its_room_beside_long_names():
    def draw(study):
        figure = Figure(figsize=(6, 2), layout="constrained")
        figure.subplots().barh([study.label("model", model) for model in ("a", "b")], [1, 2])
        return figure

    study = study_of(FIRST, SECOND)
    wide, before = (figure.axes[0] for figure in (fitted(draw, study), draw(study)))
    for ax in (wide, before):
        ax.get_figure().draw_without_rendering()
    assert wide.get_window_extent().width > 2 * before.get_window_extent().width


def test_where_nothing_helps_the_figure_is_drawn_all_the_same():
    def draw(study):
        figure = Figure(figsize=(1, 1), layout="constrained")
        figure.text(0.5, 0.5, "beyond every edge of it")
        figure.subplots().set_title(study.label("model", "a"))
        return figure

    assert fitted(draw, study_of(FIRST, SECOND)).axes


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["A plain name", "Another one"], ["A plain…", "Another…"]),
        (["tuned, step 100", "tuned, step 200"], ["tune…100", "tune…200"]),
        (["one of them: yes, by all", "one of them: not by all"], ["…, by all", "…t by all"]),
        (["a name with x in its very end", "a name with y in its very end"], ["a name… 1", "a name… 2"]),
        (["tuned, step 100", "tuned, step 200", "another one"], ["tune…100", "tune…200", "another…"]),
        (["short", "not as short as it"], ["short", "not as s…"]),
    ],
)
def test_shortened_names_are_told_apart(names, found):
    assert list(shortened(names, 9).values()) == found
    assert all(len(short) <= 9 for short in found) and len(np.unique(found)) == len(names)

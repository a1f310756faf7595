"""The matrix of source and target questions shows the drops of its table."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from made_tables import ELEVEN_METHODS, QUESTIONS, make_study
from made_transfer import measured, right_answers, transfer_rows
from retrieval_heads import figures
from retrieval_heads.study.dimensions import PLAIN

pytestmark = pytest.mark.thorough

READING = {
    "everywhere": {"mode": "zero", "scope": "all"},
    "reading": {"mode": "zero", "scope": "suffix"},
}


def drawn(methods, models=("small",), number=4, lengths=(512,)):
    study = make_study(models=models, methods=methods, interventions=READING, lengths=lengths)
    names = list(QUESTIONS)[:number] + [f"question_number_{i}" for i in range(number - len(QUESTIONS))]
    parts = [
        measured(
            transfer_rows(
                right_answers(0.2, 0.7, 6, number, seed),
                method=method,
                questions=names,
                model=model,
                context_length=length,
                variant=PLAIN,
            )
        )["transfer_drops"]
        for model in models
        for length in lengths
        for seed, method in enumerate(methods)
    ]
    table = pd.concat(parts, ignore_index=True)
    return figures.draw("transfer_matrix", {"transfer_drops": table}, study), table


def panels(figure):
    return [ax for ax in figure.axes if ax.images]


@pytest.mark.parametrize(
    ("methods", "models", "number"),
    [(("wu24",), ("small",), 2), (("wu24", "qrhead"), ("a", "b"), 4), (tuple(ELEVEN_METHODS), ("small",), 9)],
)
def test_every_panel_holds_its_methods_drops_with_own_heads_framed(methods, models, number):
    figure, table = drawn(methods, models, number)
    figure.draw_without_rendering()
    assert len(panels(figure)) == len(methods) * len(models)
    ax, rows = panels(figure)[0], table[(table["method"] == methods[0]) & (table["model"] == models[0])]
    cells = rows.set_index(["source_question", "question"])["drop"]
    shown = ax.images[0].get_array()
    assert sorted(np.asarray(shown).ravel()) == pytest.approx(sorted(cells))
    texts = [text.get_text() for text in ax.texts]
    assert len(texts) == number**2 and all(texts)
    assert float(texts[0].replace("−", "-")) == pytest.approx(shown[0, 0], abs=0.006)
    frames = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert [round(frame.get_x() + 0.485) for frame in frames] == list(range(number))


def test_the_intervention_is_the_controls_own():
    figure, _ = drawn(("wu24",))
    assert "zero, question and answer" in figure.get_supxlabel()


def test_of_many_methods_and_models_cells_are_means_over_models():
    figure, table = drawn(tuple(ELEVEN_METHODS), ("a", "b"))
    assert len(panels(figure)) == len(ELEVEN_METHODS)
    means = table[table["method"] == "wu24"].groupby(["source_question", "question"])["drop"].mean()
    (ax,) = [ax for ax in panels(figure) if ax.get_title(loc="left") == "Wu24"]
    assert sorted(np.asarray(ax.images[0].get_array()).ravel()) == pytest.approx(sorted(means))


@pytest.mark.parametrize("number", [4, 9])
def test_many_panels_fit_on_a_page(number):
    assert drawn(tuple(ELEVEN_METHODS), number=number)[0].get_figheight() <= 11


def test_lengths_are_taken_together():
    figure, table = drawn(("wu24",), lengths=(512, 1024))
    (ax,) = panels(figure)
    means = table.groupby(["source_question", "question"])["drop"].mean()
    assert sorted(np.asarray(ax.images[0].get_array()).ravel()) == pytest.approx(sorted(means))


def test_without_drops_it_says_so():
    _, table = drawn(("wu24",))
    study = make_study(interventions=READING)
    note = figures.draw("transfer_matrix", {"transfer_drops": table.iloc[:0]}, study)
    assert note.get_label() == "No two questions have top sets of one size, so none was compared."

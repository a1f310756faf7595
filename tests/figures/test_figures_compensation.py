"""What the figures of compensation hold is what the tables do."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from made_compensation import made_heads, made_sets, study_of
from made_tables import ELEVEN_METHODS
from retrieval_heads import figures
from retrieval_heads.analysis.compensation import summarise_heads, summarise_sets
from retrieval_heads.figures.self_repair import BACKED_UP, NOT
from retrieval_heads.figures.sufficiency import RANDOM

FEW = study_of(interventions={"other_value": {"mode": "resample", "scope": "suffix"}}, levels=(5, 10, 20))
MANY = study_of(methods=tuple(ELEVEN_METHODS), lengths=(512, 1024, 2048), levels=(5, 10, 20))
HEADS = {(3, 1): (1.0, 0.25), (4, 0): (0.5, 0.5), (5, 2): (-0.3, -0.4)}


def tables_of(study, documents=8):
    rng = np.random.default_rng(1)
    many = {(int(layer), int(head)): tuple(rng.normal(size=2)) for layer, head in rng.integers(0, 30, (60, 2))}
    heads = HEADS if study is FEW else HEADS | many
    return {
        "head_compensation": summarise_heads(made_heads(study, heads, documents), study.alpha, 1, 100),
        "set_compensation": summarise_sets(
            made_sets(study, documents, effect=lambda k: k / 5, singles=lambda k: k / 8), 1, 100
        ),
    }


def draw(name, study=FEW, **how):
    tables = tables_of(study, **how)
    return figures.load(name).draw({table: tables[table] for table in figures.declarations()[name].tables}, study)


@pytest.mark.parametrize("name", ["self_repair", "redundancy", "sufficiency"])
@pytest.mark.parametrize("study", [FEW, pytest.param(MANY, marks=pytest.mark.thorough)], ids=["few", "many"])
def test_there_is_a_panel_for_each_setting(name, study):
    figure = draw(name, study)
    FigureCanvasAgg(figure).draw()
    twins = [one for one in study.interventions.values() if one["mode"] == "resample" or name != "sufficiency"]
    assert len(figure.axes) == len(twins) * len(study.config["prompts"]["context_lengths"])


def test_heads_stand_where_what_they_write_meets_what_is_lost():
    (ax,) = draw("self_repair").axes
    (marks,) = [one for one in ax.collections if len(one.get_offsets()) == 3]
    table = tables_of(FEW)["head_compensation"]
    assert marks.get_offsets().data == pytest.approx(table[["direct", "total"]].to_numpy())
    colours = [tuple(round(255 * part) for part in colour[:3]) for colour in marks.get_facecolors()]
    wanted = [tuple(bytes.fromhex(colour[1:])) for colour in (BACKED_UP, NOT)]
    assert colours[:2] == wanted
    assert {"L3H1", "L4H0"} <= {text.get_text() for text in ax.texts}


def test_curves_are_of_the_difference():
    (ax,) = draw("redundancy").axes
    (line,) = [line for line in ax.lines if len(line.get_xdata()) == 3]
    assert line.get_ydata() == pytest.approx([k / 5 - k / 8 for k in (5, 10, 20)], abs=0.1)


def test_random_heads_stand_beside_what_is_restored():
    (ax,) = draw("sufficiency").axes
    held = {c.get_label(): c.lines[0].get_ydata() for c in ax.containers}
    assert held["Wu24"] == pytest.approx([0.9] * 3, abs=0.01) and held[RANDOM] == pytest.approx([0.05] * 3, abs=0.01)


@pytest.mark.parametrize("name", ["self_repair", "redundancy", "sufficiency"])
def test_a_note_stands_where_nothing_was_measured(name):
    assert draw(name, documents=0).get_label()


def test_a_single_document_has_no_interval():
    for name in ("self_repair", "redundancy", "sufficiency"):
        FigureCanvasAgg(draw(name, documents=1)).draw()

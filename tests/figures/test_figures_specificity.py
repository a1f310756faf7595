"""The figure of what is lost of each kind holds what the summary says."""

import numpy as np
import pytest

from made_tables import make_ablation, make_items, make_study
from retrieval_heads import figures
from retrieval_heads.analysis.specificity import measure_specificity
from retrieval_heads.figures import loss_by_kind

STUDY = make_study(lengths=(512,), levels=(5, 20), controls={"specificity": {}})


def summary(**items):
    return measure_specificity(make_ablation(STUDY, top=0.3), make_items(STUDY, **items), 7, 100)


def marks(figure, label):
    """The marks of a label: across the losses, up the places."""
    (ax,) = figure.axes
    (found,) = [one for one in ax.containers if one.get_label() == label]
    return found[0].get_xdata(), found[0].get_ydata()


@pytest.mark.parametrize(
    ("source", "label", "column"),
    [
        ("method", "Retrieval", "retrieval_loss"),
        ("method", "Facts that no context states", "facts_loss"),
        ("random", "Sums, random heads", "sums_loss"),
    ],
)
def test_marks_are_the_losses_at_the_largest_level(source, label, column):
    found = summary()
    rows = found[found["question"].isna() & (found["k"] == 20) & (found["source"] == source)].set_index("method")
    x, y = marks(loss_by_kind.draw({"specificity_summary": found}, STUDY), label)
    assert dict(zip(np.floor(y + 0.2).astype(int), x, strict=True)) == {
        at: rows.loc[method, column] for at, method in enumerate(STUDY.methods)
    }


def test_a_bar_is_as_long_as_the_specificity():
    found = summary()
    rows = found[found["question"].isna() & (found["k"] == 20)]
    (ax,) = loss_by_kind.draw({"specificity_summary": found}, STUDY).axes
    bars = [ends for one in ax.collections if one.get_linewidth()[0] == 4 for ends in one.get_segments()]
    assert sorted(ends[1][0] - ends[0][0] for ends in bars) == pytest.approx(sorted(rows["specificity"]))


def test_a_kind_that_is_not_known_is_left_out():
    figure = loss_by_kind.draw({"specificity_summary": summary(facts=10)}, STUDY)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert "Sums" in labels and "Facts that no context states" not in labels
    assert not [one for one in figure.axes[0].collections if len(one.get_linewidth()) and one.get_linewidth()[0] == 4
                and len(one.get_segments())]  # fmt: skip


def test_it_is_about_the_controls_own_intervention():
    found = summary().assign(intervention="reading", mode="mean", scope="suffix")
    ways = {"zero_all": {"mode": "zero", "scope": "all"}, "reading": {"mode": "mean", "scope": "suffix"}}
    study = make_study(lengths=(512,), levels=(5, 20), interventions=ways, controls={"specificity": {}})
    figure = figures.draw("loss_by_kind", {"specificity_summary": found}, study)
    assert study.label("intervention", "reading") in figure.get_supxlabel() and len(figure.axes[0].containers) == 6

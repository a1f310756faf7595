"""The map of what every head does, and the list beside it, show the table."""

import numpy as np
import pandas as pd
import pytest

from made_tables import analyse, make_ablation, make_effects, make_rankings, make_study
from retrieval_heads.analysis.head_effects import summarise_effects
from retrieval_heads.figures import head_effects
from retrieval_heads.tables.heads import head_name

STUDY = make_study(models=("a", "b"), lengths=(512, 1024))


@pytest.fixture(scope="module")
def summary():
    rankings = make_rankings(STUDY)
    return analyse(STUDY, rankings, make_ablation(STUDY, 3))["head_effect_summary"]


def draw(summary, study=STUDY):
    return head_effects.draw({"head_effect_summary": summary}, study)


def panels(figure):
    """(map, list) of each model and length; colour bars are axes too."""
    axes = [ax for ax in figure.axes if ax.get_xlabel()]
    return list(zip(axes[::2], axes[1::2], strict=True))


def test_the_map_has_every_heads_mean_in_its_place(summary):
    shown = panels(draw(summary))
    assert [ax.get_title(loc="left") for ax, _ in shown] == [f"{m}, {k} tokens" for m in "ab" for k in ("512", "1,024")]
    for (ax, _), (_, rows) in zip(shown, summary.groupby(["model", "context_length"]), strict=True):
        (image,) = ax.images
        for row in rows.itertuples():
            assert image.get_array()[row.layer, row.head] == pytest.approx(row.effect)
        # White is 0, and the same distance from it is as strong on both sides.
        assert image.norm(0) == pytest.approx(0.5) and image.norm(-1) + image.norm(1) == pytest.approx(1)
        assert image.origin == "lower"


def test_the_list_has_the_strongest_heads_with_their_intervals(summary):
    _, ax = panels(draw(summary))[0]
    rows = summary[(summary["model"] == "a") & (summary["context_length"] == 512) & (summary["effect"] > 0)]
    rows = rows.sort_values("effect", ascending=False).head(15)
    names = [head_name(row.layer, row.head) for row in rows.itertuples()]
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    (bars,) = ax.containers
    assert list(bars.lines[0].get_xdata()) == pytest.approx(rows["effect"].tolist())
    segments = bars.lines[2][0].get_segments()
    assert [list(line[:, 0]) for line in segments] == [
        pytest.approx([row.effect_low, row.effect_high]) for row in rows.itertuples()
    ]


def test_one_document_has_dots_and_no_intervals():
    effects = make_effects(STUDY, make_rankings(STUDY), documents=1)
    _, ax = panels(draw(summarise_effects(effects, 1, 200)))[0]
    assert not ax.containers and len(ax.lines[0].get_xdata()) > 5
    assert ax.get_xlabel() == "Effect (nats)"


def test_of_several_modes_that_of_the_headline_is_shown(summary):
    other = summary.assign(mode="uniform", effect=summary["effect"] + 100, effect_high=summary["effect_high"] + 100)
    figure = draw(pd.concat([summary, other], ignore_index=True))
    assert panels(figure)[0][0].images[0].get_array().max() < 50
    assert figure.get_supxlabel() == "Each head ablated by itself in question and answer (zero)"
    assert panels(draw(other))[0][0].images[0].get_array().max() > 50


def test_no_head_that_is_needed_is_a_note(summary):
    figure = draw(summary.assign(effect=0.0, effect_low=0.0, effect_high=0.0))
    assert figure.get_label().startswith("No head is needed more than others")
    assert not np.any([ax.has_data() for ax in figure.axes])

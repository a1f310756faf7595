"""The grid of accuracy over depth and length has what the tables hold."""

import numpy as np
import pytest
from test_figures import DEPTHS, draw, tables_of

pytestmark = pytest.mark.thorough

LENGTHS = [512, 1024, 2048, 4096]


def test_cells_are_accuracies_of_the_tables():
    figure, effects = draw("accuracy_by_depth", "depths"), tables_of("depths")["effects"]
    panels = {ax.get_title(loc="left").replace("\n", " "): ax for ax in figure.axes if ax.images}
    assert list(panels)[:5] == [
        "a No head ablated",
        "a 5 random heads",
        "a Top 5 of Summed attention",
        "a Top 5 of Wu24",
        "a Top 5 of QRHead",
    ]
    rows = effects[effects["question"].isna() & (effects["model"] == "a") & (effects["method"] == "wu24")]
    rows = rows.set_index(["depth", "context_length"])
    for title, column in (("a No head ablated", "baseline"), ("a Top 5 of Wu24", "accuracy")):
        (image,) = panels[title].images
        expected = [[rows.loc[(depth, length), column] for length in LENGTHS] for depth in DEPTHS]
        assert np.asarray(image.get_array()) == pytest.approx(np.array(expected))
    texts = [text.get_text() for text in panels["a Top 5 of Wu24"].texts]
    assert texts == [f"{100 * rows.loc[(depth, length), 'accuracy']:.0f}" for depth in DEPTHS for length in LENGTHS]

"""The figure of where heads look has what its table holds."""

import pytest
from test_figures import draw, tables_of

pytestmark = pytest.mark.thorough


def test_bars_are_shares_of_rows_and_reach_to_one():
    figure, sets = draw("looks", "twins"), tables_of("twins")["look_sets"]
    (ax,) = figure.axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["Summed attention", "Wu24", "QRHead", "All heads"]
    row = sets.set_index("method").loc["wu24"]
    parts = [
        bar for bars in ax.containers for bar in bars if hasattr(bar, "get_width") and round(bar.get_y() + 0.36) == 1
    ]
    assert sum(bar.get_width() for bar in parts) == pytest.approx(1)
    widths = [bar.get_width() for bar in parts]
    assert widths[:4] == pytest.approx(row[["at_answer", "at_distractor", "elsewhere", "sink"]].tolist())
    chances = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "d"]
    assert row["answer_chance"] in chances and len(chances) == 4

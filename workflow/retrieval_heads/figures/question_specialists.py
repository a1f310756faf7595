"""Heads that matter to one question and hardly to the others."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from retrieval_heads.analysis import head_profiles
from retrieval_heads.figures import _head_lists, _layout, _style
from retrieval_heads.study.study import Study

TITLE = "Heads that specialise in one question"
SECTION = "specialists"
TABLES = ("profiles",)
NEEDS = {"question": 2}

_HEADS = 12


def draw(tables: Mapping[str, pd.DataFrame], study: Study) -> Figure:
    """A panel per method that has specialists: their mean rank for each question."""
    panels, without = [], []
    for grid, _, label, rows in _head_lists.by_method(tables["profiles"], study, "question"):
        limits = [study.top_k_of(grid.heads), study.specialist_k(grid.heads)]
        found = head_profiles.specialists(rows, *limits)
        shown = list(head_profiles.specialists(rows, limits[0], limits[1], _HEADS).index)
        count = f"{len(shown)} of {len(found)}" if len(found) > len(shown) else len(found)
        count = f"{count} {'head' if len(found) == 1 else 'heads'}"
        if shown:
            panels.append((f"{label}: {count}", shown, grid, rows, limits))
        else:
            without.append(label)
    if not panels:
        return _layout.note(
            "No method ranks a head among the top for one question and, on average, far below for the others."
        )
    figure, axes = _head_lists.panels([title for title, *_ in panels], [heads for _, heads, *_ in panels], row=0.19)
    for ax, (_, heads, grid, rows, limits) in zip(axes, panels, strict=True):
        ranks = head_profiles.mean_ranks(rows, "value").loc[heads]
        ax.hlines(range(len(heads)), ranks.min(axis=1), ranks.max(axis=1), color=_style.FAINT, linewidth=2, zorder=1)
        questions = study.in_config_order("question", rows["value"])
        for question, shift in zip(questions, _head_lists.line_offsets(len(questions)) / 2, strict=True):
            of_question, look = rows[rows["value"] == question], _style.question_style(study, question)
            _head_lists.draw_dots(ax, of_question, heads, look, shift, label=study.label("question", question))
        _head_lists.rank_axis(ax, grid.heads, limits)
    none = f"No specialists: {', '.join(without)}"
    figure.supxlabel("Mean rank" + (f"\n{_style.wrap(none, 100)}" if without else ""))
    _layout.legend(figure, **_head_lists.rare_key(figure))
    return figure

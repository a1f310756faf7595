"""The interactive map of all heads: what it shows, and the scripts with which a page shows it.

The scripts carry all that they need, so that the page asks for nothing from outside. What is selected, and the means
over what is selected, is up to ``report/head_map.js``.
"""

import json
from collections.abc import Mapping

import pandas as pd
from markupsafe import Markup

from retrieval_heads.analysis.overlap import grids
from retrieval_heads.study.dimensions import DIMENSIONS, PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import hundredths, percent

_DIGITS = 4

_SELECTED = [name for name in DIMENSIONS if name != "variant"]
"""What can be selected in the map, which is of the plain variant."""


def data(study: Study, rankings: pd.DataFrame, labels: pd.DataFrame | None = None) -> dict[str, list]:
    """Rank and score of every head in every ranking, and the names of what can be selected.

    Parameters
    ----------
    labels : the labels table, where there is one.

    Returns
    -------
    ``models`` (each with label, layers and heads, how many of them are its ``top`` heads, and where labels are known
    ``notes``: a line on each head),
    ``methods``, ``questions`` and ``lengths`` (labels), in the study's order, and ``rankings``: each with ``of``, its
    places in those four lists, and ``ranks`` and ``scores`` (four significant digits) of head ``layer × heads per layer
    + head``, None where the ranking does not list it.
    """
    rankings = rankings[rankings["variant"] == PLAIN]
    grid = grids(rankings)
    orders = {name: study.in_config_order(name, rankings[name]) for name in _SELECTED}
    found = []
    groups = dict(list(rankings.groupby(_SELECTED)))
    places = [{value: place for place, value in enumerate(orders[name])} for name in _SELECTED]
    for key in sorted(groups, key=lambda key: _places(key, places)):
        layers, heads = grid[key[0]]
        ranks: list[float | None] = [None] * (layers * heads)
        scores: list[float | None] = [None] * (layers * heads)
        rows = groups[key]
        for layer, head, rank, score in zip(rows["layer"], rows["head"], rows["rank"], rows["score"], strict=True):
            cell = int(layer) * heads + int(head)
            ranks[cell], scores[cell] = float(rank), float(f"{score:.{_DIGITS}g}")
        found.append({"of": _places(key, places), "ranks": ranks, "scores": scores})
    models = [
        {
            "label": study.label("model", model),
            "layers": grid[model].layers,
            "heads": grid[model].heads,
            "top": study.top_k_of(grid[model].total),
        }
        for model in orders["model"]
    ]
    if labels is not None:
        for model, shown in zip(orders["model"], models, strict=True):
            of_model = labels[labels["model"] == model].sort_values(["layer", "head"])
            shown["notes"] = [_note(head) for head in of_model.to_dict("records")]
    methods, questions, lengths = ([study.label(name, value) for value in orders[name]] for name in _SELECTED[1:])
    return {"models": models, "methods": methods, "questions": questions, "lengths": lengths, "rankings": found}


def scripts(heads: Mapping[str, list], script: str) -> Markup:
    """The script elements of a page with a map: the data, and what draws the map.

    Parameters
    ----------
    heads : what :func:`data` gives.
    script : what draws the map: the text of ``report/head_map.js``.
    """
    # In a script, "<" could end the element or start a comment; in JSON it can be written another way.
    text = json.dumps(heads, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(
        f'<script type="application/json" id="head-map-data">{text}</script>\n'
        f'<script type="module">\n{script}</script>\n'
    )


def _note(head: Mapping) -> str:
    """What is known of a head whatever it is asked."""
    kind = "induction head" if head["is_induction"] else "no induction head"
    written = "" if pd.isna(head["write_norm"]) else f", writes {hundredths(head['write_norm'])}"
    return (
        f"{kind} ({hundredths(head['induction'])}), on the first token {percent(head['sink_share'])}, "
        f"key-value group {head['key_value_group']}{written}"
    )


def _places(key: tuple, places: list[dict]) -> list[int]:
    return [known[value] for known, value in zip(places, key, strict=True)]

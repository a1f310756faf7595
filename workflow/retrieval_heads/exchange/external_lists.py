"""Lists of heads that others published, set beside the study's own rankings of the same model.

A list is a JSON file such as Wu et al. 2024 (arXiv 2404.15574) published for several models, and as this project
exports: ``{"layer-head": [score, …], …}`` with one score for each prompt. A head's score is their mean; one number in
place of a list is that score itself. A list may leave heads out.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from retrieval_heads.analysis.overlap import Ranking, grids
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.errors import StudyError
from retrieval_heads.reading import read_json
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.heads import Head, head_name
from retrieval_heads.tables.imports import IMPORTS

_HEAD = re.compile(r"(0|[1-9][0-9]{0,3})-(0|[1-9][0-9]{0,3})")


def read_list(file: str | Path) -> dict[Head, list[float]]:
    """Each head's scores.

    Raises
    ------
    StudyError
        when the file is missing, or is no such list.
    """
    file = Path(file)
    if not file.is_file():
        raise StudyError(f"{file}: no such file; correct the path under imports.")
    listed = read_json(file, "get the list of heads anew")
    if not isinstance(listed, dict) or not listed:
        raise StudyError(f'{file}: lists no heads and should be an object such as {{"16-19": [0.4, 0.6]}}; correct it.')
    scores: dict[Head, list[float]] = {}
    for key, value in listed.items():
        if not (match := _HEAD.fullmatch(key)):
            raise StudyError(f"{file}: {key!r} names no head and should be layer-head, such as 16-19; correct it.")
        values = value if isinstance(value, list) else [value]
        # Python reads NaN, Infinity and 1e999 from JSON; none of them is within bounds.
        if not values or not all(type(score) in (int, float) and -1e300 <= score <= 1e300 for score in values):
            raise StudyError(f"{file}: the value of {key} should be a finite number, or a list of some; correct it.")
        scores[int(match[1]), int(match[2])] = [float(score) for score in values]
    return scores


def require_within(file: str | Path, heads: Iterable[Head], model: str, grid: tuple[int, int]) -> None:
    """Refuse a list with heads that the model does not have.

    Parameters
    ----------
    grid : the model's layers, and heads in each.
    """
    layers, each = grid
    for layer, head in heads:
        if layer >= layers or head >= each:
            raise StudyError(
                f"{file}: lists {head_name(layer, head)}, but {model} has {layers} layers of {each} heads; "
                "name the model that the list is about under imports."
            )


def compare(rankings: pd.DataFrame, imports: Mapping[str, Mapping], top_k: int | None = None) -> pd.DataFrame:
    """Agreement of each imported list with each of the study's rankings of its model.

    Parameters
    ----------
    rankings : the rankings table.
    imports : name → ``file`` and ``model``, as in the study's config.
    top_k : the size of a top set; by default a share of the model's heads.

    Returns
    -------
    The imports table; its p is one-sided and not corrected. A model without any ranking has no rows.
    """
    known, rows = grids(rankings), []
    for name, entry in imports.items():
        model, scores = entry["model"], read_list(entry["file"])
        if model not in known:
            continue
        layers, each = known[model]
        require_within(entry["file"], scores, model, known[model])
        k = top_k_for(layers * each, top_k)
        theirs = Ranking.of(rank_list(scores), known[model], k)
        for configuration, group in rankings[rankings["model"] == model].groupby(list(DIMENSIONS)):
            rows.append(
                {
                    "import": name,
                    **dict(zip(DIMENSIONS, configuration, strict=True)),
                    "k": k,
                    "listed": len(scores),
                    **Ranking.of(group, known[model], k).compare(theirs),
                }
            )
    return pd.DataFrame(rows, columns=IMPORTS.columns)


def rank_list(scores: Mapping[Head, list[float]]) -> pd.DataFrame:
    """A list as a ranking, by the same rule as the study's own."""
    rows = [(*head, score) for head, values in scores.items() for score in values]
    by_head = pd.DataFrame(rows, columns=["layer", "head", "score"]).groupby(["layer", "head"])["score"]
    heads = by_head.agg(score="mean", n_samples="count", score_sd="std").reset_index()
    # A list belongs to no setting of a study; what stands there tells it from nothing.
    return placed(heads.assign(**{name: 0 if name == "context_length" else "imported" for name in DIMENSIONS}))

"""The rankings of two studies side by side: how far they agree, and how well they tell which heads matter."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from retrieval_heads.analysis.overlap import Ranking
from retrieval_heads.analysis.statistics import holm
from retrieval_heads.comparison.claims import intervals
from retrieval_heads.comparison.results import Results
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.ranking_quality import METHOD, SPEARMAN

AGREEMENT = (
    *DIMENSIONS,
    *("k", "size_a", "size_b", "jaccard", "chance", "p", "p_holm", "rbo", "rbo_chance", "spearman"),
    *("halves_a", "halves_b"),
)
THIRDS = ("first_third", "middle_third", "last_third")
DEPTHS = (*DIMENSIONS, *(f"{name}_{study}" for study in "ab" for name in ("size", "depth", *THIRDS)))
_JUDGED = ("mode", "intervention", "ranking", "measure", "k")
QUALITY = (
    *CELL,
    *_JUDGED,
    *(f"{name}_{study}" for study in "ab" for name in ("value", "value_low", "value_high", "documents")),
    *("difference", "intervals"),
)


def level(a: Results, b: Results, grid: Grid) -> int:
    """How many first heads of a ranking count as its top: as either config asks, the fewer where they ask otherwise."""
    return min(top_k_for(grid.total, (one.config.get("analysis") or {}).get("top_k")) for one in (a, b))


def compare_rankings(a: Results, b: Results) -> pd.DataFrame:
    """Agreement of the two rankings of each method, question, length and variant, in models of equal grid.

    Returns
    -------
    One row for each ranking that both have (:data:`AGREEMENT`): sizes of the top sets, their Jaccard, its chance level
    and p of sharing so many by chance, one-sided, raw and corrected over all rows (Holm); rank-biased overlap with its
    chance level; Spearman's correlation; and the mean Jaccard of top sets from halves of each study's own documents,
    where it is known for as many heads. What is not known is null.
    """
    rows = []
    for at, of_a, of_b, grids in _pairs(a, b):
        if grids[0] != grids[1]:
            continue
        k = level(a, b, grids[0])
        one, other = (Ranking.of(rows_, grids[0], k) for rows_ in (of_a, of_b))
        rows.append(at | {"k": k} | one.compare(other))
    found = pd.DataFrame(rows, columns=[name for name in AGREEMENT if name not in ("p_holm", "halves_a", "halves_b")])
    found["p_holm"] = holm(found["p"])
    for study, results in (("a", a), ("b", b)):
        halves = results.reliability.groupby([*DIMENSIONS, "k"], as_index=False)["jaccard"].mean()
        halves = halves.rename(columns={"jaccard": f"halves_{study}"})
        found = found.merge(halves, on=[*DIMENSIONS, "k"], how="left")
    return found[list(AGREEMENT)]


def compare_depths(a: Results, b: Results) -> pd.DataFrame:
    """Where the first heads lie in models of unequal grid, whose heads cannot be matched.

    Of each model the same share of its heads is taken. A layer's depth is where its middle lies between the first
    layer's beginning (0) and the last one's end (1).

    Returns
    -------
    One row for each ranking that both have (:data:`DEPTHS`): how many heads were taken, their mean depth, and the
    shares of them in each third of the layers; null where ties leave none.
    """
    rows = []
    for at, of_a, of_b, grids in _pairs(a, b):
        if grids[0] != grids[1]:
            both = (("a", of_a, grids[0]), ("b", of_b, grids[1]))
            rows.append(at | {key: value for study, *one in both for key, value in _depths(study, *one).items()})
    return pd.DataFrame(rows, columns=list(DEPTHS))


def compare_quality(a: Results, b: Results) -> pd.DataFrame:
    """How well methods tell which heads matter, over all questions, where both studies measured the same.

    Of models of unequal grid, only Spearman's correlation: the other measures are of a number of heads, which is
    another share of each.

    Returns
    -------
    One row for each method and measure (:data:`QUALITY`): both values with intervals and numbers of documents, B's
    value without A's, and whether the intervals are apart.
    """
    grids_a, grids_b = a.grids, b.grids
    frames = []
    for study, results in (("a", a), ("b", b)):
        rows = results.quality
        rows = rows[rows["question"].isna() & (rows["kind"] == METHOD) & rows["value"].notna()]
        names = {name: f"{name}_{study}" for name in ("value", "value_low", "value_high", "documents")}
        # Null keys match each other only if they are the same null.
        keys = rows[[*CELL, *_JUDGED]].astype(object).where(rows[[*CELL, *_JUDGED]].notna(), None)
        frames.append(pd.concat([keys, rows[list(names)].rename(columns=names)], axis=1))
    found = frames[0].drop(columns="question").merge(frames[1].drop(columns="question"), how="inner")
    unequal = [model for model in grids_a if model in grids_b and grids_a[model] != grids_b[model]]
    found = found[~found["model"].isin(unequal) | (found["measure"] == SPEARMAN)].assign(question=None)
    # An area is of the levels at which heads were ablated, and of how they were.
    how = [_interventions(results) for results in (a, b)]
    other = [name for name in found["intervention"].dropna().unique() if how[0].get(name) != how[1].get(name)]
    found = found[~found["intervention"].isin(other)].copy()
    found["difference"] = found["value_b"] - found["value_a"]
    found["intervals"] = [_intervals(row) for row in found.to_dict("records")]
    return found.reset_index(drop=True)[list(QUALITY)]


def _interventions(results: Results) -> dict[str, dict]:
    """How heads are ablated, and how many, under each intervention that the config names."""
    every = (results.config.get("ablation") or {}).get("interventions") or {}
    return {name: {key: one.get(key) for key in ("mode", "scope", "levels")} for name, one in every.items()}


def _intervals(row: dict) -> str | None:
    a, b = ({end: row[f"value_{end}_{study}"] for end in ("low", "high")} for study in "ab")
    return intervals(a, b, "low", "high")


def _pairs(a: Results, b: Results) -> Iterator[tuple[dict, pd.DataFrame, pd.DataFrame, tuple[Grid, Grid]]]:
    """The values of dimensions of each ranking that both have, its rows in either, and its model's grid in either."""
    grids_a, grids_b = a.grids, b.grids
    others = dict(list(b.rankings.groupby(list(DIMENSIONS), sort=False)))
    for key, rows in a.rankings.groupby(list(DIMENSIONS), sort=False):
        if key in others:
            yield dict(zip(DIMENSIONS, key, strict=True)), rows, others[key], (grids_a[key[0]], grids_b[key[0]])


def _depths(study: str, rows: pd.DataFrame, grid: Grid) -> dict[str, float]:
    top = Ranking.of(rows, grid, top_k_for(grid.total)).top
    depths = (np.array(sorted(top), dtype=float) // grid.heads + 0.5) / grid.layers
    counts, _ = np.histogram(depths, bins=len(THIRDS), range=(0, 1))
    known = len(depths) > 0
    shares = counts / len(depths) if known else np.full(len(THIRDS), np.nan)
    values = {
        "size": len(depths),
        "depth": depths.mean() if known else np.nan,
        **dict(zip(THIRDS, shares, strict=True)),
    }
    return {f"{name}_{study}": value for name, value in values.items()}

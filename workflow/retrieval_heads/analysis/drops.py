"""Drops of accuracy, configuration by configuration: their means with equal weight, and the units that tests compare.

Two kinds of source give the same: rows per prompt, or counts alone. With rows, documents are the units of intervals and
tests. Counts do not tell documents apart; then intervals are built from those of single configurations, and the units
are groups of configurations that were measured on the same prompts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import LEVEL, Estimate, bootstrap_weights, mean_of_intervals, newcombe, widened
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, PLAIN
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS, PROMPT_KEY
from retrieval_heads.tables.mean_drops import MEAN_DROPS

_CUT = [*INTERVENTION_COLUMNS, *CELL, "method", "k", "size"]
_KIND = ["source", "matching"]
_ABLATED = ["method", "equal", "random"]
_GROUPINGS = ("model", "method", "question", "category", "context_length")


@dataclass(frozen=True)
class Drops:
    """The drop of each configuration and level, with what is known about its uncertainty.

    Parameters
    ----------
    rows : intervention, mode, scope, model, question, context_length, method, k, size, source (method: the top heads;
        random: the mean over the draws; difference: how much more the top heads cost; equal: the top heads at the size
        of another top set), matching (of the random heads, else null), drop and prompts.
    units : the same columns but for prompts, with a row for each unit; ``doc_id`` where documents are known.
    resampled : the drop of each row in each bootstrap resample, shape (rows, R); None where only counts are known.
    ends : the ends of each row's interval, shape (rows, 2), where only counts are known.
    """

    rows: pd.DataFrame
    units: pd.DataFrame
    resampled: np.ndarray | None = None
    ends: np.ndarray | None = None

    def mean(self, chosen: np.ndarray) -> Estimate:
        """The mean drop of some rows, all of the same weight, with its 95% interval."""
        rows = self.rows[chosen]
        if self.resampled is None:
            assert self.ends is not None  # known where resamples are not
            lows, highs = self.ends[chosen].T
            prompts = rows.groupby(CELL, sort=False).ngroup().to_numpy()
            return mean_of_intervals(rows["drop"].to_numpy(), lows, highs, prompts)
        value = float(rows["drop"].mean())
        # A resample may have drawn no document of a configuration, or of any.
        drawn = self.resampled[chosen]
        with np.errstate(invalid="ignore"):
            resampled = np.nansum(drawn, axis=0) / (~np.isnan(drawn)).sum(axis=0)
        low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        # The prompts are the same at all levels and for all methods.
        prompts = int(rows.drop_duplicates(CELL)["prompts"].sum())
        return widened(Estimate(value, float(low), float(high)), prompts, (-1.0, 1.0))


def of(results: pd.DataFrame, seed: int, resamples: int = 2000) -> Drops:
    """Drops from the ablation table or, where only counts are known, from the ablation_summary table.

    Each intervention is for itself: it may have been measured on other documents.
    """

    def of_one(rows: pd.DataFrame) -> Drops:
        return from_rows(rows, seed, resamples) if "doc_id" in rows else from_counts(rows)

    if results["intervention"].nunique() < 2:
        return of_one(results)
    each = [of_one(rows) for _, rows in results.groupby("intervention", sort=True)]
    rows, units = (pd.concat([getattr(one, name) for one in each], ignore_index=True) for name in ("rows", "units"))
    known = [[part for one in each if (part := getattr(one, name)) is not None] for name in ("resampled", "ends")]
    # All are known by rows, or all by counts.
    resampled, ends = (np.concatenate(parts) if parts else None for parts in known)
    return Drops(rows, units, resampled, ends)


def from_rows(ablation: pd.DataFrame, seed: int, resamples: int = 2000) -> Drops:
    """Drops from one row per prompt.

    Parameters
    ----------
    ablation : the ablation table, of one intervention.
    seed : the study's seed.
    resamples : how many bootstrap resamples of the documents.
    """
    baseline = ablation[ablation["source"] == "baseline"].set_index(list(PROMPT_KEY))["correct"].astype(float)
    cut = ablation[ablation["source"].isin(_ABLATED)]
    before = pd.MultiIndex.from_frame(cut[list(PROMPT_KEY)])
    cut = cut.assign(drop=baseline.reindex(before).to_numpy() - cut["correct"].astype(float)).dropna(subset="drop")
    # A document's drop: the mean over its prompts (depths) and, for random heads, over the draws.
    prompts = cut.groupby([*_CUT, *_KIND, "doc_id", "prompt_id"], dropna=False)["drop"].mean()
    by_document = prompts.groupby([*_CUT, *_KIND, "doc_id"], dropna=False).agg(sum="sum", prompts="size").reset_index()
    by_document = _with_differences(by_document)
    names = sorted(by_document["doc_id"].unique())
    weights = bootstrap_weights(max(len(names), 1), resamples, generator(seed, "bootstrap", "drops"))
    place = by_document["doc_id"].map({name: i for i, name in enumerate(names)}).to_numpy()
    rows, resampled = [], []
    for key, group in by_document.groupby([*_CUT, *_KIND], dropna=False, sort=True):
        drawn = weights[:, place[group.index]]
        total = group["prompts"].sum()
        rows.append([*key, group["sum"].sum() / total, total])
        with np.errstate(invalid="ignore", divide="ignore"):
            resampled.append(drawn @ group["sum"].to_numpy() / (drawn @ group["prompts"].to_numpy()))
    units = by_document.assign(drop=by_document["sum"] / by_document["prompts"]).drop(columns=["sum", "prompts"])
    frame = pd.DataFrame(rows, columns=[*_CUT, *_KIND, "drop", "prompts"])
    return Drops(frame, units, resampled=np.array(resampled).reshape(len(frame), resamples))


def from_counts(summary: pd.DataFrame) -> Drops:
    """Drops where only counts are known, such as published results: each with Newcombe's interval.

    Parameters
    ----------
    summary : the ablation_summary table, of one intervention.
    """
    baseline = summary[summary["source"] == "baseline"][[*CELL, "correct", "total"]]
    cut = (
        summary[summary["source"].isin(_ABLATED)]
        .groupby([*_CUT, *_KIND], dropna=False)[["correct", "total"]]
        .mean()
        .reset_index()
        .merge(baseline, on=CELL, suffixes=("", "_before"))
    )
    counts = ["correct", "total"]
    top = cut.loc[cut["source"] == "method", [*_CUT, *counts]]
    random = cut.loc[cut["source"] == "random", [*_CUT, "matching", *counts]]
    beside = random.rename(columns={name: f"{name}_before" for name in counts}).merge(top, on=_CUT)
    every = pd.concat([cut, beside.assign(source="difference")], ignore_index=True)
    every = every.sort_values([*_CUT, *_KIND], ignore_index=True)
    estimates = np.array(
        [
            newcombe(row.correct_before, row.total_before, row.correct, row.total)
            for row in every.itertuples(index=False)
        ]
    ).reshape(-1, 3)
    rows = every[[*_CUT, *_KIND]].assign(drop=estimates[:, 0], prompts=every["total"].astype(int))
    return Drops(rows, rows.drop(columns="prompts"), ends=estimates[:, 1:])


def mean_drops(drops: Drops, categories: Mapping[str, str]) -> pd.DataFrame:
    """Mean drop over configurations of equal weight, for each value of each dimension and over all, by intervention.

    Parameters
    ----------
    drops : from :func:`from_rows` or :func:`from_counts`.
    categories : question → category.

    Returns
    -------
    The mean_drops table: at each level, and over all levels (k null). Standard deviations are population ones, over the
    configurations and levels that the mean is over.
    """
    # Of the plain variant: no mean is over several.
    rows = drops.rows[(drops.rows["source"] != "equal") & (drops.rows["variant"] == PLAIN)]
    rows = rows.assign(category=rows["question"].map(categories), all="all")
    found = []
    for grouping in ("all", *_GROUPINGS):
        for by_level in (True, False):
            by = [*INTERVENTION_COLUMNS, grouping, *_KIND, *(["k"] if by_level else [])]
            # Over all levels a set counts once, though it be the top set of several.
            each = rows if by_level else rows.drop_duplicates([*CELL, *INTERVENTION_COLUMNS, "method", "size", *_KIND])
            for key, group in each.groupby(by, dropna=False, sort=True):
                intervention, mode, scope, value, source, matching, *k = key
                estimate = drops.mean(drops.rows.index.isin(group.index))
                found.append(
                    {
                        "intervention": intervention,
                        "mode": mode,
                        "scope": scope,
                        "grouping": grouping,
                        "value": str(value),
                        "k": k[0] if k else None,
                        "source": source,
                        "matching": matching if pd.notna(matching) else None,
                        "drop": estimate.value,
                        "drop_low": estimate.low,
                        "drop_high": estimate.high,
                        "drop_sd": group["drop"].std(ddof=0),
                        "configurations": len(group.drop_duplicates([*CELL, "method"])),
                    }
                )
    frame = pd.DataFrame(found, columns=MEAN_DROPS.columns)
    return frame.astype({**dict.fromkeys(MEAN_DROPS.integers, "Int64"), "matching": object})


def at_equal_size(rows: pd.DataFrame, fixed: list[str], dimension: str, levels: Iterable[int]) -> pd.DataFrame:
    """Drops with top heads ablated, at sizes that all values of a dimension have in common.

    Parameters
    ----------
    rows : of :class:`Drops`, with a column for the dimension.
    fixed : the columns that, with the dimension, tell configurations apart.
    levels : up to which size, one comparison for each.

    Returns
    -------
    For each setting of the fixed columns and each level k, the rows of the largest size, up to k, at which every value
    that is there had heads ablated; k is the level.
    """
    rows = rows[rows["source"].isin(["method", "equal"])]
    # A set can be there as the top set of several levels, and as the one that is as large as another.
    rows = rows.drop_duplicates([*(name for name in (*CELL, "method", "doc_id") if name in rows), "size"])
    # A value may have several configurations, as a category has questions: then each of them counts.
    each = sorted({"question", dimension}.difference(fixed))
    cells = rows[[*fixed, *each, "size"]].drop_duplicates()
    value, setting = cells.groupby(each).ngroup(), [cells[name] for name in fixed]
    having = value.groupby([*setting, cells["size"]]).transform("nunique")
    common = cells[having == value.groupby(setting).transform("nunique")].sort_values("size")
    largest = [common[common["size"] <= k].drop_duplicates(fixed, keep="last").assign(k=k) for k in levels]
    # What is compared at one level is not compared again at the next.
    chosen = pd.concat([common.iloc[:0].assign(k=0), *largest]).drop_duplicates([*fixed, "size"])
    return rows.drop(columns="k").merge(chosen[[*fixed, "size", "k"]], on=[*fixed, "size"])


def _with_differences(by_document: pd.DataFrame) -> pd.DataFrame:
    """Adds rows of source difference: the top heads' drop minus that of random ones, for the same documents."""
    top = by_document[by_document["source"] == "method"].drop(columns=_KIND)
    random = by_document[by_document["source"] == "random"]
    both = random.merge(top, on=[*_CUT, "doc_id"], suffixes=("_random", ""))
    difference = both.assign(source="difference", sum=both["sum"] - both["sum_random"])
    return pd.concat([by_document, difference[by_document.columns]], ignore_index=True)

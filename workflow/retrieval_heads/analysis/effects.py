"""What cutting heads does to accuracy: the drop from the unablated model, and the difference from random heads.

Every quantity is given for each configuration, and pooled over questions, over context lengths, and over both. In a
pooled row the question or length is null; its accuracy is over all prompts, so that a configuration with more prompts
weighs more.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import (
    Estimate,
    bootstrap_mean,
    bootstrap_weights,
    corrected,
    fisher,
    newcombe,
    paired_test,
    wilson,
)
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, seed_key
from retrieval_heads.tables import Table
from retrieval_heads.tables.ablation_summary import ABLATION_SUMMARY
from retrieval_heads.tables.against_random import AGAINST_RANDOM
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS
from retrieval_heads.tables.effects import EFFECTS
from retrieval_heads.tables.steps import STEPS

_CELL = (*CELL, *INTERVENTION_COLUMNS)
_SET = ("source", "method", "matching", "draw", "k")
_POOLINGS = ((), ("question",), ("context_length",), ("question", "context_length"))


class Effects(NamedTuple):
    """What cutting heads does, as tables."""

    effects: pd.DataFrame
    against_random: pd.DataFrame
    steps: pd.DataFrame


def summarise(ablation: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each head set in each configuration: ablation rows → the ablation_summary table."""
    grouped = ablation.groupby([*_CELL, *_SET, "size", "matched"], dropna=False, sort=False)
    summary = grouped["correct"].agg(accuracy="mean", correct="sum", total="size").reset_index()
    return summary[ABLATION_SUMMARY.columns].astype({"draw": "Int64"})


def of(results: pd.DataFrame, seed: int, resamples: int = 2000) -> Effects:
    """Effects from the ablation table or, where only counts are known, from the ablation_summary table."""
    return from_rows(results, seed, resamples) if "doc_id" in results else from_counts(results)


def from_rows(ablation: pd.DataFrame, seed: int, resamples: int = 2000) -> Effects:
    """Effects from one row per prompt.

    Intervals come from a bootstrap over documents in which ablated, baseline and random outcomes of a document are
    drawn together; tests are paired (:func:`~retrieval_heads.analysis.statistics.paired_test`). A comparison
    uses the prompts that have every outcome it needs. P values are corrected over all rows of the same pooling, and of
    the same matching (:func:`~retrieval_heads.analysis.statistics.corrected`).

    Parameters
    ----------
    ablation : the ablation table.
    seed : the study's seed.
    resamples : how many bootstrap resamples.

    Returns
    -------
    The tables effects, against_random and steps.
    """
    # Columns that name a head set cannot have nulls.
    named = {name: ablation[name].astype(object).where(ablation[name].notna(), "") for name in ("method", "matching")}
    draw = ablation["draw"].astype(float).fillna(-1).astype(int)
    rows = ablation.assign(**named, draw=draw, correct=ablation["correct"].astype(int))
    rows = rows[rows["source"].isin(["baseline", "no_needle", "method", "random"])]
    effects, controls, steps = [], [], []
    for cell, group in _cells(rows):
        outcomes = group.set_index(["doc_id", "prompt_id", *_SET])["correct"].unstack(list(_SET))
        by_set = group.groupby(list(_SET))
        of_sets = by_set[["size", "matched"]].mean()
        size, matched = of_sets["size"].to_dict(), of_sets["matched"].to_dict()
        sets = _Sets(of_sets["size"])
        if sets.baseline not in outcomes:
            continue
        # The draws are those of what is done, whatever it is called.
        key = tuple(seed_key({name: value for name, value in cell.items() if name != "intervention"}))
        paired = _Paired(outcomes, resamples, seed, key)
        for (method, k), k_to in sets.cuts.items():
            top = sets.top(method, k)
            row = {**cell, "method": method, "k": k, "size": size[top]}
            guess = paired.guess(sets.baseline, top, sets.no_needle) if sets.no_needle in outcomes else {}
            effects.append({**row, "k_to": k_to, **paired.effect(sets.baseline, top), **guess})
            for matching in sets.matchings(method, k):
                draws = sets.draws(method, k, matching)
                control = paired.control(sets.baseline, top, draws)
                share = np.mean([matched[draw] for draw in draws])
                controls.append({**row, "matching": matching, "matched": share, "draws": len(draws), **control})
        for method in sets.methods:
            for before, k in pairwise([0, *sets.levels(method)]):
                former = sets.top(method, before) if before else sets.baseline
                row = {**cell, "method": method, "k": k, "size": size[sets.top(method, k)]}
                steps.append({**row, "k_before": before, **paired.step(former, sets.top(method, k))})
    return _finish(effects, controls, steps)


def from_counts(summary: pd.DataFrame) -> Effects:
    """Effects where only counts are known, such as published results: Wilson and Newcombe intervals, no paired tests.

    Parameters
    ----------
    summary : the ablation_summary table.

    Returns
    -------
    The tables effects, against_random and steps. Documents are null, and so is p, but for a step within one
    configuration, where it is Fisher's: for what is pooled, prompts of a document would count as independent.
    """
    cell = list(_CELL)
    baseline = summary[summary["source"] == "baseline"][[*cell, "correct", "total"]]
    guess = summary[summary["source"] == "no_needle"][[*cell, "correct", "total"]]
    top = summary[summary["source"] == "method"][[*cell, "method", "k", "size", "correct", "total"]]
    random = (
        summary[summary["source"] == "random"]
        .groupby([*cell, "method", "matching", "k"])
        .agg(
            draws=("draw", "nunique"),
            matched=("matched", "mean"),
            correct_random=("correct", "mean"),
            total_random=("total", "mean"),
        )
        .reset_index()
    )
    both = top.merge(baseline, on=cell, suffixes=("", "_baseline"))
    both = both.merge(guess, on=cell, how="left", suffixes=("", "_guess"))
    all_three = both.merge(random, on=[*cell, "method", "k"])
    effects, controls = [], []
    for where, group in _cells(both, ["method", "k"]):
        hits, n, base, base_n = group[["correct", "total", "correct_baseline", "total_baseline"]].sum()
        right, guesses = group[["correct_guess", "total_guess"]].sum(skipna=False)
        known = pd.notna(guesses)
        effects.append(
            {
                **where,
                "k_to": where["k"],
                "size": group["size"].mean(),
                **_columns("baseline", wilson(base, base_n)),
                **(_columns("guess", wilson(right, guesses)) if known else {}),
                **(_columns("headroom", newcombe(base, base_n, right, guesses)) if known else {}),
                **_columns("accuracy", wilson(hits, n)),
                **_columns("drop", newcombe(base, base_n, hits, n)),
                "prompts": n,
            }
        )
    for where, group in _cells(all_three, ["method", "k", "matching"]):
        names = ["correct", "total", "correct_baseline", "total_baseline", "correct_random", "total_random"]
        hits, n, base, base_n, rand, rand_n = group[names].sum()
        controls.append(
            {
                **where,
                "size": group["size"].mean(),
                "matched": group["matched"].mean(),
                "draws": group["draws"].max(),
                **_columns("accuracy", wilson(rand, rand_n)),
                **_columns("drop", newcombe(base, base_n, rand, rand_n)),
                **_columns("difference", newcombe(rand, rand_n, hits, n)),
                "prompts": n,
            }
        )
    uncut = both.assign(k=0, correct=both["correct_baseline"], total=both["total_baseline"])
    levels = pd.concat([uncut.drop_duplicates([*cell, "method"]), both])
    steps = []
    for where, group in _cells(levels, ["method"]):
        counts = group.pivot(index=cell, columns="k", values=["correct", "total"])
        for before, k in pairwise(sorted(group["k"].unique())):
            # Configurations that were measured at both levels.
            known = counts[[("correct", k), ("total", k), ("correct", before), ("total", before)]].dropna()
            if known.empty:
                continue
            hits = [int(n) for n in known.sum()]
            p = fisher(*hits) if where["question"] is not None and where["context_length"] is not None else np.nan
            size = group.loc[group["k"] == k, "size"].mean()
            row = {**where, "k": k, "size": size, "k_before": before, **_columns("change", newcombe(*hits))}
            steps.append({**row, "p": p, "prompts": hits[1]})
    return _finish(effects, controls, steps)


class _Sets:
    """The head sets (source, method, matching, draw, k) of a configuration, or of several that are pooled.

    Parameters
    ----------
    sizes : of each set, the mean over prompts. A top set that is as large as the one of the level below is the same,
        and no level of its own.
    """

    baseline = ("baseline", "", "", -1, 0)
    no_needle = ("no_needle", "", "", -1, 0)

    def __init__(self, sizes: pd.Series):
        self._columns = sorted(sizes.index)
        top = [key for key in self._columns if key[0] == "method"]
        self.cuts: dict[tuple[str, int], int] = {}
        """Each method and level with a top set of its own, and up to which level it is the top set."""
        for before, key in zip([None, *top], top, strict=False):
            if before is None or before[1] != key[1] or sizes[before] < sizes[key]:
                own = key[1], key[4]
            self.cuts[own] = key[4]

    @property
    def methods(self) -> list[str]:
        return sorted({method for method, _ in self.cuts})

    def levels(self, method: str) -> list[int]:
        return sorted(k for name, k in self.cuts if name == method)

    def top(self, method: str, k: int) -> tuple:
        return ("method", method, "", -1, k)

    def matchings(self, method: str, k: int) -> list[str]:
        return sorted({c[2] for c in self._columns if c[0] == "random" and c[1] == method and c[4] == k})

    def draws(self, method: str, k: int, matching: str) -> list[tuple]:
        return [c for c in self._columns if c[:3] == ("random", method, matching) and c[4] == k]


class _Paired:
    """Outcomes of the same prompts under several head sets, compared within documents.

    Parameters
    ----------
    outcomes : 1 for a right answer, else 0 (NaN: not measured), a row per (doc_id, prompt_id), a column per head set.
    """

    def __init__(self, outcomes: pd.DataFrame, resamples: int, seed: int, cell: tuple):
        self._outcomes = dict(zip(outcomes.columns, outcomes.to_numpy(float).T, strict=True))
        documents = pd.factorize(outcomes.index.get_level_values("doc_id"), sort=True)[0]
        self._membership = np.eye(documents.max() + 1)[documents].T  # (documents, prompts)
        self._weights = bootstrap_weights(len(self._membership), resamples, generator(seed, "bootstrap", *cell))
        self._key = (seed, "paired_test", *cell)

    def effect(self, baseline: tuple, top: tuple) -> dict:
        counts, before, after = self._by_document(baseline, top)
        return {
            **_columns("baseline", bootstrap_mean(before, counts, self._weights)),
            **_columns("accuracy", bootstrap_mean(after, counts, self._weights)),
            **_columns("drop", bootstrap_mean(before - after, counts, self._weights, (-1.0, 1.0))),
            "p": self._test(after, before, counts),
            **_size(counts),
        }

    def guess(self, baseline: tuple, top: tuple, no_needle: tuple) -> dict:
        """What guessing gives for the prompts that an effect is about, and how far the baseline is above it."""
        counts, before, _, guessed = self._by_document(baseline, top, no_needle)
        if not counts.any():
            return {}
        return {
            **_columns("guess", bootstrap_mean(guessed, counts, self._weights)),
            **_columns("headroom", bootstrap_mean(before - guessed, counts, self._weights, (-1.0, 1.0))),
        }

    def control(self, baseline: tuple, top: tuple, draws: list[tuple]) -> dict:
        counts, before, after, *each = self._by_document(baseline, top, *self._filled(draws))
        random = np.mean(each, axis=0)
        return {
            **_columns("accuracy", bootstrap_mean(random, counts, self._weights)),
            **_columns("drop", bootstrap_mean(before - random, counts, self._weights, (-1.0, 1.0))),
            **_columns("difference", bootstrap_mean(random - after, counts, self._weights, (-1.0, 1.0))),
            "p": self._test(after, np.array(each), counts),
            **_size(counts),
        }

    def step(self, before: tuple, after: tuple) -> dict:
        counts, former, latter = self._by_document(before, after)
        return {
            **_columns("change", bootstrap_mean(latter - former, counts, self._weights, (-1.0, 1.0))),
            "p": self._test(latter, former, counts),
            **_size(counts),
        }

    def _test(self, one: np.ndarray, others: np.ndarray, counts: np.ndarray) -> float:
        # Each test draws anew from the same seed, so that none depends on what was tested before it.
        return paired_test(one, others, counts, generator(*self._key))

    def _filled(self, draws: list[tuple]) -> list[np.ndarray]:
        """The outcomes under each draw; a prompt that has fewer draws than others has its own ones again."""
        each = np.array([self._outcomes[name] for name in draws])
        known = ~np.isnan(each)
        places = [np.flatnonzero(column) for column in known.T]
        again = np.array([np.resize(there, len(draws)) if len(there) else np.arange(len(draws)) for there in places]).T
        return list(np.where(known, each, np.take_along_axis(each, again, axis=0)))

    def _by_document(self, *sets: tuple | np.ndarray) -> np.ndarray:
        """Prompts measured under all these sets, then the right answers under each; shape (1 + sets, documents)."""
        values = np.array([self._outcomes[of] if isinstance(of, tuple) else of for of in sets])
        complete = ~np.isnan(values).any(axis=0)
        return np.vstack([complete, np.where(complete, values, 0)]) @ self._membership.T


def _size(counts: np.ndarray) -> dict[str, int]:
    return {"prompts": int(counts.sum()), "documents": int(np.count_nonzero(counts))}


def _cells(rows: pd.DataFrame, within: Iterable[str] = ()) -> Iterator[tuple[dict, pd.DataFrame]]:
    """Each configuration's rows, then those of each pooling; what is pooled is None in the cell's key."""
    for pooled in _POOLINGS:
        kept = [name for name in (*_CELL, *within) if name not in pooled]
        for values, group in rows.groupby(kept, sort=True):
            yield dict.fromkeys((*_CELL, *within)) | dict(zip(kept, values, strict=True)), group


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), estimate, strict=True))


def _finish(effects: list[dict], controls: list[dict], steps: list[dict]) -> Effects:
    return Effects(
        _corrected(effects, EFFECTS, "drop"),
        _corrected(controls, AGAINST_RANDOM, "difference"),
        _corrected(steps, STEPS, "change"),
    )


def _corrected(rows: list[dict], table: Table, effect: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=table.columns)
    frame = frame[frame["prompts"] > 0].reset_index(drop=True)
    family = [frame["question"].isna(), frame["context_length"].isna()]
    family += [frame["matching"]] if "matching" in frame else []
    frame = corrected(frame, family, [name for name in table.key if name != "intervention"], effect)
    unknown = [name for name in table.nullable if name in frame and name.startswith(("guess", "headroom"))]
    return frame.astype(
        {**dict.fromkeys(table.integers, "Int64"), **dict.fromkeys(["p_holm", "p_every", *unknown], float)}
    )

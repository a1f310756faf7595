"""What a model answers under each head set, known answer by answer or as counts: one interface to both.

Results of a study have one row for each answer, with the document that was asked about. Documents are then the units of
intervals and tests, and what head sets do to the same prompts is compared in pairs. Published results tell how many
answers were right and no more: intervals are those of proportions that are independent of each other, and most tests
are not known. What is made of outcomes (:mod:`~retrieval_heads.analysis.effects`,
:mod:`~retrieval_heads.analysis.drops`, tests) asks :class:`Outcomes`, whichever of the two it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import (
    LEVEL,
    Estimate,
    bootstrap_mean,
    bootstrap_weights,
    fisher,
    mean_of_intervals,
    newcombe,
    paired_test,
    widened,
    wilson,
)
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables.ablation_summary import ABLATION_SUMMARY
from retrieval_heads.tables.columns import HEAD_SET_KEY, INTERVENTION_COLUMNS

CONFIGURATION = (*CELL, *INTERVENTION_COLUMNS)
"""What tells one configuration from another: its prompts, and how heads are ablated in them."""

_DRAWN_BY = [name for name in CONFIGURATION if name not in ("variant", "intervention")]
"""What the random numbers of a configuration depend on: neither on what its intervention is called, nor on the variant
or the depth, so that the same documents are drawn for these."""

_DIFFERENCE = (-1.0, 1.0)
"""The lowest and highest difference that one prompt can make."""


class HeadSet(NamedTuple):
    """What names a head set within a configuration: the key of the head_sets table, empty for what is null there."""

    source: str
    method: str = ""
    matching: str = ""
    draw: int = -1
    k: int = 0


BASELINE, NO_NEEDLE = HeadSet("baseline"), HeadSet("no_needle")


@dataclass(frozen=True)
class HeadSets:
    """The head sets of a configuration, or of several that are pooled.

    Parameters
    ----------
    sizes : of each head set, the mean number of heads over prompts.
    matched : of each head set, the mean share of heads that were matched; NaN where that is not asked.
    """

    sizes: Mapping[HeadSet, float]
    matched: Mapping[HeadSet, float]

    def __contains__(self, name: HeadSet) -> bool:
        return name in self.sizes

    def of_source(self, *sources: str) -> list[HeadSet]:
        """All head sets of these sources, sorted."""
        return sorted(name for name in self.sizes if name.source in sources)

    @cached_property
    def levels(self) -> dict[HeadSet, int]:
        """Each top set that is one of its own, and the last level at which it is the top set.

        A top set that is as large as the one of the level below is the same set, and no level of its own.
        """
        levels: dict[HeadSet, int] = {}
        below: HeadSet | None = None
        for top in self.of_source("method"):
            if below is None or below.method != top.method or self.sizes[below] < self.sizes[top]:
                own = top
            levels[own] = top.k
            below = top
        return levels

    def steps(self) -> Iterator[tuple[HeadSet, HeadSet]]:
        """Each two top sets of a method at neighbouring levels; below the first one stands the baseline."""
        for before, top in pairwise([BASELINE, *self.levels]):
            yield (before if before.method == top.method else BASELINE), top

    def controls(self, top: HeadSet) -> dict[str, list[HeadSet]]:
        """Matching → the draws of random heads that stand beside a top set."""
        found: dict[str, list[HeadSet]] = {}
        for name in self.of_source("random"):
            if (name.method, name.k) == (top.method, top.k):
                found.setdefault(name.matching, []).append(name)
        return found


@dataclass(frozen=True, eq=False)
class Difference:
    """The difference of two accuracies in one configuration, or in several that are pooled.

    Parameters
    ----------
    estimate : with its own 95% interval.
    prompts : how many it is over.
    configuration : the values of what tells prompts of configurations apart.
    units : the names of the independent units that it is made of, which tests compare: its documents, or a single None,
        the configuration as a whole; shape (U,).
    sums : of each unit, the sum of the differences of its parts, shape (U,).
    counts : of each unit, the number of its parts, shape (U,): a document's prompts, or 1 where they are not known.
    """

    estimate: Estimate
    prompts: int
    configuration: tuple
    units: np.ndarray
    sums: np.ndarray
    counts: np.ndarray

    @property
    def value(self) -> float:
        """The difference itself."""
        return self.estimate.value


class SharedOutcomes(ABC):
    """Outcomes of the prompts that were asked under each of several head sets, which go by the names given to them."""

    prompts: int
    documents: int | None
    """How many documents the prompts are about, where that is known."""

    @abstractmethod
    def accuracy(self, name: str) -> Estimate:
        """The share of right answers; NaN where there are no prompts. That of several head sets is their mean."""

    @abstractmethod
    def difference(self, a: str, b: str) -> Difference:
        """The accuracy under a less that under b."""

    @abstractmethod
    def paired_p(self, tested: str, others: str) -> float:
        """The p value of the paired test of a head set against one or several others; NaN where it is not known."""

    def p(self, tested: str, others: str) -> float:
        """The p value of the best test that is known: the paired one, or one that takes outcomes as independent."""
        return self.paired_p(tested, others)


@dataclass(frozen=True, eq=False)
class Outcomes(ABC):
    """Outcomes of a study, or of a part of it.

    Parameters
    ----------
    frame : the rows of the table that they come from. Columns that name a head set have no nulls.
    values : what all rows have in common, by column; what they are pooled over is not there.
    """

    frame: pd.DataFrame
    values: Mapping[str, object] = field(default_factory=dict)

    def split(self, by: Sequence[str]) -> Iterator[Self]:
        """The parts that have the same values in these columns, each on its own, in sorted order."""
        for values, frame in self.frame.groupby(list(by), sort=True):
            yield replace(self, frame=frame, values={**self.values, **dict(zip(by, values, strict=True))})

    def of_models(self, models: Collection[str]) -> Self:
        """The outcomes of some models."""
        return replace(self, frame=self.frame[self.frame["model"].isin(models)])

    def several(self, column: str) -> bool:
        """Whether outcomes are told apart by a column, and have more than one value there."""
        return column in self.frame and self.frame[column].nunique() > 1

    @cached_property
    def sets(self) -> HeadSets:
        """The head sets that there are outcomes of."""
        known = self.frame[["size", "matched"]].astype(float)
        key = [self.frame[name] for name in HEAD_SET_KEY]
        prompts = known.notna().mul(self._prompts, axis=0).groupby(key).sum()
        means = known.mul(self._prompts, axis=0).groupby(key).sum() / prompts
        names = [HeadSet(*name) for name in means.index]
        return HeadSets(*(dict(zip(names, means[column].tolist(), strict=True)) for column in known))

    @property
    @abstractmethod
    def _prompts(self) -> pd.Series:
        """How many prompts each row of the frame stands for."""

    @abstractmethod
    def shared(self, **sets: HeadSet | Sequence[HeadSet]) -> SharedOutcomes:
        """What is known of the prompts that were asked under each of these head sets.

        Parameters
        ----------
        sets : under a name of the caller's choice a head set, or several of which the mean counts, such as draws. A
            prompt needs one of those. Only sets that there are outcomes of (:attr:`sets`).
        """

    @abstractmethod
    def mean(self, differences: Sequence[Difference]) -> Estimate:
        """The mean of differences in single configurations, all of the same weight, with its 95% interval."""

    @staticmethod
    @abstractmethod
    def unit(dimension: str) -> tuple[list[str], str]:
        """What the independent units of a comparison along a dimension are: the columns that name them, and a word."""


def as_outcomes(results: pd.DataFrame, seed: int, resamples: int = 2000) -> Outcomes:
    """The outcomes in the ablation table or, where only counts are known, in the ablation_summary table.

    Parameters
    ----------
    results : one of the two tables.
    seed : the study's seed.
    resamples : how many bootstrap resamples of the documents; of no use for counts.
    """
    text = {name: results[name].astype(object).where(results[name].notna(), "") for name in ("method", "matching")}
    frame = results.assign(**text, draw=results["draw"].astype(float).fillna(BASELINE.draw).astype(int))
    if "doc_id" in results:
        return RowOutcomes(frame, seed=seed, resamples=resamples)
    return CountOutcomes(frame)


def summarise(ablation: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of each head set in each configuration: ablation rows → the ablation_summary table."""
    grouped = ablation.groupby([*CONFIGURATION, *HEAD_SET_KEY, "size", "matched"], dropna=False, sort=False)
    summary = grouped["correct"].agg(accuracy="mean", correct="sum", total="size").reset_index()
    return summary[ABLATION_SUMMARY.columns].astype({"draw": "Int64"})


@dataclass(frozen=True, eq=False)
class RowOutcomes(Outcomes):
    """Outcomes of single prompts: rows of the ablation table.

    Intervals come from a bootstrap over documents in which all outcomes of a document are drawn together.

    Parameters
    ----------
    seed : the study's seed. Every bootstrap and every test draws anew, from a generator of what it is about, so that
        none depends on what else is asked.
    resamples : how many bootstrap resamples.
    """

    seed: int = 1
    resamples: int = 2000

    @property
    def _prompts(self) -> pd.Series:
        return pd.Series(1, index=self.frame.index)

    @cached_property
    def _correct(self) -> pd.DataFrame:
        """1 for a right answer, else 0, NaN where there is none: a row per (doc_id, prompt_id), a column per set."""
        indexed = self.frame.set_index(["doc_id", "prompt_id", *HEAD_SET_KEY])["correct"].astype(int)
        return indexed.unstack(list(HEAD_SET_KEY)).astype(float)

    @cached_property
    def _by_set(self) -> dict[HeadSet, np.ndarray]:
        names = [HeadSet(*name) for name in self._correct.columns]
        return dict(zip(names, self._correct.to_numpy().T, strict=True))

    @cached_property
    def _documents(self) -> tuple[np.ndarray, np.ndarray]:
        """The document of each prompt as a number, shape (prompts,), and the documents' names, sorted."""
        return pd.factorize(self._correct.index.get_level_values("doc_id"), sort=True)

    @cached_property
    def _membership(self) -> np.ndarray:
        """1 where a prompt is about a document, else 0; shape (documents, prompts)."""
        numbers, names = self._documents
        return np.eye(len(names))[numbers].T

    @property
    def _key(self) -> tuple:
        return tuple(self.values.get(name) for name in _DRAWN_BY)

    @cached_property
    def _weights(self) -> np.ndarray:
        return bootstrap_weights(len(self._documents[1]), self.resamples, generator(self.seed, "bootstrap", *self._key))

    def shared(self, **sets: HeadSet | Sequence[HeadSet]) -> "_SharedRows":
        """See :meth:`Outcomes.shared`. A prompt that has fewer of several sets than others has its own ones again."""
        answers = {
            name: self._by_set[given][None] if isinstance(given, HeadSet) else self._filled(given)
            for name, given in sets.items()
        }
        complete = ~np.isnan(np.vstack(list(answers.values()))).any(axis=0)
        right = {name: np.where(complete, values, 0) @ self._membership.T for name, values in answers.items()}
        return _SharedRows(self, complete @ self._membership.T, right)

    def _filled(self, sets: Sequence[HeadSet]) -> np.ndarray:
        """The answers under each of several sets, shape (sets, prompts)."""
        answers = np.array([self._by_set[name] for name in sets])
        known = ~np.isnan(answers)
        own = [np.flatnonzero(column) for column in known.T]
        again = np.array([np.resize(there, len(sets)) if len(there) else np.arange(len(sets)) for there in own]).T
        return np.where(known, answers, np.take_along_axis(answers, again, axis=0))

    def mean(self, differences: Sequence[Difference]) -> Estimate:
        """See :meth:`Outcomes.mean`. Documents are drawn for all configurations together, as they share them."""
        names = np.sort(self.frame["doc_id"].unique())
        sums, counts = np.zeros((2, len(differences), len(names)))
        for i, difference in enumerate(differences):
            column = np.searchsorted(names, difference.units)
            sums[i, column], counts[i, column] = difference.sums, difference.counts
        weights = bootstrap_weights(len(names), self.resamples, generator(self.seed, "bootstrap", "drops"))
        # A resample may have drawn no document of a configuration, or of any.
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = sums @ weights.T / (counts @ weights.T)
            resampled = np.nansum(drawn, axis=0) / (~np.isnan(drawn)).sum(axis=0)
        low, high = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        value = float(np.mean([difference.value for difference in differences]))
        # The prompts of a configuration are the same at all levels and for all methods: they count once.
        prompts = {difference.configuration: difference.prompts for difference in reversed(differences)}
        return widened(Estimate(value, float(low), float(high)), sum(prompts.values()), _DIFFERENCE)

    @staticmethod
    def unit(dimension: str) -> tuple[list[str], str]:
        """See :meth:`Outcomes.unit`."""
        return ["doc_id"], "document"


class _SharedRows(SharedOutcomes):
    """Outcomes of the same prompts, compared within documents.

    Parameters
    ----------
    outcomes : what they are a part of.
    counts : the number of prompts of each document, shape (D,).
    right : under each name the right answers in each document, shape (sets, D).
    """

    def __init__(self, outcomes: RowOutcomes, counts: np.ndarray, right: Mapping[str, np.ndarray]):
        self._outcomes, self._counts, self._right = outcomes, counts, right
        self.prompts, self.documents = int(counts.sum()), int(np.count_nonzero(counts))

    def accuracy(self, name: str) -> Estimate:
        return bootstrap_mean(self._right[name].mean(axis=0), self._counts, self._outcomes._weights)

    def difference(self, a: str, b: str) -> Difference:
        sums = self._right[a].mean(axis=0) - self._right[b].mean(axis=0)
        there = self._counts > 0
        return Difference(
            bootstrap_mean(sums, self._counts, self._outcomes._weights, _DIFFERENCE),
            self.prompts,
            tuple(self._outcomes.values.get(name) for name in CELL),
            self._outcomes._documents[1][there],
            sums[there],
            self._counts[there],
        )

    def paired_p(self, tested: str, others: str) -> float:
        """See :func:`~retrieval_heads.analysis.statistics.paired_test`."""
        rng = generator(self._outcomes.seed, "paired_test", *self._outcomes._key)
        return paired_test(self._right[tested][0], self._right[others], self._counts, rng)


@dataclass(frozen=True, eq=False)
class CountOutcomes(Outcomes):
    """How many answers were right in each configuration: rows of the ablation_summary table."""

    @property
    def _prompts(self) -> pd.Series:
        return self.frame["total"]

    @cached_property
    def _by_set(self) -> dict[HeadSet, np.ndarray]:
        """Right answers and prompts in each configuration, shape (2, configurations); NaN where there are none."""
        indexed = self.frame.set_index([*CONFIGURATION, *HEAD_SET_KEY])[["correct", "total"]]
        counts = indexed.unstack(list(HEAD_SET_KEY)).astype(float)
        by_set: dict[HeadSet, np.ndarray] = {}
        for (kind, *name), values in zip(counts.columns, counts.to_numpy().T, strict=True):
            known = by_set.setdefault(HeadSet(*name), np.empty((2, len(counts))))
            known[0 if kind == "correct" else 1] = values
        return by_set

    def shared(self, **sets: HeadSet | Sequence[HeadSet]) -> "_SharedCounts":
        """See :meth:`Outcomes.shared`. It is over the configurations that were measured under each of the sets."""
        counts = {}
        for name, given in sets.items():
            draws = np.array([self._by_set[one] for one in ([given] if isinstance(given, HeadSet) else given)])
            known = ~np.isnan(draws)
            # The mean over those that a configuration has; NaN where it has none.
            counts[name] = np.where(known.any(axis=0), np.nansum(draws, axis=0), np.nan) / known.sum(axis=0).clip(min=1)
        complete = ~np.isnan(np.vstack(list(counts.values()))).any(axis=0)
        return _SharedCounts(self, {name: known[:, complete].sum(axis=1) for name, known in counts.items()})

    def mean(self, differences: Sequence[Difference]) -> Estimate:
        """See :meth:`Outcomes.mean`. From the intervals of the single ones, of which those of the same prompts hang
        together (:func:`~retrieval_heads.analysis.statistics.mean_of_intervals`)."""
        configurations: dict[tuple, int] = {}
        for difference in differences:
            configurations.setdefault(difference.configuration, len(configurations))
        groups = np.array([configurations[difference.configuration] for difference in differences])
        values, lows, highs = np.array([difference.estimate for difference in differences]).T
        return mean_of_intervals(values, lows, highs, groups)

    @staticmethod
    def unit(dimension: str) -> tuple[list[str], str]:
        """See :meth:`Outcomes.unit`. Configurations, or groups of them that were measured on the same prompts."""
        columns = [name for name in CELL if name != dimension]
        return columns, "configuration" if len(columns) == len(CELL) else "configuration group"


class _SharedCounts(SharedOutcomes):
    """Counts of answers to the same prompts, which do not tell what each of them was.

    Parameters
    ----------
    outcomes : what they are a part of.
    counts : under each name the number of right answers and of prompts.
    """

    documents = None

    def __init__(self, outcomes: CountOutcomes, counts: Mapping[str, np.ndarray]):
        self._outcomes, self._counts = outcomes, counts
        self.prompts = int(min(total for _, total in counts.values()))

    def accuracy(self, name: str) -> Estimate:
        correct, total = self._counts[name]
        return wilson(correct, total) if total else Estimate(np.nan, np.nan, np.nan)

    def difference(self, a: str, b: str) -> Difference:
        (correct_a, total_a), (correct_b, total_b) = self._counts[a], self._counts[b]
        known = newcombe(correct_a, total_a, correct_b, total_b) if self.prompts else None
        estimate = known or Estimate(np.nan, np.nan, np.nan)
        whole = np.array([None]), np.array([estimate.value]), np.array([1])
        return Difference(estimate, self.prompts, tuple(self._outcomes.values.get(name) for name in CELL), *whole)

    def paired_p(self, tested: str, others: str) -> float:
        return np.nan

    def p(self, tested: str, others: str) -> float:
        """Fisher's, within one configuration: in several that are pooled, prompts of a document would count as
        independent."""
        if not self.prompts or not set(CELL) <= set(self._outcomes.values):
            return np.nan
        return fisher(*(int(count) for count in (*self._counts[tested], *self._counts[others])))

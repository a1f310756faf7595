"""How well rankings of heads, which are of the train split, tell which heads matter for answers to test prompts.

Two things say which heads matter: the effects of single heads (the yardstick), and what is lost without a ranking's
first heads (the ablation). Rankings that know nothing of retrieval stand beside those of the methods, as rivals to
beat, and the effects in the other test documents as the ceiling: no ranking can be expected to tell more of a document
than those do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from retrieval_heads.analysis.outcomes import BASELINE, NO_NEEDLE, HeadSet, HeadSets, Outcomes
from retrieval_heads.analysis.overlap import Ranking, grids
from retrieval_heads.analysis.similarity import chance_among_first, spearman
from retrieval_heads.analysis.statistics import (
    bootstrap_ratio,
    bootstrap_weights,
    sign_flip_family,
    sign_flip_test,
    sign_flips,
)
from retrieval_heads.analysis.ties import Places, places
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.study.heads import require_planted
from retrieval_heads.study.methods import CHANCE, LAYER, WRITE_NORM
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.heads import GRID, Grid
from retrieval_heads.tables.quality_tests import QUALITY_TESTS
from retrieval_heads.tables.ranking_quality import (
    AREA,
    AUROC,
    CAPTURED,
    CEILING,
    METHOD,
    PRECISION,
    RANKING_QUALITY,
    RIVAL,
    SHARE,
    SPEARMAN,
)

HEADROOM = 0.2
"""How far answers must surely be above guessing for the area: what ablation cannot take away tells nothing."""


class Quality(NamedTuple):
    """How good rankings are, and whether some are better than others, as tables."""

    ranking_quality: pd.DataFrame
    quality_tests: pd.DataFrame


@dataclass(frozen=True)
class Asked:
    """What the quality of a study's rankings is asked with.

    Parameters
    ----------
    levels : of how many first heads it is told, where a model has more heads than that.
    level : at which of them methods are tested against each other.
    planted : model → names of the heads that were planted in it, such as L1H2.
    costs : (model, context length) → method → plain passes that a document takes by this method alone.
    seed : the study's.
    resamples : bootstrap resamples of the documents, which all terms of a quantity take together.
    """

    levels: Sequence[int]
    level: int
    planted: Mapping[str, Sequence[str]]
    costs: Mapping[tuple[str, int], Mapping[str, float]]
    seed: int
    resamples: int


def measure_quality(
    effects: pd.DataFrame, rankings: pd.DataFrame, labels: pd.DataFrame, outcomes: Outcomes, asked: Asked
) -> Quality:
    """The tables ranking_quality and quality_tests.

    Parameters
    ----------
    effects : the head_effects table; without rows where a study has no yardstick.
    rankings, labels : the tables of these names.
    outcomes : what the model answered with heads ablated.

    Raises
    ------
    StudyError
        when a planted head is none of the model's.
    """
    rows, tests = [], []
    ranked = _Rankings(rankings, labels)
    for (*over, mode, layers, heads), here in effects.groupby([*OVER, "mode", *GRID]):
        at = dict(zip(OVER, over, strict=True)) | {"mode": mode}
        held = _Held(here, ranked, Grid(int(layers), int(heads)), asked)
        for question in (None, *sorted(here["question"].unique())):
            rows += [at | row | {"question": question} for row in held.rows(question)]
        tests += [at | row for row in held.tests()]
    rows += [*_areas(outcomes, ranked.methods, asked), *_aurocs(ranked, asked)]
    tests += _area_tests(outcomes, ranked.methods, asked)
    return Quality(_quality(rows, ranked, asked), _tests(tests))


class _Rankings:
    """The rankings of heads that are judged: those of the methods, and the rivals.

    Parameters
    ----------
    rankings, labels : the tables of these names.
    """

    def __init__(self, rankings: pd.DataFrame, labels: pd.DataFrame):
        self._rows = {key: rows for key, rows in rankings.groupby(list(DIMENSIONS))}
        self._labels = {model: rows for model, rows in labels.groupby("model")}
        self.methods = list(dict.fromkeys(rankings["method"]))
        self.grids = grids(rankings)
        self.cells = list(dict.fromkeys(rankings[CELL].itertuples(index=False, name=None)))

    def of(self, name: str, cell: Mapping, grid: Grid) -> Places | None:
        """Places of all heads of a model with this grid in a ranking for the prompts of a cell, if there is one."""
        if name in self.methods:
            rows = self._method(name, cell)
            return None if rows is None else Ranking.of(rows, grid, 0).places
        if name == LAYER:
            return places(np.repeat(np.arange(grid.layers), grid.heads))
        labels = self._labels.get(cell["model"])
        if labels is None or labels["write_norm"].isna().any():
            return None
        norms = np.zeros(grid)
        norms[labels["layer"], labels["head"]] = labels["write_norm"]
        return places(norms.ravel())

    def train_prompts(self, name: str, cell: Mapping) -> int | None:
        """How many train prompts a method's ranking is from: those of its best-covered head, over all questions where
        none is given."""
        every = dict.fromkeys(each[CELL.index("question")] for each in self.cells)
        rows = [
            self._method(name, {**cell, "question": question})
            for question in ([cell["question"]] if cell["question"] else every)
        ]
        return sum(int(own["n_samples"].max()) for own in rows if own is not None) or None

    def _method(self, name: str, cell: Mapping) -> pd.DataFrame | None:
        return self._rows.get(tuple(({**cell, "method": name})[key] for key in DIMENSIONS))


@dataclass(frozen=True, eq=False)
class _Held:
    """Rankings held against the effects in the test prompts of one model, length, variant and mode.

    P prompts about D documents, N heads.

    Parameters
    ----------
    prompts : their rows of the head_effects table.
    ranked : the rankings.
    grid : of the model's heads.
    asked : what is asked.
    """

    prompts: pd.DataFrame
    ranked: _Rankings
    grid: Grid
    asked: Asked

    @cached_property
    def effects(self) -> np.ndarray:
        """(P, N)."""
        return np.stack(list(self.prompts["effects"])).astype(float)

    @cached_property
    def truth(self) -> list[Places]:
        """The places of heads by their effects in each prompt."""
        return [places(effects) for effects in self.effects]

    @cached_property
    def levels(self) -> list[int]:
        return [k for k in self.asked.levels if k < self.grid.total]

    @cached_property
    def names(self) -> dict[str, str]:
        """Each ranking that there is for some of the prompts, with its kind; the ceiling's is the last."""
        kinds = {**dict.fromkeys(self.ranked.methods, METHOD), LAYER: RIVAL, WRITE_NORM: RIVAL, CEILING: CEILING}
        return {name: kind for name, kind in kinds.items() if any(one is not None for one in self.orders(name))}

    def orders(self, name: str) -> list[Places | None]:
        """Where a ranking has the heads for each prompt."""
        if name == CEILING:
            return self.ceiling
        cells = self.prompts[CELL].to_dict("records")
        known = {cell["question"]: self.ranked.of(name, cell, self.grid) for cell in cells}
        return [known[cell["question"]] for cell in cells]

    @cached_property
    def ceiling(self) -> list[Places | None]:
        """For each prompt the order of the mean effects in the other documents' prompts of the same question (the lower
        bound of the noise ceiling: Nili et al. 2014, PLoS Computational Biology 10)."""
        found: list[Places | None] = [None] * len(self.prompts)
        numbered = self.prompts.assign(number=np.arange(len(self.prompts)))
        for _, of_question in numbered.groupby("question"):
            own = {document: rows["number"].to_numpy() for document, rows in of_question.groupby("doc_id")}
            means = {document: self.effects[numbers].mean(0) for document, numbers in own.items()}
            for document, numbers in own.items():
                others = [mean for other, mean in means.items() if other != document]
                for number in numbers if others else ():
                    found[number] = places(np.mean(others, axis=0))
        return found

    @cached_property
    def first(self) -> dict[tuple[str, int], np.ndarray]:
        """(ranking, k) → the chance of each head to be among its first k, (P, N); NaN where there is no ranking."""
        nothing = np.full(self.grid.total, np.nan)
        return {
            (name, k): np.stack([nothing if one is None else chance_among_first(one, k) for one in self.orders(name)])
            for name in self.names
            for k in self.levels
        }

    @cached_property
    def gained(self) -> dict[tuple[str, int], np.ndarray]:
        """(ranking, k) → the effects of its first k heads, less those that as many heads drawn by lot have, (P,)."""
        return {
            (name, k): (first * self.effects).sum(1) - k / self.grid.total * self.effects.sum(1)
            for (name, k), first in self.first.items()
        }

    @cached_property
    def correlations(self) -> dict[str, np.ndarray]:
        """Ranking → its Spearman's correlation with the effects in each prompt, (P,)."""
        return {
            name: np.array(
                [
                    np.nan if one is None else spearman(one.rank, truth.rank)
                    for one, truth in zip(self.orders(name), self.truth, strict=True)
                ]
            )
            for name in self.names
        }

    @cached_property
    def precisions(self) -> dict[tuple[str, int], np.ndarray]:
        """(ranking, k) → how many of its first k heads are among the first k by the effects in a prompt, over k, (P,).

        Both sides' ties are broken in expectation.
        """
        true = {k: np.stack([chance_among_first(one, k) for one in self.truth]) for k in self.levels}
        return {(name, k): (first * true[k]).sum(1) / k for (name, k), first in self.first.items()}

    def rows(self, question: str | None) -> Iterator[dict]:
        """The measures of every ranking in the prompts of a question, or of all."""
        chosen = (
            np.ones(len(self.prompts), bool) if question is None else (self.prompts["question"] == question).to_numpy()
        )
        average = _Average(self.prompts[chosen], self.asked)
        one = np.ones(len(self.prompts))
        # What is needed on average: which heads these are is taken as given, so that a share is a ratio of means.
        above = np.clip(self._mean_effect(chosen), 0, None) > 0
        total = (self.effects * above).sum(1)
        best = places(self._mean_effect(chosen))
        for name, kind in self.names.items():
            own = {"ranking": name, "kind": kind}
            yield own | {"measure": SPEARMAN} | average.of(self.correlations[name][chosen], one[chosen])
            for k in self.levels:
                at = own | {"k": k}
                yield at | {"measure": PRECISION} | average.of(self.precisions[name, k][chosen], one[chosen])
                reference = self.gained.get((CEILING, k), np.nan * one)
                if average.of(reference[chosen], one[chosen])["value_low"] > 0:
                    captured = average.of(self.gained[name, k][chosen], reference[chosen])
                else:
                    captured = average.unknown(self.gained[name, k][chosen])
                yield at | {"measure": CAPTURED} | captured
                if kind != CEILING:
                    held = (self.first[name, k] * self.effects * above).sum(1)
                    yield at | {"measure": SHARE} | average.of(held[chosen], total[chosen])
        for k in self.levels:
            held = (chance_among_first(best, k) * self.effects * above).sum(1)
            at = {"ranking": CEILING, "kind": CEILING, "k": k, "measure": SHARE}
            yield at | average.of(held[chosen], total[chosen])
        by_lot: dict[tuple[str, int | None], float] = {(SPEARMAN, None): 0.0}
        for k in self.levels:
            by_lot |= {(PRECISION, k): k / self.grid.total, (CAPTURED, k): 0.0, (SHARE, k): k / self.grid.total}
        for (measure, at_k), value in by_lot.items():
            yield {"ranking": CHANCE, "kind": RIVAL, "measure": measure, "k": at_k} | average.exactly(value)

    def _mean_effect(self, chosen: np.ndarray) -> np.ndarray:
        """The mean effect of each head over a document's prompts, then over documents, (N,)."""
        documents = self.prompts["doc_id"].to_numpy()[chosen]
        return pd.DataFrame(self.effects[chosen]).groupby(documents).mean().mean().to_numpy()

    def tests(self) -> Iterator[dict]:
        """Every two methods against each other, over the prompts of all questions for which both have a ranking."""
        average = _Average(self.prompts, self.asked)
        pairs = list(combinations([name for name, kind in self.names.items() if kind == METHOD], 2))
        one = np.ones(len(self.prompts))
        compared: list[tuple[str, int | None, dict[str, np.ndarray], np.ndarray]]
        compared = [(SPEARMAN, None, self.correlations, one)]
        if (k := self.asked.level) in self.levels and (CEILING, k) in self.gained:
            reference = self.gained[CEILING, k]
            if average.of(reference, one)["value_low"] > 0:
                compared.append((CAPTURED, k, {name: self.gained[name, k] for name in self.names}, reference))
        for measure, at_k, values, reference in compared:
            if pairs:
                differences = np.stack([values[a] - values[b] for a, b in pairs])
                for (a, b), row in zip(pairs, average.differences(differences, reference), strict=True):
                    yield {"measure": measure, "k": at_k, "a": a, "b": b} | row


class _Average:
    """Means over a document's prompts, then over documents.

    Parameters
    ----------
    prompts : with the column ``doc_id``, P of them.
    asked : what is asked.
    """

    def __init__(self, prompts: pd.DataFrame, asked: Asked):
        self._documents, names = pd.factorize(prompts["doc_id"], sort=True)
        self._number, self._asked = len(names), asked
        rng = generator(asked.seed, "ranking_quality", self._number)
        self._weights = bootstrap_weights(self._number, asked.resamples, rng)

    def of(self, values: np.ndarray, reference: np.ndarray) -> dict:
        """The columns of an estimate: the mean of values over that of what they are held against, each (P,)."""
        found = self._known(values, reference)
        value, low, high = (float(column[0]) for column in bootstrap_ratio(*found, self._weights))
        return {"value": value, "value_low": low, "value_high": high} | self._sizes(values + reference)

    def unknown(self, values: np.ndarray) -> dict:
        """The columns of an estimate that cannot be told."""
        return {"value": np.nan, "value_low": np.nan, "value_high": np.nan} | self._sizes(values)

    def exactly(self, value: float) -> dict:
        """The columns of what is known without any data."""
        return {"value": value, "value_low": value, "value_high": value} | self._sizes(np.zeros(len(self._documents)))

    def differences(self, values: np.ndarray, reference: np.ndarray) -> Iterator[dict]:
        """The same for each of several differences, shape (M, P), with the p values of sign flips over documents."""
        known = [self._known(one, reference) for one in values]
        above, below = (np.hstack(part) for part in zip(*known, strict=True))
        for found, one in zip(_compared(above, below, self._weights, self._asked), values, strict=True):
            yield found | self._sizes(one + reference)

    def _known(self, values: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means of both over the prompts of each document in which both are known, (D, 1)."""
        known = ~np.isnan(values + reference)
        counts = np.bincount(self._documents, known, self._number)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = [
                np.bincount(self._documents, np.where(known, one, 0.0), self._number) / counts
                for one in (values, reference)
            ]
        return means[0][:, None], means[1][:, None]

    def _sizes(self, values: np.ndarray) -> dict:
        known = ~np.isnan(values)
        return {"prompts": int(known.sum()), "documents": len(set(self._documents[known]))}


# --- what is lost without a ranking's first heads ------------------------------------------------------------------


def _areas(outcomes: Outcomes, methods: list[str], asked: Asked) -> Iterator[dict]:
    """The area of each method whose heads were ablated, for each question and over all."""
    for pooled in (False, True):
        by = [name for name in (*CELL, *INTERVENTION_COLUMNS) if not (pooled and name == "question")]
        for cell in outcomes.split(by):
            at = {"question": None} | {name: cell.values[name] for name in by if name != "scope"}
            for method in methods:
                if (area := _Area.of(cell, [method])) is None:
                    continue
                found = at | {"ranking": method, "kind": METHOD, "measure": AREA}
                yield found | area.estimate(asked)
            if (known := _Area.of(cell, [])) is not None:
                found = at | {"ranking": CHANCE, "kind": RIVAL, "measure": AREA}
                yield found | {"value": 0.0, "value_low": 0.0, "value_high": 0.0} | known.sizes


def _area_tests(outcomes: Outcomes, methods: list[str], asked: Asked) -> list[dict]:
    """Every two methods whose heads were ablated against each other, over the prompts that all of them share."""
    found = []
    for cell in outcomes.split([name for name in (*CELL, *INTERVENTION_COLUMNS) if name != "question"]):
        at = {name: value for name, value in cell.values.items() if name != "scope"} | {"measure": AREA, "k": None}
        ablated = [method for method in methods if _Area.of(cell, [method]) is not None]
        if len(ablated) < 2 or (area := _Area.of(cell, ablated)) is None or not area.known():
            continue
        pairs = list(combinations(range(len(ablated)), 2))
        between = np.stack([area.lost[a] - area.lost[b] for a, b in pairs], axis=1)
        headroom = np.tile(area.headroom[:, None], len(pairs))
        for (a, b), row in zip(pairs, _compared(between, headroom, area.weights(asked), asked), strict=True):
            found.append(at | {"a": ablated[a], "b": ablated[b]} | row | area.sizes)
    return found


def _compared(above: np.ndarray, below: np.ndarray, weights: np.ndarray, asked: Asked) -> Iterator[dict]:
    """The columns of each of several differences, from what documents have of it and what that is held against.

    Parameters
    ----------
    above, below : shape (D, M).
    weights : of the bootstrap, shape (R, D).
    """
    signs = sign_flips(len(above), generator(asked.seed, "sign_flips", len(above)))
    p, corrected = sign_flip_test(above, signs), sign_flip_family(above, signs)
    names = ("difference", "difference_low", "difference_high", "p", "p_family")
    for numbers in zip(*bootstrap_ratio(above, below, weights), p, corrected, strict=True):
        yield dict(zip(names, map(float, numbers), strict=True))


@dataclass(frozen=True, eq=False)
class _Area:
    """How much more the first heads of one method, or of two, cost than as many drawn by lot, in one cell.

    Parameters
    ----------
    lost : of each method, by document the sum over prompts of Σ_i w_i [r(k_i) − a(k_i)], (methods, D).
    headroom : by document the sum over prompts of b − n, (D,).
    sure : the lower end of the mean headroom's interval.
    sizes : prompts and documents.
    """

    lost: np.ndarray
    headroom: np.ndarray
    sure: float
    sizes: dict

    @classmethod
    def of(cls, cell: Outcomes, methods: Sequence[str]) -> "_Area | None":
        """None where some outcome is missing: of a top set at some level, of random heads, or without the needle."""
        sets = cell.sets
        if BASELINE not in sets or NO_NEEDLE not in sets:
            return None
        levels = sorted({top.k for top in sets.of_source("method")})
        named: dict[str, HeadSet | list[HeadSet]] = {"baseline": BASELINE, "guess": NO_NEEDLE}
        for number, method in enumerate(methods):
            for k in levels:
                if (top := _at_level(sets, method, k)) is None or not (controls := sets.controls(top)):
                    return None
                named[f"top {number} {k}"] = top
                # Matched by layer where there are such; "layer" sorts before "none".
                named[f"random {number} {k}"] = controls[min(controls)]
        shared = cell.shared(**named)
        if not levels or not shared.prompts:
            return None
        headroom = shared.difference("baseline", "guess")
        lost = [
            sum(
                weight * shared.difference(f"random {number} {k}", f"top {number} {k}").sums
                for k, weight in zip(levels, trapezoid_weights(levels), strict=True)
            )
            for number in range(len(methods))
        ]
        sizes = {"prompts": shared.prompts, "documents": shared.documents}
        return cls(np.array(lost), headroom.sums, headroom.estimate.low, sizes)

    def known(self) -> bool:
        """Whether answers are surely far enough above guessing."""
        return self.sure >= HEADROOM

    def estimate(self, asked: Asked) -> dict:
        """The columns of the area of the one method."""
        found = np.full(3, np.nan)
        if self.known():
            found = np.hstack(bootstrap_ratio(self.lost.T, self.headroom[:, None], self.weights(asked)))
        return dict(zip(("value", "value_low", "value_high"), map(float, found), strict=True)) | self.sizes

    def weights(self, asked: Asked) -> np.ndarray:
        """Of the bootstrap, shape (R, D)."""
        documents = len(self.headroom)
        return bootstrap_weights(documents, asked.resamples, generator(asked.seed, "area", documents))


def trapezoid_weights(levels: Sequence[int]) -> np.ndarray:
    """The weights of values at some levels in their mean from 0 to the last level, by straight lines between levels.

    At 0 the value is 0.

    With the weight of the value at 0 they sum to 1.
    """
    ends = np.array([0, *levels, levels[-1]])
    return (ends[2:] - ends[:-2]) / 2 / levels[-1]


def _at_level(sets: HeadSets, method: str, k: int) -> HeadSet | None:
    """The top set of a method at a level, which is that of a level below where ties end it early."""
    for top, last in sets.levels.items():
        if top.method == method and top.k <= k <= last:
            return top
    return None


# --- heads that are known because they were planted ----------------------------------------------------------------


def _aurocs(ranked: _Rankings, asked: Asked) -> Iterator[dict]:
    """How surely each ranking has a planted head before another, for each question, and on average over all."""
    found = []
    for cell in ranked.cells:
        at = dict(zip(CELL, cell, strict=True))
        grid = ranked.grids[at["model"]]
        if not (planted := planted_heads(asked.planted, at["model"], grid)):
            continue
        for name in (*ranked.methods, LAYER, WRITE_NORM):
            if (one := ranked.of(name, at, grid)) is not None:
                found.append(at | {"ranking": name, "value": auroc(one, planted)})
        found.append(at | {"ranking": CHANCE, "value": 0.5})
    if not found:
        return
    frame = pd.DataFrame(found)
    pooled = frame.groupby([*OVER, "ranking"], sort=False)["value"].mean().reset_index().assign(question=None)
    for row in (*found, *pooled.to_dict("records")):
        prompts = ranked.train_prompts(row["ranking"], row) if row["ranking"] in ranked.methods else None
        kind = METHOD if row["ranking"] in ranked.methods else RIVAL
        yield row | {"kind": kind, "measure": AUROC, "prompts": prompts or 0}


def auroc(ranking: Places, chosen: Sequence[int]) -> float:
    """The chance that one of some heads stands before one of the others, where those that tie count half.

    The area under the ROC curve (Hanley and McNeil 1982, Radiology 143), from ranks.

    Parameters
    ----------
    ranking : of N heads.
    chosen : the numbers of some, not of all.
    """
    some, others = len(chosen), len(ranking.rank) - len(chosen)
    behind = len(ranking.rank) - ranking.rank[list(chosen)]
    return float((behind.sum() - some * (some - 1) / 2) / (some * others))


def planted_heads(planted: Mapping[str, Sequence[str]], model: str, grid: Grid) -> list[int]:
    """The numbers of a model's planted heads.

    Raises
    ------
    StudyError
        when one is none of the model's, or all of them are planted.
    """
    found = require_planted(model, planted.get(model) or (), grid.layers, grid.heads)
    return [layer * grid.heads + head for layer, head in found]


# --- the tables ----------------------------------------------------------------------------------------------------


def _quality(rows: list[dict], ranked: _Rankings, asked: Asked) -> pd.DataFrame:
    if not rows:
        return RANKING_QUALITY.empty()
    for row in rows:
        if row["kind"] == METHOD:
            cost = asked.costs.get((row["model"], row["context_length"]), {}).get(row["ranking"])
            row |= {"cost": cost, "train_prompts": ranked.train_prompts(row["ranking"], row)}
    return RANKING_QUALITY.typed(pd.DataFrame(rows, columns=RANKING_QUALITY.columns))


def _tests(rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=QUALITY_TESTS.columns).dropna(subset="difference")
    return QUALITY_TESTS.typed(frame.reset_index(drop=True)) if len(frame) else QUALITY_TESTS.empty()


# --- which method is best ------------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """How a method stands beside all others by one measure.

    Parameters
    ----------
    method : the one with the largest value.
    p : the largest p of its tests against each other method: that of the claim that it is the best. No correction is
        due for which method came first (Hung and Fithian 2019, Annals of Statistics 47, 758–782).
    close : the others that it is not told apart from, by p values that are corrected.
    smallest : the row of the test against the method that it is least ahead of.
    """

    method: str
    p: float
    close: list[str]
    smallest: pd.Series


def standing(tests: pd.DataFrame, alpha: float) -> Standing | None:
    """The first of all methods by one measure in one setting; None where there is no test.

    Parameters
    ----------
    tests : rows of the quality_tests table of one setting and measure.
    alpha : level of the tests.
    """
    if tests.empty:
        return None
    methods = list(dict.fromkeys([*tests["a"], *tests["b"]]))
    wins = {name: int((against(tests, name)["difference"] > 0).sum()) for name in methods}
    first = max(methods, key=wins.__getitem__)
    beside = against(tests, first)
    close = beside.loc[beside["p_family"] >= alpha, "b"].tolist()
    return Standing(first, float(beside["p"].max()), close, beside.loc[beside["difference"].idxmin()])


def against(tests: pd.DataFrame, method: str) -> pd.DataFrame:
    """The tests of one method, turned so that it is ``a``: differences are its value less another's."""
    own, other = tests[tests["a"] == method], tests[tests["b"] == method]
    turned = other.assign(
        a=other["b"],
        b=other["a"],
        difference=-other["difference"],
        difference_low=-other["difference_high"],
        difference_high=-other["difference_low"],
    )
    return pd.concat([turned, own], ignore_index=True)

"""Whether the same heads are on top in two settings, such as two variants of prompts, but for the noise of rankings.

Two rankings from few documents differ even where the same heads matter. What they have in common is therefore held
against what rankings from two halves of the documents have in common in one and the same setting, as a correlation is
corrected for attenuation (Spearman 1904, American Journal of Psychology 15, 72–101).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from retrieval_heads.analysis.reliability import halves_of
from retrieval_heads.analysis.similarity import expected_jaccard
from retrieval_heads.analysis.statistics import LEVEL, bootstrap_weights
from retrieval_heads.analysis.ties import TOLERANCE
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, DIMENSIONS, PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.same_heads import ALIKE, DIFFERENT, SAME, SAME_HEADS, UNTOLD

COMPARED = tuple(name for name in CELL if name != "model")
"""The dimensions along which two settings are compared: those of prompts, as heads of models cannot be matched."""

RESAMPLES = 200
"""The most resamples of the documents behind an interval: each has rankings of its own, for every split."""


def same_heads(
    scores: Iterable[pd.DataFrame],
    documents: pd.Series,
    splits: int,
    seed: int,
    resamples: int,
    top_k: int | None = None,
) -> pd.DataFrame:
    """J(A₁, B₂) / √(J(A₁, A₂) · J(B₁, B₂)) for every two settings A and B that differ in one dimension.

    J is the Jaccard of the top sets at level k from the halves 1 and 2 of a split, less what chance gives sets of their
    sizes, and over 1 less that; averaged over splits, and between A and B over both ways to pair halves. Documents are
    resampled for all splits and settings together, and one that is drawn several times stays in its half (percentile
    interval of the bootstrap, less its bias; Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13).

    Parameters
    ----------
    scores : the scores table of one model, in parts.
    documents : prompt_id → doc_id.
    splits : how many random splits, the same as in the reliability table.
    seed : the study's.
    resamples : of the documents; no more than :data:`RESAMPLES` are drawn.
    top_k : the level k; by default a share of the model's heads.

    Returns
    -------
    The same_heads table: each two settings, and for each two values of a dimension all questions and lengths pooled,
    over which each J is averaged. Heads are the same if the interval lies above 0.8, different if it lies below, and
    else untold, as where the interval of J(A₁, A₂) or J(B₁, B₂) reaches 0: rankings that do not agree with themselves
    tell nothing.
    """
    by_document = _mean_scores(scores, documents)
    every = sorted({document for of_setting in by_document.values() for document in of_setting})
    halves = halves_of(every, splits, seed)
    weights = _weights(every, halves, min(resamples, RESAMPLES), seed)
    rows: list[dict] = []
    by_method: dict[tuple, dict[tuple, dict[str, np.ndarray]]] = {}
    for setting, of_setting in sorted(by_document.items()):
        named = dict(zip(DIMENSIONS, setting, strict=True))
        cell = tuple(named[name] for name in COMPARED)
        by_method.setdefault((named["model"], named["method"]), {})[cell] = of_setting
    for (model, method), of_method in by_method.items():
        heads = len(next(iter(next(iter(of_method.values())).values())))
        k = top_k_for(heads, top_k)
        tops = {cell: _top_sets(of_setting, every, weights, k) for cell, of_setting in of_method.items()}
        known = {"model": model, "method": method, "k": k, "splits": splits}
        rows += [row | known for row in _compared(tops, {cell: len(one) for cell, one in of_method.items()})]
    frame = pd.DataFrame(rows, columns=SAME_HEADS.columns)
    return frame.astype({"context_length": "Int64"})


def against_plain(study: Study, same: pd.DataFrame) -> pd.DataFrame:
    """Rows of same_heads that hold a variant, told as ``variant``, against the plain one, pooled over questions and
    lengths; in the study's order."""
    here = same[(same["dimension"] == "variant") & same["question"].isna() & same["context_length"].isna()]
    here = here[(here["a"] == PLAIN) | (here["b"] == PLAIN)]
    here = here.assign(variant=here["b"].where(here["a"] == PLAIN, here["a"]))
    order = [
        here[name].map(study.in_config_order(name, here[name]).index).rename(name)
        for name in ("model", "variant", "method")
    ]
    return here.loc[pd.concat(order, axis=1).sort_values(["model", "variant", "method"]).index]


def _mean_scores(scores: Iterable[pd.DataFrame], documents: pd.Series) -> dict[tuple, dict[str, np.ndarray]]:
    """Setting → document → its sum of scores of each head with the number of its prompts behind, shape (heads + 1,)."""
    found: dict[tuple, dict[str, np.ndarray]] = {}
    for part in scores:
        for setting, rows in part.groupby(list(DIMENSIONS)):
            of_setting = found.setdefault(setting, {})
            for prompt, values in zip(rows["prompt_id"], rows["scores"], strict=True):
                counted = np.append(np.asarray(values, float), 1.0)
                of_setting[documents[prompt]] = of_setting.get(documents[prompt], 0.0) + counted
    return found


def _weights(every: list[str], halves: Mapping[str, np.ndarray], resamples: int, seed: int) -> np.ndarray:
    """How often each document counts, shape (splits, 2, 1 + resamples, documents): first as they are, then drawn.

    A draw is one of documents, the same for all splits. A document that is drawn several times is in one half with all
    of these, so that no half knows what the other does.
    """
    which = np.array([halves[document] for document in every]).T
    drawn = bootstrap_weights(len(every), resamples, generator(seed, "same_heads", len(every)))
    whole = np.vstack([np.ones((1, len(every))), drawn])
    return np.stack([(which == half)[:, None] * whole for half in (0, 1)], axis=1)


def _top_sets(of_setting: Mapping[str, np.ndarray], every: list[str], weights: np.ndarray, k: int) -> np.ndarray:
    """Which heads are in the top set of each half, shape (splits, 2, 1 + resamples, heads); none of a half without
    prompts. Heads that tie at the border are left out, as in every top set."""
    there = [number for number, document in enumerate(every) if document in of_setting]
    sums = weights[..., there] @ np.stack([of_setting[every[number]] for number in there])
    with np.errstate(invalid="ignore", divide="ignore"):
        means = sums[..., :-1] / sums[..., -1:]
        steps = np.rint(means / np.abs(means).max(-1, keepdims=True) / TOLERANCE)
    heads = steps.shape[-1]
    steps = np.nan_to_num(steps, nan=0.0)
    if k >= heads:
        return np.ones(steps.shape, bool)
    beyond = np.partition(steps, heads - k - 1, axis=-1)[..., heads - k - 1]
    return steps > beyond[..., None]


@dataclass(frozen=True)
class _Agreement:
    """Chance-corrected Jaccards, averaged over splits, of two settings; first as they are, then resampled, (1 + R,)."""

    between: np.ndarray
    within_a: np.ndarray
    within_b: np.ndarray

    @classmethod
    def pooled(cls, several: list["_Agreement"]) -> "_Agreement":
        """Their means."""
        return cls(*(_mean([getattr(one, name) for one in several]) for name in ("between", "within_a", "within_b")))

    def columns(self) -> dict:
        product = self.within_a * self.within_b
        with np.errstate(invalid="ignore", divide="ignore"):
            sameness = np.where((self.within_a > 0) & (self.within_b > 0), self.between / np.sqrt(product), np.nan)
        within = {name: _estimate(name, getattr(self, name)) for name in ("within_a", "within_b")}
        told = all(one[f"{name}_low"] > 0 for name, one in within.items())
        own = _estimate("sameness", sameness) if told else dict.fromkeys(_ends("sameness"), np.nan)
        verdict = SAME if own["sameness_low"] > ALIKE else DIFFERENT if own["sameness_high"] < ALIKE else UNTOLD
        return {"between": self.between[0], **within["within_a"], **within["within_b"], **own, "verdict": verdict}


def _compared(tops: Mapping[tuple, np.ndarray], documents: Mapping[tuple, int]) -> Iterator[dict]:
    """The rows of one method: each two settings that differ in one dimension, and those of two values pooled."""
    within = {cell: _mean(_jaccards(halves[:, 0], halves[:, 1])) for cell, halves in tops.items()}
    for at, dimension in enumerate(COMPARED):
        # Over questions and lengths, as effects are; never over variants.
        pairs: dict[tuple, list[tuple[_Agreement, int]]] = {}
        for a, b in combinations(sorted(tops), 2):
            if a[:at] + a[at + 1 :] != b[:at] + b[at + 1 :]:
                continue
            both = [_jaccards(tops[a][:, i], tops[b][:, 1 - i]) for i in (0, 1)]
            one = _Agreement(_mean([_mean(way) for way in both]), within[a], within[b])
            fewer = min(documents[a], documents[b])
            alike = {name: value for name, value in zip(COMPARED, a, strict=True) if name != dimension}
            pairs.setdefault((a[at], b[at], alike.get("variant")), []).append((one, fewer))
            yield _row(dimension, a[at], b[at], alike, one, 1, fewer)
        for (first, second, variant), several in pairs.items():
            pooled = _Agreement.pooled([one for one, _ in several])
            fewest = min(number for _, number in several)
            yield _row(dimension, first, second, {"variant": variant}, pooled, len(several), fewest)


def _row(
    dimension: str, a: object, b: object, alike: dict, agreement: _Agreement, configurations: int, documents: int
) -> dict:
    return {
        **dict.fromkeys(DIMENSIONS),
        "dimension": dimension,
        "a": str(a),
        "b": str(b),
        **alike,
        **agreement.columns(),
        "configurations": configurations,
        "documents": documents,
    }


def _jaccards(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Chance-corrected Jaccards of sets of heads, (splits, 1 + R), from whether each has each head, one axis more; NaN
    where one is empty."""
    heads = one.shape[-1]
    sizes = one.sum(-1), other.sum(-1)
    shared = (one & other).sum(-1)
    union = sizes[0] + sizes[1] - shared
    chance = np.empty(union.shape)
    for a, b in {*zip(sizes[0].ravel().tolist(), sizes[1].ravel().tolist(), strict=True)}:
        chance[(sizes[0] == a) & (sizes[1] == b)] = expected_jaccard(heads, a, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (shared / union - chance) / (1 - chance)
    return np.where((sizes[0] > 0) & (sizes[1] > 0), found, np.nan)


def _mean(values: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """The mean over the first axis of what is known."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, values, 0.0).sum(0) / known.sum(0)


def _estimate(name: str, values: np.ndarray) -> dict[str, float]:
    """The value as it is, and the ends of the interval that resamples give; NaN where one in twenty has none.

    In a resample fewer documents are different ones, so that values lie higher or lower than the data's on average.
    This bias is taken off the ends (Efron and Tibshirani 1993, ch. 10), else the value could lie beyond them.
    """
    drawn = values[1:]
    known = drawn[~np.isnan(drawn)]
    if np.isnan(values[0]) or len(known) < LEVEL * len(drawn) or not len(known):
        return dict(zip(_ends(name), (values[0], np.nan, np.nan), strict=True))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - (known.mean() - values[0])
    return dict(zip(_ends(name), (values[0], low, high), strict=True))


def _ends(name: str) -> tuple[str, str, str]:
    return name, f"{name}_low", f"{name}_high"

"""Intervals and tests, each with its source. They know of documents, the units of which prompts are parts, and no more.

Prompts made from one document are not independent of each other, so it is documents that are drawn and exchanged.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.stats
from scipy.stats import bootstrap, fisher_exact, friedmanchisquare, permutation_test, wilcoxon
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

LEVEL = 0.95
"""The level of every interval."""

PERMUTATIONS = 9999
"""Relabelings drawn where there are too many to try them all; p cannot be below 2 / 10,000 then."""

_ROUNDING = 1e-9
"""Sums that differ by less than this share of themselves are equal: they differ by the order of addition alone."""


class Estimate(NamedTuple):
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


def bootstrap_weights(documents: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each document is drawn in each resample, shape (R, D).

    A quantity of a resample is a sum over documents with these weights. Two quantities that take the same weights are
    resampled together, so that their difference is too.
    """
    return rng.multinomial(documents, np.full(documents, 1 / documents), size=resamples)


def bootstrap_mean(
    sums: np.ndarray, counts: np.ndarray, weights: np.ndarray, bounds: tuple[float, float] = (0.0, 1.0)
) -> Estimate:
    """A mean over prompts, with the percentile interval of a bootstrap over documents.

    The interval is that of Efron and Tibshirani (1993, An Introduction to the Bootstrap, ch. 13). Where all documents
    agree it has no width, which would claim certainty from few of them. It is then widened by the share of prompts that
    may differ though none of those seen does (Clopper and Pearson 1934, Biometrika 26), each by as much as the bounds
    allow.

    Parameters
    ----------
    sums, counts : sum of the values and number of prompts of each document, shape (D,); a document may have none.
    weights : from :func:`bootstrap_weights`, shape (R, D).
    bounds : the lowest and highest value that a prompt can have.
    """
    seen = int(counts.sum())
    if not seen:
        return Estimate(np.nan, np.nan, np.nan)
    value = float(sums.sum() / seen)
    drawn = weights @ counts
    resampled = (weights @ sums)[drawn > 0] / drawn[drawn > 0]
    low, high = (float(bound) for bound in np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    return widened(Estimate(value, low, high), seen, bounds)


def widened(estimate: Estimate, prompts: int, bounds: tuple[float, float]) -> Estimate:
    """An interval that holds its value, with some width where the bootstrap gave none (see :func:`bootstrap_mean`)."""
    value, low, high = estimate
    if np.isclose(low, high):
        _, share = proportion_confint(0, prompts, alpha=1 - LEVEL, method="beta")
        low, high = value - share * (value - bounds[0]), value + share * (bounds[1] - value)
    return Estimate(value, min(low, value), max(high, value))


def bootstrap_ratio(
    numerators: np.ndarray, denominators: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ratios of means over documents, with the percentile intervals of a bootstrap over documents.

    Numerator and denominator of a document are drawn together (Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, ch. 13). With denominators of 1 it is a mean.

    Parameters
    ----------
    numerators : shape (D, M) for M ratios; NaN where a document has none, which it then is left out of.
    denominators : shape (D, M), or what broadcasts to it; NaN as well.
    weights : from :func:`bootstrap_weights`, shape (R, D).

    Returns
    -------
    Values and the ends of their intervals, each of shape (M,). Of no document all are NaN, of one the ends.
    """
    known = ~(np.isnan(numerators) | np.isnan(denominators))
    above, below = np.where(known, numerators, 0.0), np.where(known, denominators, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = above.sum(0) / below.sum(0)
        drawn = (weights @ above) / (weights @ below)
    # A resample may have drawn no document that is known.
    drawn[weights @ known == 0] = np.nan
    low, high = np.full((2, len(value)), np.nan)
    several = (known.sum(0) > 1) & np.isfinite(value)
    if several.any():
        with np.errstate(invalid="ignore"):  # of infinities, where a denominator was drawn to be 0
            low[several], high[several] = np.nanquantile(drawn[:, several], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return value, low, high


def sign_flips(documents: int, rng: np.random.Generator) -> np.ndarray:
    """Signs that the differences of documents could have, if either sign were as likely; shape (R, D).

    The first row is of ones: the differences as they are. Up to 13 documents all signs are there, each once; of more,
    :data:`PERMUTATIONS` rows are drawn.
    """
    if 2**documents <= PERMUTATIONS:
        return 1 - 2 * (np.arange(2**documents)[:, None] >> np.arange(documents) & 1)
    return np.vstack([np.ones((1, documents), int), rng.choice([-1, 1], size=(PERMUTATIONS, documents))])


def sign_flip_test(differences: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Do paired differences have a mean other than 0? Two-sided p of each column, shape (M,).

    Fisher's randomisation test of pairs (1935, The Design of Experiments, section 21): if the two conditions were
    alike, each document's difference could have had either sign. Where signs are drawn, the observed ones count among
    them (Phipson and Smyth 2010, SAGMB 9).

    Parameters
    ----------
    differences : shape (D, M); NaN where a document has none.
    signs : from :func:`sign_flips`.
    """
    sums = np.abs(signs @ np.nan_to_num(differences))
    return (sums >= sums[0] * (1 - _ROUNDING)).mean(0)


def sign_flip_family(differences: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The same for a family of columns that are tested together: p values that are corrected over it, shape (M,).

    The step-down procedure of Westfall and Young (1993, Resampling-Based Multiple Testing, algorithm 4.1) for the
    largest |t|: signs are flipped for whole documents, so that what columns share stays as it is. With few documents
    and many columns it can find what no correction of single p values could, as these are never below 2 / 2^D.

    Parameters
    ----------
    differences, signs : as for :func:`sign_flip_test`.
    """
    if not differences.shape[1]:
        return np.empty(0)
    sizes = _sizes_of_t(differences, signs)
    order = np.argsort(-sizes[0], kind="stable")
    # Of each column and all behind it in this order, the largest.
    largest = np.maximum.accumulate(sizes[:, order[::-1]], axis=1)[:, ::-1]
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate((largest >= sizes[0][order] * (1 - _ROUNDING)).mean(0))
    return corrected


def _sizes_of_t(differences: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """|t| of each column under each row of signs, but for a factor that they share; shape (R, M)."""
    differences = np.nan_to_num(differences)
    squares, sums = (differences**2).sum(0), np.abs(signs @ differences)
    # Flipping signs leaves the sum of squares as it is.
    spread = np.sqrt(np.clip(squares - sums**2 / len(differences), squares * _ROUNDING, None))
    return np.divide(sums, spread, out=np.zeros_like(sums), where=spread > 0)


def paired_test(one: np.ndarray, others: np.ndarray, prompts: np.ndarray, rng: np.random.Generator) -> float:
    """Does one condition get more, or fewer, prompts right than others tried on the same documents? Two-sided p.

    With one prompt in every document and a single other condition it is the exact test of McNemar (1947, Psychometrika
    12). Else it is the permutation test over documents (Fisher 1935, The Design of Experiments): if the conditions were
    alike, within each document any of them could have been the one. So several prompts of a document are taken
    together, and several other conditions are one test.

    Parameters
    ----------
    one : right answers of each document under the condition tested, shape (D,), integers.
    others : the same under the other conditions, shape (C, D).
    prompts : prompts of each document, shape (D,).
    rng : draws relabelings where they are too many to try all.
    """
    used = prompts > 0
    one, others = np.asarray(one, dtype=int)[used], np.atleast_2d(np.asarray(others, dtype=int))[:, used]
    if (others == one).all():
        return 1.0
    if len(others) == 1 and (prompts[used] == 1).all():
        table = np.histogram2d(one, others[0], bins=2, range=[[0, 1], [0, 1]])[0]
        return float(mcnemar(table, exact=True).pvalue)
    if len(one) < 2:
        return 1.0
    found = permutation_test(
        (one, *others),
        lambda tested, *_, axis: np.sum(tested, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=PERMUTATIONS,
        # So many relabelings at once that they take some 100 MB.
        batch=max(1, 10**6 // ((1 + len(others)) * len(one))),
        rng=rng,
    )
    return float(found.pvalue)


class Comparison(NamedTuple):
    """The result of a named test."""

    test: str
    statistic: float
    p: float
    effect: str
    effect_size: float


def signed_rank(differences: np.ndarray) -> Comparison:
    """Wilcoxon's signed-rank test of paired differences, with the matched-pairs rank-biserial correlation.

    The test is that of Wilcoxon (1945, Biometrics Bulletin 1). The correlation is the share of the rank sum on the
    positive side minus that on the negative (Kerby 2014, Comprehensive Psychology 3): 1 where every difference is above
    0.

    Parameters
    ----------
    differences : of independent units, shape (N,).
    """
    # Sums of decimal fractions differ in their last bits; equal differences must tie.
    values = np.round(np.asarray(differences, dtype=float), 12)
    values = values[values != 0]
    if not len(values):
        return Comparison("Wilcoxon signed-rank", 0.0, 1.0, "rank-biserial correlation", 0.0)
    ranks = pd.Series(abs(values)).rank().to_numpy()
    up, down = float(ranks[values > 0].sum()), float(ranks[values < 0].sum())
    tied = len(set(abs(values))) < len(values)
    if tied and len(values) <= 13:
        # As wilcoxon does it, but fast: all signs that the differences could have.
        signed = (np.sign(values) * ranks,)
        p = permutation_test(signed, np.sum, permutation_type="samples", vectorized=True, n_resamples=np.inf).pvalue
    else:
        p = wilcoxon(values, method="exact" if len(values) <= 50 and not tied else "auto").pvalue
    effect = (up - down) / float(ranks.sum())
    return Comparison("Wilcoxon signed-rank", min(up, down), float(p), "rank-biserial correlation", effect)


def friedman(values: np.ndarray) -> Comparison:
    """Friedman's test of three or more conditions on the same units (1937, JASA 32), with Kendall's W.

    W is how far the units agree on the order of the conditions: 0 not at all, 1 fully (Kendall and Babington Smith
    1939, Annals of Mathematical Statistics 10).

    Parameters
    ----------
    values : shape (N units, C conditions).
    """
    values = np.round(np.asarray(values, dtype=float), 12)
    if (values == values[:, :1]).all():
        return Comparison("Friedman", 0.0, 1.0, "Kendall's W", 0.0)
    found = friedmanchisquare(*values.T)
    return Comparison(
        "Friedman",
        float(found.statistic),
        float(found.pvalue),
        "Kendall's W",
        float(found.statistic / (values.shape[0] * (values.shape[1] - 1))),
    )


def exchange_test(
    values: np.ndarray, statistic: Callable[[np.ndarray], float], effect: str, rng: np.random.Generator
) -> Comparison:
    """Is a statistic larger than if the conditions were exchangeable within each block? One-sided permutation test.

    Its p counts the observed order among those drawn (Phipson and Smyth 2010, SAGMB 9).

    Parameters
    ----------
    values : shape (C conditions, N blocks, …): whatever belongs to a condition in a block is exchanged as a whole.
    statistic : of an array of that shape.
    effect : what the statistic is; the effect size is how much larger it is than on average by chance.
    rng : draws relabelings where they are too many to try all.
    """
    conditions, blocks = values.shape[:2]
    places = np.arange(conditions * blocks).reshape(conditions, blocks)
    flat = values.reshape(conditions * blocks, *values.shape[2:])
    return _permuted(tuple(places), lambda *labels: statistic(flat[np.array(labels)]), effect, rng)


def relabeling_test(
    blocks: Sequence[tuple[np.ndarray, np.ndarray]], effect: str, rng: np.random.Generator
) -> Comparison:
    """Do some pairs of items agree more, or less, than others? Two-sided permutation test of the items' labels.

    If the items of a block were alike, any of them could have had any of the labels (the quadratic assignment
    procedure: Hubert and Schultz 1976, British Journal of Mathematical and Statistical Psychology 29). Tests that take
    differences to be symmetric are no use here: agreement is skewed where few items agree, and a mean over few pairs
    more so than one over many, so that they find differences where there are none.

    Parameters
    ----------
    blocks : for each block the agreement of its items, shape (N, N), and the weights with which its pairs count, of the
        same shape: they sum to 0. The statistic is the mean over blocks of the weighted sum.
    effect : what the statistic is.
    rng : draws relabelings, of each block on its own.
    """
    observed, drawn = 0.0, np.zeros(PERMUTATIONS)
    for values, weights in blocks:
        labels = rng.permuted(np.tile(np.arange(len(values)), (PERMUTATIONS, 1)), axis=1)
        observed += (values * weights).sum() / len(blocks)
        for i, j in zip(*np.nonzero(weights), strict=True):
            drawn += weights[i, j] * values[labels[:, i], labels[:, j]] / len(blocks)
    # What differs by rounding alone is as far from 0.
    beyond = np.count_nonzero(np.abs(drawn) >= abs(observed) - 1e-12)
    return Comparison("permutation", float(observed), (1 + beyond) / (1 + PERMUTATIONS), effect, float(observed))


def interactions(values: np.ndarray) -> np.ndarray:
    """What is left of matrices without what their rows and their columns have in common: x − row mean − column mean +
    grand mean, of the last two axes; same shape."""
    rows, columns = values.mean(-1, keepdims=True), values.mean(-2, keepdims=True)
    return values - rows - columns + rows.mean(-2, keepdims=True)


def diagonal_test(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Are matrices larger, or smaller, on their diagonal than beside it? Two-sided p values, shape (1 + N,).

    If what the rows stand for were alike, each row of a block could have been any other (permutation within blocks:
    Fisher 1935, The Design of Experiments). What rows and columns have in common, in each block by itself, is taken out
    first (:func:`interactions`), so that a row that is larger throughout makes no diagonal.

    Parameters
    ----------
    values : of each block a matrix, shape (D, N, N).
    rng : draws permutations of the rows, in each block its own. The observed order counts among them (Phipson and Smyth
        2010, SAGMB 9).

    Returns
    -------
    p of the sum of the diagonal, which says the same as its mean less the mean of all else; then that of each of its
    entries, all by the same permutations.
    """
    left = interactions(values)
    number = left.shape[-1]
    drawn = np.zeros((PERMUTATIONS, number))
    for block in left:
        rows = rng.permuted(np.tile(np.arange(number), (PERMUTATIONS, 1)), axis=1)
        drawn += block[rows, np.arange(number)]
    observed = left.diagonal(axis1=1, axis2=2).sum(0)
    sizes = np.abs(np.column_stack([drawn.sum(1), drawn]))
    # What differs by rounding alone is as far from 0.
    beyond = (sizes >= np.abs([observed.sum(), *observed]) - 1e-9).sum(0)
    return (1 + beyond) / (1 + PERMUTATIONS)


def shared_by_all(items: int, sizes: Sequence[int], shared: int) -> Comparison:
    """Do sets have more items in common, all of them, than if each lay at random? One-sided and exact.

    The items that the first sets share are a random set themselves; of those, each further set holds a hypergeometric
    number.

    Parameters
    ----------
    items : how many there are.
    sizes : of each set.
    shared : items that are in every set.
    """
    chances = np.zeros(items + 1)
    chances[sizes[0]] = 1
    every = np.arange(items + 1)
    for size in sizes[1:]:
        chances = chances @ scipy.stats.hypergeom.pmf(every[None, :], items, every[:, None], size)
    expected = items * float(np.prod([size / items for size in sizes]))
    p = min(1.0, float(chances[shared:].sum()))
    return Comparison("exact test of random sets", float(shared), p, "heads beyond chance", shared - expected)


def _permuted(data: tuple, statistic: Callable[..., float], effect: str, rng: np.random.Generator) -> Comparison:
    if len(data[0]) < 2:
        # Nothing can be exchanged: every relabeling is the one there is.
        return Comparison("permutation", float(statistic(*data)), 1.0, f"{effect} beyond chance", 0.0)
    found = permutation_test(
        data,
        statistic,
        permutation_type="samples",
        vectorized=False,
        n_resamples=999,
        alternative="greater",
        rng=rng,
    )
    beyond = float(found.statistic - np.mean(found.null_distribution))
    return Comparison("permutation", float(found.statistic), float(found.pvalue), f"{effect} beyond chance", beyond)


def mean_interval(values: np.ndarray, resamples: int, rng: np.random.Generator) -> Estimate:
    """The mean of independent units with its percentile bootstrap interval (Efron and Tibshirani 1993, ch. 13).

    For fewer than two units the ends are NaN.
    """
    value = float(np.mean(values))
    if len(values) < 2:
        return Estimate(value, np.nan, np.nan)
    ends = bootstrap(
        (values,), np.mean, n_resamples=resamples, confidence_level=LEVEL, method="percentile", rng=rng
    ).confidence_interval
    return Estimate(value, float(ends.low), float(ends.high))


def holm(p: pd.Series) -> pd.Series:
    """P values corrected over their family (Holm 1979, Scandinavian Journal of Statistics 6).

    Missing ones stay missing and do not count.
    """
    known = p.dropna().astype(float).sort_values()
    # Not by statsmodels, which collects garbage at every call: a quarter of a second in a large process.
    return (known * np.arange(len(known), 0, -1)).cummax().clip(upper=1).reindex(p.index)


def corrected(tests: pd.DataFrame, family: list, same: list[str], effect: str) -> pd.DataFrame:
    """Tests with their corrected p values.

    Parameters
    ----------
    tests : with a column ``p``.
    family : what members of a family have in common, as for groupby; interventions are no part of it.
    same : the columns by which tests under several interventions ask the same.
    effect : the column whose sign tells the direction of what is tested; empty where a test has none.

    Returns
    -------
    The tests with ``p_holm``, corrected (Holm) over the family under all interventions, which lets a single one be
    named; and ``p_every``, of what holds under each of them: the largest of their p values, or 1 where the signs differ
    (an intersection–union test, which needs no correction among them: Berger 1982, Technometrics 24, 295–300), then
    corrected over the family. With one intervention the two are the same.
    """
    tests = tests.assign(p=tests["p"].astype(float))
    for _, members in tests.groupby(family, dropna=False):
        tests.loc[members.index, "p_holm"] = holm(members["p"])
        once = members.groupby(same, dropna=False).ngroup()
        alike = members.groupby(once)
        signs = np.sign(members[effect].astype(float)).groupby(once).nunique()
        largest = once.map(alike["p"].max(skipna=False).mask(signs > 1, 1.0))
        every = holm(largest[~once.duplicated()])
        tests.loc[members.index, "p_every"] = once.map(dict(zip(once[every.index], every, strict=True)))
    return tests


def wilson(correct: float, total: float) -> Estimate:
    """A proportion with its interval, where only counts are known (Wilson 1927, JASA 22)."""
    low, high = proportion_confint(correct, total, alpha=1 - LEVEL, method="wilson")
    return Estimate(correct / total, float(low), float(high))


def newcombe(correct_a: float, total_a: float, correct_b: float, total_b: float) -> Estimate:
    """The difference a − b of two proportions with its interval, where only counts are known.

    Method 10 of Newcombe (1998, Statistics in Medicine 17). It takes the proportions as independent; for paired ones,
    which counts do not show, it is too wide rather than too narrow.
    """
    low, high = confint_proportions_2indep(
        correct_a, total_a, correct_b, total_b, method="newcomb", compare="diff", alpha=1 - LEVEL
    )
    return Estimate(correct_a / total_a - correct_b / total_b, float(low), float(high))


def fisher(correct_a: int, total_a: int, correct_b: int, total_b: int) -> float:
    """Fisher's exact test of two proportions, where only counts are known (Fisher 1935, JRSS 98).

    Like :func:`newcombe` it takes them as independent.
    """
    return float(fisher_exact([[correct_a, total_a - correct_a], [correct_b, total_b - correct_b]]).pvalue)


def mean_of_intervals(values: np.ndarray, lows: np.ndarray, highs: np.ndarray, groups: np.ndarray) -> Estimate:
    """The mean of several estimates with its interval, from the interval of each.

    Estimates of one group rest on the same prompts: their ends are averaged, as if they were fully dependent, which is
    never too narrow. Groups are taken as independent, and their distances squared and added (Newcombe 1998; Zou and
    Donner 2008, Statistics in Medicine 27: MOVER).

    Parameters
    ----------
    values, lows, highs : shape (N,).
    groups : labels of the groups, shape (N,).
    """
    members = pd.DataFrame({"below": values - lows, "above": highs - values}).groupby(np.asarray(groups))
    apart = members.sum() / len(values)
    below, above = np.sqrt((apart**2).sum())
    value = float(np.mean(values))
    return Estimate(value, value - float(below), value + float(above))


def weighted_sum(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """A weighted sum of independent estimates with its interval, from the interval of each.

    The distances of the ends that go the same way are squared and added (Zou and Donner 2008, Statistics in Medicine
    27: MOVER), so that one that has no spread of its own takes no share in the others'.

    Parameters
    ----------
    weights : of each; under one below 0, an estimate's lower end goes into the upper one of the sum.
    """
    value = sum(weight * one.value for one, weight in zip(estimates, weights, strict=True))
    below, above = 0.0, 0.0
    for one, weight in zip(estimates, weights, strict=True):
        down, up = weight * (one.value - one.low), weight * (one.high - one.value)
        below += (down if weight > 0 else up) ** 2
        above += (up if weight > 0 else down) ** 2
    return Estimate(float(value), float(value - below**0.5), float(value + above**0.5))

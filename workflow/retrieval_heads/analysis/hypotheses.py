"""What a study asks of its results, each question answered by a named test with an effect size.

Units of the tests are documents where outcomes are known prompt by prompt. Elsewhere they are configurations, or groups
of configurations that were measured on the same prompts; these still share documents, so that such a p value is too
small rather than too large.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import combinations, product

import numpy as np
import pandas as pd
import scipy

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.drops import Drops, at_equal_size
from retrieval_heads.analysis.overlap import Ranking, grids, top_heads, with_grids
from retrieval_heads.analysis.score_gaps import score_gaps
from retrieval_heads.analysis.statistics import (
    Comparison,
    corrected,
    exchange_test,
    friedman,
    mean_interval,
    relabeling_test,
    shared_by_all,
    signed_rank,
)
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, DIMENSIONS, PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import GRID, Grid, by_grid
from retrieval_heads.tables.tests import (
    AGAINST_RANDOM,
    AGREEMENT_BY_LENGTH,
    CONSENSUS,
    DROP,
    HEAD_OVERLAP,
    LAYER_OVERLAP,
    LENGTH_BREAK,
    MODEL_RANKS,
    NOISE,
    SCORE_GAP,
    SPECIALISTS,
    TESTS,
)


def hypotheses(
    study: Study,
    rankings: pd.DataFrame,
    overlap: pd.DataFrame,
    heads: pd.DataFrame,
    drops: Drops,
    reliability: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """All tests that the study's data of the plain variant allow.

    Parameters
    ----------
    study : the study.
    rankings, overlap : the tables of these names.
    heads : the profiles table.
    drops : the drop of each configuration.
    reliability : the reliability table, where scores of single prompts are known.

    Returns
    -------
    The tests table. P values are corrected (:func:`~retrieval_heads.analysis.statistics.corrected`) over the tests of
    the same subject, dimension and level, of all methods; a test of all values, or all models, together is no part of
    the family of pairs, or of single models. Pairs of lengths are a family for each method, behind the gate of the
    method's own test of all.
    """
    rankings, overlap, heads, units = (
        frame[frame["variant"] == PLAIN] for frame in (rankings, overlap, heads, drops.units)
    )
    reliability = None if reliability is None else reliability[reliability["variant"] == PLAIN]
    shares = layer_overlap(rankings, study.top_k)
    found = [
        *_each_intervention(study, units),
        *_within_and_between(study, HEAD_OVERLAP, overlap[overlap["dimension"] == "question"]),
        *_within_and_between(study, LAYER_OVERLAP, shares),
        *_of_whole_rankings(study, rankings),
        *_consensus(study, heads),
        *_gaps(study, rankings),
        *_breaks(study, overlap),
        *_noise(study, overlap, reliability),
        *_agreement_by_length(study, overlap),
    ]
    frame = pd.DataFrame(found, columns=TESTS.columns)
    gated = (frame["subject"] == LENGTH_BREAK) & frame["b"].notna()
    family = [*(frame[name] for name in ("subject", "dimension", "k")), frame["b"].isna(), frame["method"].where(gated)]
    same = [name for name in TESTS.key if name != "intervention"]
    frame = corrected(frame, family, same, "difference")
    return frame.astype({**dict.fromkeys(["k", *GRID], "Int64"), "units": int, "p_holm": float, "p_every": float})


def layer_overlap(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """How far the top heads for each two questions lie in the same layers: 1 − their total variation distance.

    Returns
    -------
    model, method, context_length, a, b, jaccard (the overlap of the layers' shares, from 0 to 1; so called as it is
    compared in the way that the Jaccard of heads is) and chance (its exact expectation for two random sets of these
    sizes).
    """
    top, grid = top_heads(rankings, top_k), grids(rankings)
    counts = top.groupby([*DIMENSIONS, "layer"]).size().unstack("layer", fill_value=0)
    rows = []
    by = [dimension for dimension in DIMENSIONS if dimension != "question"]
    for configuration, group in counts.groupby(by):
        for a, b in combinations(sorted(group.index.get_level_values("question")), 2):
            one, other = (group.xs(question, level="question").iloc[0].to_numpy() for question in (a, b))
            shared = np.minimum(one / one.sum(), other / other.sum()).sum()
            chance = expected_layer_overlap(*grid[configuration[0]], int(one.sum()), int(other.sum()))
            rows.append((*configuration, a, b, float(shared), chance))
    return pd.DataFrame(rows, columns=[*by, "a", "b", "jaccard", "chance"])


@cache
def expected_layer_overlap(layers: int, per_layer: int, a: int, b: int) -> float:
    """The mean overlap of the layers' shares of two random sets of a and b heads.

    Exact: how many of a random set lie in one layer is hypergeometric, and every layer is alike.
    """
    heads, here = layers * per_layer, np.arange(per_layer + 1)
    one, other = (scipy.stats.hypergeom.pmf(here, heads, per_layer, size) for size in (a, b))
    return float(layers * (np.minimum.outer(here / a, here / b) * np.outer(one, other)).sum())


def _each_intervention(study: Study, drops: pd.DataFrame) -> Iterator[dict]:
    """What is asked of the ablations, for each way in which heads were ablated."""
    for intervention, units in drops.groupby("intervention", sort=True):
        how = {"intervention": intervention, "mode": units["mode"].iloc[0], "scope": units["scope"].iloc[0]}
        for row in (*_drops(study, units), *_against_random(study, units)):
            yield row | how


def _drops(study: Study, units: pd.DataFrame) -> Iterator[dict]:
    """Does the same ablation cost as much for every question, category, method, model and length?

    Sets of unequal size are not the same ablation: each setting is compared at the largest size, up to the level, at
    which the heads of all that are compared were ablated.
    """
    units = units.assign(category=units["question"].map(study.categories))
    levels = sorted(units.loc[units["source"] == "method", "k"].unique())
    for k in (None, *levels):
        for dimension in ("question", "category", "method", "model", "context_length"):
            order = study.in_config_order(dimension, units.loc[units["source"] == "method", dimension])
            values, unit, sizes = _blocks(units, dimension, order, levels if k is None else [k])
            if len(order) > 2 and values.shape[1] == len(order) and len(values) > 1:
                yield _row(DROP, dimension, friedman(values[order].to_numpy()), unit, len(values), k=k) | sizes
            for a, b in combinations(order, 2):
                values, unit, sizes = _blocks(units, dimension, [a, b], levels if k is None else [k])
                if values.shape[1] == 2:
                    difference = (values[a] - values[b]).to_numpy()
                    for row in _paired(study, DROP, dimension, difference, unit, a=str(a), b=str(b), k=k):
                        yield row | sizes


def _against_random(study: Study, units: pd.DataFrame) -> Iterator[dict]:
    """Do the top heads of a method cost more than random ones (a), in all models together and in each (b)?"""
    rows = units[units["source"] == "difference"]
    for (matching, k), group in rows.groupby(["matching", "k"]):
        for model, method in product(
            (None, *study.in_config_order("model", group["model"])), study.in_config_order("method", group["method"])
        ):
            chosen = group[(group["method"] == method) & (True if model is None else group["model"] == model)]
            if len(chosen):
                index, unit = _units(chosen, "method")
                # What is compared differs in its heads alone, so that their size is whatever the method gave.
                setting = chosen.groupby([*index, *CELL]) if unit == "document" else chosen.groupby(index)
                difference = setting["drop"].mean().groupby(level=index).mean().to_numpy()
                names = {"a": matching, "b": model, "method": method, "k": k}
                sizes = {"size_least": int(chosen["size"].min()), "size_most": int(chosen["size"].max())}
                for row in _paired(study, AGAINST_RANDOM, "method", difference, unit, **names):
                    yield row | sizes


def _within_and_between(study: Study, subject: str, pairs: pd.DataFrame) -> Iterator[dict]:
    """Do questions of one category agree more than questions of two?"""
    groups = []
    for _, group in _beyond_chance(pairs).groupby(["model", "method", "context_length"]):
        questions = sorted({*group["a"], *group["b"]})
        groups.append((_each_two(group, questions), np.array([study.categories[question] for question in questions])))
    named = sorted({study.categories[question] for end in ("a", "b") for question in pairs[end]})
    for name in ("within", *named):
        blocks = [
            (values, (of[:, None] == of) & ((name == "within") | (of == name)), of[:, None] != of)
            for values, of in groups
        ]
        yield from _relabeled(study, subject, "category", blocks, a=name, b="between")


def _of_whole_rankings(study: Study, rankings: pd.DataFrame) -> Iterator[dict]:
    """Are there heads for one question alone, and do two models rank heads differently, beyond what chance makes of it?

    Whole rankings are exchanged, between questions or between models, within whatever else they share. Specialists are
    those of :func:`~retrieval_heads.analysis.head_profiles.specialists`.
    """
    for (layers, heads, method), group in with_grids(rankings, rankings).groupby([*GRID, "method"], sort=True):
        grid = Grid(layers, heads)
        within, beyond = study.top_k_of(grid.total), study.specialist_k(grid.total)

        def count(ranks: np.ndarray, within: int = within, beyond: int = beyond) -> float:
            means = ranks.mean(axis=1)
            best = means.min(axis=0)
            others = (means.sum(axis=0) - best) / (len(means) - 1)
            return float(((best < within) & (others > beyond)).sum())

        ranks = _by_head(group, grid)
        values, questions = _exchangeable(ranks, "question")
        if len(questions) > 1 and values.shape[1] > 1:
            key = generator(study.seed, "specialists", str(grid), method)
            result = exchange_test(values, count, "heads", key)
            yield _row(
                SPECIALISTS, "question", result, "ranking group", values.shape[1], **grid._asdict(), method=method
            )
        models = study.in_config_order("model", group["model"])
        for a, b in combinations(models, 2):
            values, _ = _exchangeable(ranks[ranks.index.get_level_values("model").isin([a, b])], "model")
            if len(values) == 2 and values.shape[1] > 1:
                key = generator(study.seed, "model_ranks", a, b, method)
                result = exchange_test(values, _mean_distance, "places", key)
                yield _row(MODEL_RANKS, "model", result, "ranking group", values.shape[1], a=a, b=b, method=method)


def _consensus(study: Study, heads: pd.DataFrame) -> Iterator[dict]:
    """Do all methods agree on more heads than if each put its own anywhere?"""
    every = head_profiles.select(heads)
    for grid, group in by_grid(every):
        ranks = group.pivot(index=["layer", "head"], columns="method", values="mean_rank")
        if ranks.shape[1] > 1:
            within = ranks < study.consensus_k(grid.total)
            result = shared_by_all(grid.total, within.sum().tolist(), int(within.all(axis=1).sum()))
            yield _row(CONSENSUS, "method", result, "head", grid.total, **grid._asdict())


def _gaps(study: Study, rankings: pd.DataFrame) -> Iterator[dict]:
    """Does the first head of some methods stand further above the second than of others?"""
    values = score_gaps(rankings).pivot(index=CELL, columns="method", values="gap").dropna()
    order = study.in_config_order("method", values.columns)
    if len(order) > 2 and len(values) > 1:
        yield _row(SCORE_GAP, "method", friedman(values[order].to_numpy()), "configuration", len(values))
    for a, b in combinations(order, 2):
        difference = (values[a] - values[b]).to_numpy()
        yield from _paired(study, SCORE_GAP, "method", difference, "configuration", a=a, b=b)


def _breaks(study: Study, overlap: pd.DataFrame) -> Iterator[dict]:
    """Do rankings change between two neighbouring lengths more than between the other neighbours?"""
    pairs = _beyond_chance(overlap[overlap["dimension"] == "context_length"])
    lengths = sorted({int(length) for length in [*pairs["a"], *pairs["b"]]})
    if len(lengths) < 3:
        return
    place = {str(length): place for place, length in enumerate(lengths)}
    for method, group in pairs.groupby("method"):
        named = sorted({*group["a"], *group["b"]}, key=place.__getitem__)
        at = np.array([place[length] for length in named])
        neighbours = at[None, :] == at[:, None] + 1
        each = [_each_two(rows, named) for _, rows in group.groupby(["model", "question"])]
        each = [values for values in each if not np.isnan(values).any()]
        if len(each) > 1 and neighbours.sum() > 2:
            every = friedman(np.array([values[neighbours] for values in each]))
            yield _row(LENGTH_BREAK, "context_length", every, "ranking group", len(each), method=method)
        for a, b in zip(*np.nonzero(neighbours), strict=True):
            here = np.zeros_like(neighbours)
            here[a, b] = True
            blocks = [(values, here, neighbours & ~here) for values in each]
            yield from _relabeled(study, LENGTH_BREAK, "context_length", blocks, a=named[a], b=named[b], method=method)


def _noise(study: Study, overlap: pd.DataFrame, reliability: pd.DataFrame | None) -> Iterator[dict]:
    """Do two methods agree less than each agrees with itself on other documents?"""
    if reliability is None or reliability.empty:
        return
    noise = _beyond_chance(reliability).groupby([*CELL, "method"])["beyond"].mean().unstack("method")
    pairs = _beyond_chance(overlap[overlap["dimension"] == "method"])
    for (a, b), group in pairs.groupby(["a", "b"]):
        if {a, b} <= set(noise.columns):
            own = noise[[a, b]].reindex(pd.MultiIndex.from_frame(group[CELL])).to_numpy().mean(axis=1)
            difference = group["beyond"].to_numpy() - own
            known = difference[~np.isnan(difference)]
            yield from _paired(study, NOISE, "method", known, "configuration", a=a, b=b)


def _agreement_by_length(study: Study, overlap: pd.DataFrame) -> Iterator[dict]:
    """Do the methods agree more at some context lengths than at others?"""
    pairs = _beyond_chance(overlap[overlap["dimension"] == "method"])
    values = pairs.pivot_table(
        index=["model", "question", "a", "b"], columns="context_length", values="beyond"
    ).dropna()
    order = sorted(values.columns)
    if len(order) > 2 and len(values) > 1:
        every = friedman(values[order].to_numpy())
        yield _row(AGREEMENT_BY_LENGTH, "context_length", every, "ranking pair", len(values))
    for a, b in combinations(order, 2):
        difference = (values[a] - values[b]).to_numpy()
        names = {"a": str(a), "b": str(b)}
        yield from _paired(study, AGREEMENT_BY_LENGTH, "context_length", difference, "ranking pair", **names)


def _beyond_chance(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs of top sets with what they share beyond chance, which sets of other sizes would share more or less of."""
    return pairs.assign(beyond=pairs["jaccard"] - pairs["chance"]).dropna(subset="beyond")


def _each_two(pairs: pd.DataFrame, items: list[str]) -> np.ndarray:
    """What each two items share beyond chance, shape (N, N): symmetric, 0 for an item and itself, NaN where unknown."""
    values = pairs.pivot(index="a", columns="b", values="beyond").reindex(index=items, columns=items).to_numpy(float)
    values = np.where(np.isnan(values), values.T, values)
    np.fill_diagonal(values, 0)
    return values


def _relabeled(
    study: Study,
    subject: str,
    dimension: str,
    blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    **names: object,
) -> Iterator[dict]:
    """Is the mean of some pairs of items above that of others? By exchanging the items of each block.

    Parameters
    ----------
    blocks : for each block what its items share, from :func:`_each_two`, and which pairs are the ones and the others,
        read above the diagonal. A block that lacks any of it does not count.
    """
    weighed = []
    for values, some, others in blocks:
        some, others = np.triu(some, 1), np.triu(others, 1)
        if some.any() and others.any() and not np.isnan(values).any():
            weighed.append((values, some / some.sum() - others / others.sum()))
    if len(weighed) > 1:
        key = generator(study.seed, "relabeling", subject, *map(str, names.values()))
        result = relabeling_test(weighed, "overlap above that of others", key)
        difference = np.array([(values * weights).sum() for values, weights in weighed])
        yield _row(subject, dimension, result, "ranking group", len(weighed), **names) | _difference(
            study, subject, dimension, difference, names
        )


def _units(rows: pd.DataFrame, dimension: str) -> tuple[list[str], str]:
    """The columns that tell units apart in a comparison along a dimension, and what a unit is."""
    if "doc_id" in rows:
        return ["doc_id"], "document"
    cell = [name for name in CELL if name != dimension]
    return cell, "configuration" if cell == CELL else "configuration group"


def _blocks(
    rows: pd.DataFrame, dimension: str, compared: list, levels: list[int]
) -> tuple[pd.DataFrame, str, dict[str, int]]:
    """Mean drop of each of the compared values in each unit that has them all, shape (units, values).

    What else tells drops apart is the same for all values, and so is the number of heads: a mean is over those settings
    alone that have them all.

    Returns
    -------
    The drops, what a unit is, and the least and most heads that were ablated.
    """
    named = "question" if dimension == "category" else dimension
    index, unit = _units(rows, named)
    fixed = [name for name in (*CELL, "method") if name != named]
    rows = at_equal_size(rows[rows[dimension].isin(compared)], fixed, dimension, levels)
    setting = list(dict.fromkeys([*index, *fixed, "k"]))
    whole = rows.pivot_table(index=setting, columns=dimension, values="drop", aggfunc="mean").dropna()
    sizes = rows.set_index(setting).loc[whole.index, "size"]
    known = {"size_least": int(sizes.min()), "size_most": int(sizes.max())} if len(whole) else {}
    return whole.groupby(level=index).mean(), unit, known


def _by_head(group: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Rankings × all heads: the ranks."""
    ranks = {cell: Ranking.of(rows, grid, 0).places.rank for cell, rows in group.groupby(CELL)}
    return pd.DataFrame(ranks.values(), index=pd.MultiIndex.from_tuples(ranks, names=CELL))


def _exchangeable(ranks: pd.DataFrame, dimension: str) -> tuple[np.ndarray, list]:
    """Ranks of each value of a dimension in each block that has them all, shape (values, blocks, heads)."""
    values = sorted(set(ranks.index.get_level_values(dimension)))
    block = [name for name in CELL if name != dimension]
    complete = [group.droplevel(block) for _, group in ranks.groupby(block) if len(group) == len(values)]
    stacked = [group.loc[values].to_numpy() for group in complete]
    return np.array(stacked).reshape(len(stacked), len(values), ranks.shape[1]).swapaxes(0, 1), values


def _mean_distance(ranks: np.ndarray) -> float:
    means = ranks.mean(axis=1)
    return float(np.abs(means[0] - means[1]).mean())


def _paired(
    study: Study, subject: str, dimension: str, difference: np.ndarray, unit: str, **names: object
) -> Iterator[dict]:
    if len(difference) > 1:
        row = _row(subject, dimension, signed_rank(difference), unit, len(difference), **names)
        yield row | _difference(study, subject, dimension, difference, names)


def _difference(study: Study, subject: str, dimension: str, difference: np.ndarray, names: Mapping) -> dict[str, float]:
    """The mean of a test's units with its interval."""
    rng = generator(study.seed, "hypotheses", subject, dimension, *map(str, names.values()))
    mean = mean_interval(difference, study.resamples, rng)
    return {"difference": mean.value, "difference_low": mean.low, "difference_high": mean.high}


def _row(subject: str, dimension: str, result: Comparison, unit: str, units: int, **names: object) -> dict:
    row = dict.fromkeys(TESTS.columns) | {"subject": subject, "dimension": dimension, "unit": unit, "units": units}
    return row | names | result._asdict()

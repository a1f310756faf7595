"""What is asked of rankings one by one: of their categories, specialists, consensus and score gaps."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.hypotheses._rows import (
    beyond_chance,
    paired_rows,
    relabeled_rows,
    shared_beyond_chance,
    test_row,
)
from retrieval_heads.analysis.overlap import Ranking, with_grids
from retrieval_heads.analysis.score_gaps import score_gaps
from retrieval_heads.analysis.statistics import exchange_test, friedman, shared_by_all
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import GRID, Grid, by_grid
from retrieval_heads.tables.tests import CONSENSUS, MODEL_RANKS, SCORE_GAP, SPECIALISTS


def within_and_between_categories(study: Study, subject: str, pairs: pd.DataFrame) -> Iterator[dict]:
    """Do questions of one category agree more than questions of two?

    Parameters
    ----------
    subject : of the test.
    pairs : of questions, with what they share (jaccard) and would by chance.
    """
    groups = []
    for _, group in beyond_chance(pairs).groupby([name for name in DIMENSIONS if name != "question"]):
        questions = sorted({*group["a"], *group["b"]})
        categories = np.array([study.categories[question] for question in questions])
        groups.append((shared_beyond_chance(group, questions), categories))
    named = sorted({study.categories[question] for end in ("a", "b") for question in pairs[end]})
    for name in ("within", *named):
        blocks = []
        for values, categories in groups:
            alike = categories[:, None] == categories
            blocks.append((values, alike & ((name == "within") | (categories == name)), ~alike))
        yield from relabeled_rows(study, subject, "category", blocks, a=name, b="between")


def specialists_and_models(study: Study, rankings: pd.DataFrame) -> Iterator[dict]:
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

        ranks = _ranks_of_all_heads(group, grid)
        values, questions = _exchangeable(ranks, "question")
        if len(questions) > 1 and values.shape[1] > 1:
            rng = generator(study.seed, "specialists", str(grid), method)
            result = exchange_test(values, count, "heads", rng)
            names = {**grid._asdict(), "method": method}
            yield test_row(SPECIALISTS, "question", result, "ranking group", values.shape[1], **names)
        for a, b in combinations(study.in_config_order("model", group["model"]), 2):
            values, _ = _exchangeable(ranks[ranks.index.get_level_values("model").isin([a, b])], "model")
            if len(values) == 2 and values.shape[1] > 1:
                rng = generator(study.seed, "model_ranks", a, b, method)
                result = exchange_test(values, _mean_distance, "places", rng)
                yield test_row(MODEL_RANKS, "model", result, "ranking group", values.shape[1], a=a, b=b, method=method)


def consensus_of_methods(study: Study, profiles: pd.DataFrame) -> Iterator[dict]:
    """Do all methods agree on more heads than if each put its own anywhere?"""
    for grid, group in by_grid(head_profiles.select(profiles)):
        ranks = group.pivot(index=["layer", "head"], columns="method", values="mean_rank")
        if ranks.shape[1] > 1:
            within = ranks < study.consensus_k(grid.total)
            result = shared_by_all(grid.total, within.sum().tolist(), int(within.all(axis=1).sum()))
            yield test_row(CONSENSUS, "method", result, "head", grid.total, **grid._asdict())


def score_gaps_of_methods(study: Study, rankings: pd.DataFrame) -> Iterator[dict]:
    """Does the first head of some methods stand further above the second than of others?"""
    values = score_gaps(rankings).pivot(index=CELL, columns="method", values="gap").dropna()
    order = study.in_config_order("method", values.columns)
    if len(order) > 2 and len(values) > 1:
        yield test_row(SCORE_GAP, "method", friedman(values[order].to_numpy()), "configuration", len(values))
    for a, b in combinations(order, 2):
        differences = (values[a] - values[b]).to_numpy()
        yield from paired_rows(study, SCORE_GAP, "method", differences, "configuration", a=a, b=b)


def _ranks_of_all_heads(rankings: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Rankings of one method × all heads of the model: the ranks."""
    ranks = {cell: Ranking.of(rows, grid, 0).places.rank for cell, rows in rankings.groupby(CELL)}
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

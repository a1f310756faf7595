"""Rows of the tests table, from the tests that several questions share."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import Comparison, mean_interval, relabeling_test, signed_rank
from retrieval_heads.seeds import generator
from retrieval_heads.study.study import Study
from retrieval_heads.tables.tests import TESTS


def test_row(subject: str, dimension: str, result: Comparison, unit: str, units: int, **names: object) -> dict:
    """One row, without a difference; ``names`` are values of its further columns."""
    row = dict.fromkeys(TESTS.columns) | {"subject": subject, "dimension": dimension, "unit": unit, "units": units}
    return row | names | result._asdict()


def paired_rows(
    study: Study, subject: str, dimension: str, differences: np.ndarray, unit: str, **names: object
) -> Iterator[dict]:
    """The signed-rank test of paired differences, shape (units,); no row for fewer than two."""
    if len(differences) > 1:
        row = test_row(subject, dimension, signed_rank(differences), unit, len(differences), **names)
        yield row | _difference(study, subject, dimension, differences, names)


def relabeled_rows(
    study: Study,
    subject: str,
    dimension: str,
    blocks: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]],
    **names: object,
) -> Iterator[dict]:
    """Is the mean of some pairs of items above that of others? By exchanging the items of each block.

    Parameters
    ----------
    blocks : for each block what its items share, from :func:`shared_beyond_chance`, and which pairs are the ones and
        the others, read above the diagonal. A block that lacks any of it does not count.
    """
    weighed = []
    for values, some, others in blocks:
        some, others = np.triu(some, 1), np.triu(others, 1)
        if some.any() and others.any() and not np.isnan(values).any():
            weighed.append((values, some / some.sum() - others / others.sum()))
    if len(weighed) > 1:
        rng = generator(study.seed, "relabeling", subject, *map(str, names.values()))
        result = relabeling_test(weighed, "overlap above that of others", rng)
        differences = np.array([(values * weights).sum() for values, weights in weighed])
        row = test_row(subject, dimension, result, "ranking group", len(weighed), **names)
        yield row | _difference(study, subject, dimension, differences, names)


def beyond_chance(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs of top sets with what they share beyond chance, which sets of other sizes would share more or less of."""
    return pairs.assign(beyond=pairs["jaccard"] - pairs["chance"]).dropna(subset="beyond")


def shared_beyond_chance(pairs: pd.DataFrame, items: list[str]) -> np.ndarray:
    """What every two items share beyond chance, shape (N, N).

    Symmetric, 0 for an item and itself, NaN where it is not known.
    """
    values = pairs.pivot(index="a", columns="b", values="beyond").reindex(index=items, columns=items).to_numpy(float)
    values = np.where(np.isnan(values), values.T, values)
    np.fill_diagonal(values, 0)
    return values


def _difference(
    study: Study, subject: str, dimension: str, differences: np.ndarray, names: Mapping[str, object]
) -> dict[str, float]:
    """The mean of a test's units with its interval."""
    rng = generator(study.seed, "hypotheses", subject, dimension, *map(str, names.values()))
    mean = mean_interval(differences, study.resamples, rng)
    return {"difference": mean.value, "difference_low": mean.low, "difference_high": mean.high}

"""How well the whole model answers in each variant of the prompts, compared with the plain one document by document."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from retrieval_heads.analysis.statistics import Estimate, bootstrap_mean, bootstrap_weights, holm, paired_test
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import CELL, PLAIN, POOLED, poolings
from retrieval_heads.tables.variant_accuracy import VARIANT_ACCURACY

_APART = [name for name in CELL if name not in POOLED]


def accuracy_by_variant(unablated: pd.DataFrame, seed: int, resamples: int) -> pd.DataFrame:
    """Accuracy in each variant, and its difference from the plain one over the prompts that both have.

    Intervals and tests are over documents: in a resample a document is drawn with its prompts in both variants.

    Parameters
    ----------
    unablated : the unablated table. A prompt's id is the same in all variants.
    seed : the study's.
    resamples : bootstrap resamples of the documents.

    Returns
    -------
    The variant_accuracy table, for each question and context length and pooled over them. P values are corrected (Holm)
    over the rows of the same pooling.
    """
    asked = unablated[unablated["source"] == "baseline"]
    guessed = unablated[unablated["source"] == "no_needle"]
    rows = []
    for pooled in poolings():
        by = [name for name in CELL if name not in pooled]
        family = [_row(cell, asked, guessed, by, seed, resamples) for cell in _cells(asked, by)]
        corrected = holm(pd.Series([row["p"] for row in family], dtype=float))
        rows += [row | {"p_holm": p} for row, p in zip(family, corrected, strict=True)]
    frame = pd.DataFrame(rows, columns=VARIANT_ACCURACY.columns)
    return frame.astype({"context_length": "Int64"})


def _cells(asked: pd.DataFrame, by: list[str]) -> Iterator[dict]:
    for values in asked[by].drop_duplicates().sort_values(by).itertuples(index=False, name=None):
        yield dict(zip(by, values, strict=True))


def _row(cell: dict, asked: pd.DataFrame, guessed: pd.DataFrame, by: list[str], seed: int, resamples: int) -> dict:
    here = _of(asked, cell)
    row = {
        **dict.fromkeys(CELL),
        **cell,
        **_columns("accuracy", _mean(here, cell, seed, resamples)),
        **_columns("guess", _mean(_of(guessed, cell), cell, seed, resamples)),
        "decoyed": float((here["outcome"] == "decoy").mean()),
        **_columns("difference", Estimate(np.nan, np.nan, np.nan)),
        "p": np.nan,
        "prompts": len(here),
        "documents": here["doc_id"].nunique(),
        "shared_prompts": len(here),
    }
    if cell["variant"] == PLAIN:
        return row
    both = here.merge(_of(asked, cell | {"variant": PLAIN}), on="prompt_id", suffixes=("", "_plain"))
    row["shared_prompts"] = len(both)
    if both.empty:
        return row
    sums = both.groupby("doc_id")[["correct", "correct_plain"]].sum()
    counts = both.groupby("doc_id").size().to_numpy()
    there, plain = sums["correct"].to_numpy(), sums["correct_plain"].to_numpy()
    weights = bootstrap_weights(len(counts), resamples, _generator(cell, "bootstrap", seed))
    row |= _columns("difference", bootstrap_mean(there - plain, counts, weights, (-1.0, 1.0)))
    return row | {"p": paired_test(there, plain, counts, _generator(cell, "paired_test", seed))}


def _mean(rows: pd.DataFrame, cell: dict, seed: int, resamples: int) -> Estimate:
    correct = rows["correct"].astype(bool).groupby(rows["doc_id"])
    counts = correct.size().to_numpy()
    weights = bootstrap_weights(len(counts), resamples, _generator(cell, "bootstrap", seed))
    return bootstrap_mean(correct.sum().to_numpy(), counts, weights)


def _generator(cell: dict, what: str, seed: int) -> np.random.Generator:
    # Not by variant, so that the same documents are drawn for all of them.
    return generator(seed, "variants", what, *(cell.get(name) for name in CELL if name != "variant"))


def _of(frame: pd.DataFrame, cell: dict) -> pd.DataFrame:
    chosen = pd.Series(True, index=frame.index)
    for name, value in cell.items():
        chosen &= frame[name] == value
    return frame[chosen]


def _columns(name: str, estimate: Estimate) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), estimate, strict=True))

"""How far the rankings from two halves of the documents agree: what noise alone takes from any agreement."""

import numpy as np
import pandas as pd

from retrieval_heads.analysis.overlap import Ranking, grids
from retrieval_heads.analysis.rankings import rank_heads
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.heads import Grid
from retrieval_heads.tables.reliability import RELIABILITY


def split_half(
    scores: pd.DataFrame, documents: pd.Series, splits: int, seed: int, top_k: int | None = None
) -> pd.DataFrame:
    """Agreement of rankings from two random halves of the documents.

    A half has half the documents, so two whole rankings of this kind would agree more than their halves do.

    Parameters
    ----------
    scores : the scores table of one model.
    documents : prompt_id → doc_id. A half has whole documents; those without scores, such as the test split's, do not
        count.
    splits : how many random splits.
    seed : the study's seed; a split is the same for all methods and questions, and for all lengths and models that have
        scores for the same documents.
    top_k : the size of a top set.

    Returns
    -------
    The reliability table; a configuration in which a half has no scores has no row.
    """
    if scores.empty:
        return pd.DataFrame(columns=RELIABILITY.columns)
    ((layers, per_layer),) = grids(scores).values()
    k, heads = top_k_for(layers * per_layer, top_k), layers * per_layer
    configurations, configuration = _codes(scores, list(DIMENSIONS))
    prompt, prompts = scores["prompt_id"].factorize(sort=True)
    names, owner = np.unique(documents[prompts].to_numpy(str), return_inverse=True)
    doc = owner[prompt]
    used = np.bincount(np.unique(configuration * len(names) + doc) // len(names))
    # One sum for each configuration and head; prompts in one order, so that the last bit does not depend on the rows'.
    place = configuration * heads + (scores["layer"] * per_layer + scores["head"]).to_numpy()
    order = np.argsort(prompt, kind="stable")
    place, doc, score = place[order], doc[order], scores["score"].to_numpy()[order]
    del order, prompt, configuration
    rows = []
    for split in range(splits):
        first = np.zeros(len(names), bool)
        first[generator(seed, "split_half", split).permutation(len(names))[: len(names) // 2]] = True
        halves = []
        for chosen in (first[doc], ~first[doc]):
            sums, counts = (
                np.bincount(place[chosen], weights, minlength=len(configurations) * heads).reshape(-1, heads)
                for weights in (score[chosen], None)
            )
            halves.append([_ranking(*each, Grid(layers, per_layer), k) for each in zip(sums, counts, strict=True)])
        for at, (a, b) in enumerate(zip(*halves, strict=True)):
            if a is None or b is None:
                continue
            agreement = a.compare(b)
            rows.append(
                {
                    **dict(zip(DIMENSIONS, configurations[at], strict=True)),
                    "split": split,
                    "documents": used[at],
                    "k": k,
                    **agreement,
                }
            )
    return pd.DataFrame(rows, columns=RELIABILITY.columns)


def _codes(frame: pd.DataFrame, columns: list[str]) -> tuple[list[tuple], np.ndarray]:
    """The different values that rows have in these columns, sorted, and for each row which of them it has."""
    code = np.zeros(len(frame), np.int64)
    values: list[tuple] = [()]
    for name in columns:
        each, different = frame[name].factorize(sort=True)
        # Numbered anew after each column, so that only what occurs together is counted.
        found, code = np.unique(code * len(different) + each, return_inverse=True)
        values = [(*values[both // len(different)], different[both % len(different)]) for both in found]
    return values, code


def _ranking(sums: np.ndarray, counts: np.ndarray, grid: Grid, k: int) -> Ranking | None:
    """The ranking of the heads that have scores, by their means; sums and counts have shape (heads,)."""
    (listed,) = np.nonzero(counts)
    if not len(listed):
        return None
    layer, head = np.divmod(listed, grid[1])
    means = pd.DataFrame({"layer": layer, "head": head, "score": sums[listed] / counts[listed]})
    return Ranking.of(rank_heads(means.assign(**dict.fromkeys([*DIMENSIONS, "prompt_id"], "-"))), grid, k)

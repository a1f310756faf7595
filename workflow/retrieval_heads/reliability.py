"""How far the rankings from two halves of the documents agree: what noise alone takes from any agreement."""

import numpy as np
import pandas as pd

from retrieval_heads.derived import RELIABILITY
from retrieval_heads.overlap import Ranking, grids
from retrieval_heads.rankings import rank_heads
from retrieval_heads.seeds import generator
from retrieval_heads.study import DIMENSIONS, top_k_for


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
    k = top_k_for(layers * per_layer, top_k)
    doc = scores["prompt_id"].map(documents)
    names = np.array(sorted(doc.unique()))
    used = doc.groupby([scores[name] for name in DIMENSIONS]).nunique()
    rows = []
    for split in range(splits):
        order = generator(seed, "split_half", split).permutation(len(names))
        first = doc.isin(names[order[: len(names) // 2]])
        halves = [_rankings(scores[chosen], (layers, per_layer), k) for chosen in (first, ~first)]
        for configuration in sorted(halves[0].keys() & halves[1].keys()):
            agreement = halves[0][configuration].compare(halves[1][configuration])
            rows.append(
                {
                    **dict(zip(DIMENSIONS, configuration, strict=True)),
                    "split": split,
                    "documents": used[configuration],
                    "k": k,
                    **agreement,
                }
            )
    return pd.DataFrame(rows, columns=RELIABILITY.columns)


def _rankings(scores: pd.DataFrame, grid: tuple[int, int], k: int) -> dict[tuple, Ranking]:
    return {
        configuration: Ranking.of(group, grid, k)
        for configuration, group in rank_heads(scores).groupby(list(DIMENSIONS))
    }

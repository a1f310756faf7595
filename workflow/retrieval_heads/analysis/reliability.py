"""How far the rankings from two halves of the documents agree: what noise alone takes from any agreement."""

from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd

from retrieval_heads.analysis.overlap import Ranking
from retrieval_heads.analysis.ties import places
from retrieval_heads.seeds import generator
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.top_k import top_k_for
from retrieval_heads.tables.reliability import RELIABILITY


def split_half(
    scores: Iterable[pd.DataFrame], documents: pd.Series, splits: int, seed: int, top_k: int | None = None
) -> pd.DataFrame:
    """Agreement of rankings from two random halves of the documents.

    A half has half the documents, so two whole rankings of this kind would agree more than their halves do.

    Parameters
    ----------
    scores : the scores table of one model, in parts. They are gone through twice, and beside a part one sum for each
        ranking, split, half and head is held, however many prompts there are.
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
    scored = sorted({document for part in scores for document in documents[part["prompt_id"].unique()]})
    halves = halves_of(scored, splits, seed)
    sums: dict[tuple, _HalfSums] = {}
    for part in scores:
        for configuration, rows in part.groupby(list(DIMENSIONS)):
            of_heads = sums.setdefault(configuration, _HalfSums(splits, len(rows["scores"].iloc[0])))
            for prompt, prompt_scores in zip(rows["prompt_id"], rows["scores"], strict=True):
                of_heads.add(documents[prompt], halves[documents[prompt]], prompt_scores)
    rows = []
    for split in range(splits):
        for configuration, of_heads in sorted(sums.items()):
            k = top_k_for(of_heads.sums.shape[-1], top_k)
            a, b = of_heads.rankings(split, k)
            if a is None or b is None:
                continue
            rows.append(
                {
                    **dict(zip(DIMENSIONS, configuration, strict=True)),
                    "split": split,
                    "documents": len(of_heads.documents),
                    "k": k,
                    **a.compare(b),
                }
            )
    return pd.DataFrame(rows, columns=RELIABILITY.columns)


def halves_of(documents: Collection[str], splits: int, seed: int) -> dict[str, np.ndarray]:
    """For each document its half in each of so many random splits, 0 or 1; shape (splits,)."""
    halves = np.ones((splits, len(documents)), int)
    for split in range(splits):
        order = generator(seed, "split_half", split).permutation(len(documents))
        halves[split, order[: len(documents) // 2]] = 0
    return dict(zip(documents, halves.T, strict=True))


class _HalfSums:
    """Sums of each head's scores over the documents of each half, for all splits, in one configuration."""

    def __init__(self, splits: int, heads: int):
        self.documents: set[str] = set()
        self.sums = np.zeros((splits, 2, heads))
        self.prompts = np.zeros((splits, 2), int)

    def add(self, document: str, half: np.ndarray, scores: np.ndarray) -> None:
        """Count a prompt's scores in, shape (heads,); ``half`` is its document's in each split, shape (splits,)."""
        self.documents.add(document)
        each = np.arange(len(half))
        self.sums[each, half] += scores
        self.prompts[each, half] += 1

    def rankings(self, split: int, k: int) -> list[Ranking | None]:
        """The rankings from both halves of a split; a half without prompts has none."""
        return [
            Ranking(places(sums / prompts), k) if prompts else None
            for sums, prompts in zip(self.sums[split], self.prompts[split], strict=True)
        ]

"""From scores per prompt to one ranking of all heads for each model, method, question and context length."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from retrieval_heads.analysis.ties import places
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables.heads import GRID, Grid
from retrieval_heads.tables.rankings import RANKINGS


def rank_heads(scores: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Rank heads by their mean score over the prompts that have one; equal heads share their places.

    Every head counts in every such prompt, zeros included. A configuration without scores has no ranking.

    Parameters
    ----------
    scores : the scores table of the train split's prompts, in parts. They are gone through once, and beside a part only
        some numbers for each ranking and head are held, however many prompts there are.

    Returns
    -------
    The rankings table. Means and deviations are computed in float64, prompt by prompt in the order of the rows; another
    order may change their last bit.
    """
    moments: dict[tuple, _Moments] = {}
    for part in scores:
        for key, rows in part.groupby([*DIMENSIONS, *GRID]):
            of_heads = moments.setdefault(key, _Moments(Grid(*key[-len(GRID) :])))
            for prompt in rows["scores"]:
                of_heads.add(prompt)
    if not moments:
        return RANKINGS.empty()
    frames = [of_heads.table().assign(**dict(zip(DIMENSIONS, key, strict=False))) for key, of_heads in moments.items()]
    return placed(pd.concat(frames))


class _Moments:
    """Mean and standard deviation of each head's scores, which come prompt by prompt.

    The sum carries along what rounding loses of it (Kahan), so that equal means come out equal. The squares are of
    deviations from the mean so far (Welford), so that large numbers do not cancel out.
    """

    def __init__(self, grid: Grid):
        self.grid, self.prompts = grid, 0
        self.sum, self.lost, self.mean, self.squares = np.zeros((4, grid.total))

    def add(self, scores: np.ndarray) -> None:
        """Count the scores of another prompt in, shape (layers × heads,)."""
        scores = scores.astype(float)
        self.prompts += 1
        addend = scores - self.lost
        total = self.sum + addend
        self.sum, self.lost = total, total - self.sum - addend
        deviation = scores - self.mean
        self.mean += deviation / self.prompts
        self.squares += deviation * (scores - self.mean)

    def table(self) -> pd.DataFrame:
        """What a rankings table says of the heads by themselves; a single prompt has no deviation."""
        layer, head = np.divmod(np.arange(self.grid.total), self.grid.heads)
        variance = self.squares / (self.prompts - 1) if self.prompts > 1 else np.nan
        return pd.DataFrame(
            {
                "layer": layer,
                "head": head,
                "score": self.sum / self.prompts,
                "n_samples": self.prompts,
                "score_sd": np.sqrt(variance),
            }
        )


def placed(heads: pd.DataFrame) -> pd.DataFrame:
    """The rankings table of heads whose scores are known: everything but ``rank`` and ``last``.

    A ranking that does not name all heads of its model places those that it names among each other.
    """
    heads = heads.reset_index(drop=True).astype({"score": float}).assign(rank=0.0, last=0)
    for _, rows in heads.groupby(list(DIMENSIONS), sort=False):
        heads.loc[rows.index, "rank"], heads.loc[rows.index, "last"] = places(rows["score"].to_numpy())
    ordered = heads.sort_values([*DIMENSIONS, "rank", "layer", "head"])
    return ordered[RANKINGS.columns].reset_index(drop=True)

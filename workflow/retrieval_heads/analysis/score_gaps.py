"""How far the first head of a ranking stands out."""

import pandas as pd

from retrieval_heads.study.dimensions import DIMENSIONS


def score_gaps(rankings: pd.DataFrame) -> pd.DataFrame:
    """How far the first head of each ranking stands above the second: (score 1 − score 2) / score 1, as ``gap``.

    Where the first two tie it is 0. A ranking whose first score is not above 0, or that lists a single head, has none.
    """
    rows = []
    for configuration, heads in rankings.groupby(list(DIMENSIONS)):
        if len(heads) > 1 and (first := heads["score"].max()) > 0:
            second = heads["score"].nlargest(2).iloc[1]
            rows.append((*configuration, (first - second) / first if heads["rank"].min() == 1 else 0.0))
    return pd.DataFrame(rows, columns=[*DIMENSIONS, "gap"])

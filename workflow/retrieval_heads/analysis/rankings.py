"""From scores per prompt to one ranking of all heads for each model, method, question and context length."""

import pandas as pd

from retrieval_heads.analysis.ties import places
from retrieval_heads.tables.rankings import RANKINGS

_CONFIGURATION = ["model", "method", "question", "context_length"]


def rank_heads(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank heads by their mean score over the prompts that have one; equal heads share their places.

    Every head counts in every such prompt, zeros included. A configuration without scores has no ranking.

    Parameters
    ----------
    scores : the scores table of the train split's prompts.
    """
    means = (
        # In one order, so that the last bit of a mean does not depend on the order of the rows.
        scores.sort_values("prompt_id", kind="stable")
        .groupby([*_CONFIGURATION, "layer", "head"], sort=False)["score"]
        .agg(score="mean", n_samples="count", score_sd="std")
        .reset_index()
    )
    return placed(means)


def placed(heads: pd.DataFrame) -> pd.DataFrame:
    """The rankings table of heads whose scores are known: everything but ``rank`` and ``last``.

    A ranking that does not name all heads of its model places those that it names among each other.
    """
    heads = heads.reset_index(drop=True).astype({"score": float}).assign(rank=0.0, last=0)
    for _, rows in heads.groupby(_CONFIGURATION, sort=False):
        heads.loc[rows.index, "rank"], heads.loc[rows.index, "last"] = places(rows["score"].to_numpy())
    ordered = heads.sort_values([*_CONFIGURATION, "rank", "layer", "head"])
    return ordered[RANKINGS.columns].reset_index(drop=True)

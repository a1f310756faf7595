"""From scores per prompt to one ranking of all heads for each model, method, question and context length."""

import pandas as pd

from retrieval_heads.tables import RANKINGS


def rank_heads(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank heads by their mean score over the prompts that have one; ties by layer, then head.

    Every head counts in every such prompt, zeros included. A configuration without scores has no ranking.

    Parameters
    ----------
    scores : the scores table of the train split's prompts.
    """
    configuration = ["model", "method", "question", "context_length"]
    ranked = (
        # In one order, so that the last bit of a mean does not depend on the order of the rows.
        scores.sort_values("prompt_id", kind="stable")
        .groupby([*configuration, "layer", "head"], sort=False)["score"]
        .agg(score="mean", n_samples="count", score_sd="std")
        .reset_index()
        .sort_values([*configuration, "score", "layer", "head"], ascending=[True] * 4 + [False, True, True])
    )
    ranked["rank"] = ranked.groupby(configuration).cumcount() + 1
    return ranked[RANKINGS.columns].reset_index(drop=True)

"""What the whole model answers, put beside what it answers with heads ablated."""

import pandas as pd

from retrieval_heads.tables import Table
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.columns import PROMPT_KEY
from retrieval_heads.tables.unablated import UNABLATED


def join_unablated(shard: pd.DataFrame, unablated: pd.DataFrame, table: Table = ABLATION) -> pd.DataFrame:
    """What a job adds to the ablation table, or to one with columns of its own beside.

    Parameters
    ----------
    shard : what the job has written, a shard of the ablation table. Its rows of the baseline are left open.
    unablated : the unablated table, of the prompts of these rows and perhaps of others.
    table : which it is.

    Returns
    -------
    First what the whole model answers to the prompts of open rows, with and without needle, in the order of
    ``unablated``; then the other rows of ``shard``.
    """
    is_open = shard["source"] == "baseline"
    asked = shard[is_open].drop(columns=[name for name in UNABLATED.columns if name not in PROMPT_KEY])
    # The answers about twins say which prompts may be compared with theirs, and are no outcome of the study.
    beside = unablated[unablated["source"] != "twin"].merge(asked, on=list(PROMPT_KEY), validate="many_to_one")
    # Beside empty values, pandas makes objects of what is true or false.
    ablated = shard[~is_open].astype({"correct": bool, "contains": bool})
    return pd.concat([beside[table.columns], ablated[table.columns]], ignore_index=True)

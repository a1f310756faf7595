"""What is asked of the needle's depth: are prompts answered better at some depths, and does ablation cost more?"""

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from retrieval_heads.analysis.hypotheses._rows import paired_rows, test_row
from retrieval_heads.analysis.outcomes import Outcomes
from retrieval_heads.analysis.statistics import friedman
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.study.study import Study
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS, PROMPT_KEY
from retrieval_heads.tables.tests import ACCURACY, DROP

_SETTING = ["doc_id", *CELL, "method", "k"]
"""What the depths of one document are compared within."""


def by_depth(study: Study, outcomes: Outcomes) -> Iterator[dict]:
    """The tests of accuracy with no head ablated, and of the drop under each intervention.

    Units are documents. None where there is one depth, or where single answers are not known, as in published results.
    """
    if "doc_id" not in outcomes.frame or not outcomes.several("depth"):
        return
    unablated = outcomes.frame[outcomes.frame["source"] == "baseline"]
    # The whole model answers a prompt once, whatever is done to others.
    right = unablated.drop_duplicates(list(PROMPT_KEY)).assign(value=unablated["correct"].astype(float))
    yield from _compared(study, ACCURACY, right, None)
    before = right.set_index(list(PROMPT_KEY))["value"]
    for values, rows in outcomes.frame.groupby(list(INTERVENTION_COLUMNS), sort=True):
        top = rows[rows["source"] == "method"]
        answered = before.reindex(pd.MultiIndex.from_frame(top[list(PROMPT_KEY)])).to_numpy()
        drops = top.assign(value=answered - top["correct"].astype(float))
        for k, of_level in drops.groupby("k"):
            sizes = {"size_least": int(of_level["size"].min()), "size_most": int(of_level["size"].max())}
            for row in _compared(study, DROP, of_level, int(k)):
                yield row | sizes | dict(zip(INTERVENTION_COLUMNS, values, strict=True))


def _compared(study: Study, subject: str, rows: pd.DataFrame, k: int | None) -> Iterator[dict]:
    """The test of all depths, where there are more than two, and those of every two; over mean values of documents."""
    values = rows.pivot_table(index=_SETTING, columns="depth", values="value", aggfunc="mean").dropna()
    means = values.groupby(level="doc_id").mean()
    order = sorted(means.columns)
    if len(order) > 2 and len(means) > 1:
        yield test_row(subject, "depth", friedman(means[order].to_numpy()), "document", len(means), k=k)
    for a, b in combinations(order, 2):
        differences = (means[a] - means[b]).to_numpy()
        yield from paired_rows(study, subject, "depth", differences, "document", a=str(a), b=str(b), k=k)

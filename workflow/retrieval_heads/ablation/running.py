"""Does the model still answer without these heads?"""

from collections.abc import Mapping

import pandas as pd

from retrieval_heads.ablation.answering import Questions, answer
from retrieval_heads.ablation.distinct_sets import number_distinct
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.data.selection import group_by_context, lengths
from retrieval_heads.engine.runner import Runner
from retrieval_heads.job import progress
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.ablation import ABLATION


def ablate_split(
    runner: Runner,
    prompts: pd.DataFrame,
    head_sets: pd.DataFrame,
    intervention: Intervention,
    answer_types: Mapping[str, str],
    table: Table = ABLATION,
) -> pd.DataFrame:
    """Answer prompts with each head set ablated.

    Parameters
    ----------
    prompts : usable rows of the prompts table of one model and context length, in the table's order.
    head_sets : the head_sets table of that model and length. What the model answers with no head ablated is not asked
        here (:mod:`retrieval_heads.ablation.unablated`).
    answer_types : question → type of its answer.
    table : of which rows are made: one that has the columns of the ablation table, and perhaps others of the head sets.

    Returns
    -------
    Rows of the table, one for each prompt and head set of its question. A model that would not be measured
    exactly is refused first.
    """
    if prompts.empty:  # as in a shard, where fewer documents are asked than there are shards
        return table.empty()
    runner.require_measurable(*lengths(prompts, runner.decoding.max_new_tokens))
    sets = head_sets[head_sets["source"] != "baseline"]
    # A question without training prompts has no ranking, and so no heads to ablate.
    contexts = list(group_by_context(prompts[prompts["question"].isin(sets["question"])]))
    asked = number_distinct(sets, by=["question"]).groupby(sets["question"]).nunique()
    found = [pd.DataFrame(columns=table.columns)]
    with progress(sum(asked[rows["question"]].sum() for rows in contexts), "answers with heads ablated"):
        for rows in contexts:
            found.append(ablate_context(runner, rows, sets, intervention, answer_types, table))
    return pd.concat(found, ignore_index=True)


def leave_open(
    prompts: pd.DataFrame, head_sets: pd.DataFrame, intervention: Intervention, table: Table = ABLATION
) -> pd.DataFrame:
    """The rows of prompts with no head ablated, without answers: what the whole model answers is asked elsewhere.

    They say which prompts are asked, also where no ranking of a question tells heads apart, so that none is ablated.

    Parameters
    ----------
    prompts, head_sets, intervention, table : as of :func:`ablate_split`.

    Returns
    -------
    Rows of a shard of the table, one for each prompt of a question that has head sets.
    """
    rows = prompts.drop(columns="answer").merge(head_sets[head_sets["source"] == "baseline"], on=CELL)
    return rows.assign(**intervention.columns).reindex(columns=table.columns)


def ablate_context(
    runner: Runner,
    prompts: pd.DataFrame,
    head_sets: pd.DataFrame,
    intervention: Intervention,
    answer_types: Mapping[str, str],
    table: Table = ABLATION,
) -> pd.DataFrame:
    """Answer the prompts that share a context with each head set of their questions ablated.

    Returns
    -------
    Rows of the table, one for each prompt and head set.
    """
    rows = prompts.merge(head_sets, on=CELL)
    # Methods may choose the same heads, and controls may come out alike: each set is asked once.
    number = number_distinct(rows, by=["question"])
    distinct = rows[~number.duplicated()]
    questions = Questions.from_prompts(runner.tokenizer, distinct, answer_types)
    answers = answer(runner, questions, distinct["heads"].tolist(), intervention)
    answers = answers.iloc[number].reset_index(drop=True)
    return pd.concat([rows.reset_index(drop=True), answers], axis=1).assign(**intervention.columns)[table.columns]

"""What the whole model answers: with the document in the context, with its twin, and without, which is what guessing
gives.

None of it depends on how heads are ablated, so all is asked once for all interventions, and stands beside the answers
of each (:mod:`retrieval_heads.ablation.joining`).
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

import pandas as pd

from retrieval_heads.ablation.answering import Questions, answer
from retrieval_heads.data.selection import as_prompts, group_by_context, lengths
from retrieval_heads.engine.runner import Runner, naming
from retrieval_heads.job import progress
from retrieval_heads.tables.unablated import UNABLATED


def answer_unablated(
    runner: Runner,
    prompts: pd.DataFrame,
    answer_types: Mapping[str, str],
    twinned: Collection[str] = (),
) -> pd.DataFrame:
    """Answer prompts with no head ablated.

    Without needle, each question is asked once for all depths of a document, as these differ in the needle's alone.

    Parameters
    ----------
    prompts : usable rows of the prompts table of one model and context length, in the table's order.
    answer_types : question → type of its answer.
    twinned : the documents whose twins are asked too.

    Returns
    -------
    The unablated table. A model that would not be measured exactly is refused first.
    """
    if prompts.empty:  # as in a shard, where there are fewer documents than shards
        return UNABLATED.empty()
    runner.require_measurable(*lengths(prompts, runner.decoding.max_new_tokens))
    documents = [rows for _, rows in prompts.groupby("doc_id", sort=False)]

    def ask(rows: pd.DataFrame, *, needle: bool = True, twin: bool = False) -> pd.DataFrame:
        questions, prefix = Questions.from_prompts(runner.tokenizer, rows, answer_types, needle=needle), None
        if twin:
            questions = replace(questions, names=[f"the twin of {name}" for name in questions.names])
            # Behind the context that was asked about last, a twin is run from the first other token on.
            with naming(questions.names):
                prefix = runner.twin(questions.context)
        return answer(runner, questions, prefix=prefix).assign(question=rows["question"].tolist())

    found = [pd.DataFrame(columns=UNABLATED.columns)]
    twins = as_prompts(prompts[prompts["doc_id"].isin(twinned)]) if twinned else prompts.iloc[:0]
    total = sum(len(rows) + rows["question"].nunique() for rows in documents) + len(twins)
    with progress(total, "answers of the whole model, with and without needle"):
        for document in documents:
            for rows in group_by_context(document):
                found.append(rows.merge(ask(rows), on="question").assign(source="baseline"))
                if len(of_these := twins[twins["prompt_id"].isin(rows["prompt_id"])]):
                    found.append(of_these.merge(ask(of_these, twin=True), on="question").assign(source="twin"))
            answers = ask(document.drop_duplicates("question"), needle=False)
            found.append(document.merge(answers, on="question").assign(source="no_needle"))
    return pd.concat([rows[UNABLATED.columns] for rows in found], ignore_index=True)

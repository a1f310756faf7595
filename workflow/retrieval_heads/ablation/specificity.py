"""Does a model without these heads still answer what takes no retrieval?

Facts that no context states and small sums are asked behind the same haystack as a study's questions, in the same form
and with the same heads ablated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from retrieval_heads.ablation.answering import Questions, answer
from retrieval_heads.ablation.distinct_sets import number_distinct
from retrieval_heads.ablation.intervention import Intervention
from retrieval_heads.data.control_items import Item
from retrieval_heads.data.prompts import Builder
from retrieval_heads.engine.runner import Runner
from retrieval_heads.job import progress
from retrieval_heads.study.controls import ITEM_KINDS
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables.select import strictest_random
from retrieval_heads.tables.specificity import FEWEST_ITEMS, SPECIFICITY


@dataclass(frozen=True)
class AskedItems:
    """Items as a model is asked them, all behind one context.

    Parameters
    ----------
    items : what is asked.
    context : token ids of opening and haystack.
    opening : how many of them are the opening.
    suffixes : token ids of what asks each item.
    expected : token ids of each answer as it continues the suffix.
    """

    items: list[Item]
    context: list[int]
    opening: int
    suffixes: list[list[int]]
    expected: list[list[int]]

    @classmethod
    def behind(cls, prompts: pd.DataFrame, items: Sequence[Item], builder: Builder, prefixed: bool) -> "AskedItems":
        """Items behind the haystack of the first of some test prompts, without its document.

        Parameters
        ----------
        prompts : usable rows of the prompts table, of the test split.
        builder : of the study's prompts, whose form the items take.
        prefixed : whether the first words of an item's answer are given, as they are of the study's questions.
        """
        first = prompts.iloc[0]
        suffixes, expected = [], []
        for item in items:
            prefix = item.answer_prefix if prefixed else ""
            where = f"resources/controls/{item.kind}.yaml: {item.text}"
            suffixes.append(builder.suffix(item.text, prefix, where).ids)
            expected.append(builder.answered(item.text, prefix, item.answer, where))
        context = list(first["no_needle_ids"][: int(first["suffix_start"])])
        return cls(list(items), context, int(first["opening_end"]), suffixes, expected)

    def answer(
        self,
        runner: Runner,
        numbers: Sequence[int],
        head_sets: Sequence[Sequence[str]] | None = None,
        intervention: Intervention | None = None,
    ) -> pd.DataFrame:
        """What a model answers to the items of these numbers, one of which may be there for several head sets.

        Returns
        -------
        A row for each: ``number``, ``kind``, ``item`` and what the table has of an answer.
        """
        items = [self.items[number] for number in numbers]
        questions = Questions(
            [item.text for item in items],
            self.context,
            self.opening,
            None,
            "",
            [self.suffixes[number] for number in numbers],
            [self.expected[number] for number in numbers],
            [item.answer for item in items],
            [item.type for item in items],
            [None] * len(items),
        )
        found = answer(runner, questions, head_sets, intervention)
        # By all forms of an answer that are accepted.
        verdicts = [item.judge(text) for item, text in zip(items, found["generated"], strict=True)]
        return pd.DataFrame(
            {
                "number": list(numbers),
                "kind": [item.kind for item in items],
                "item": [item.text for item in items],
                "answer": [item.answer for item in items],
                "generated": found["generated"].tolist(),
                "correct": [verdict.correct for verdict in verdicts],
                "contains": [verdict.contains for verdict in verdicts],
                "outcome": [verdict.outcome for verdict in verdicts],
                "answer_logprob": found["answer_logprob"].tolist(),
                "margin": found["margin"].tolist(),
            }
        )


def choose_sets(head_sets: pd.DataFrame, methods: Sequence[str], levels: Sequence[int]) -> pd.DataFrame:
    """The top sets of some methods at some levels, and the random ones that are the strictest control of each.

    Parameters
    ----------
    head_sets : the head_sets table of one model and context length.
    """
    sets = head_sets[head_sets["method"].isin(list(methods)) & head_sets["k"].isin(list(levels))]
    random = strictest_random(sets, [*CELL, "method", "k"])
    return pd.concat([sets[sets["source"] == "method"], random]).sort_index()


def ask_items(
    runner: Runner,
    asked: AskedItems,
    most: int,
    head_sets: pd.DataFrame,
    methods: Sequence[str],
    levels: Sequence[int],
    intervention: Intervention,
) -> pd.DataFrame:
    """Ask items of the whole model, and those that it answers of the model without each head set.

    Parameters
    ----------
    most : how many of each kind are asked with heads ablated, the first ones that the whole model answers. None is of a
        kind of which it answers fewer than 20, as nothing would be told by so few.
    head_sets : the head_sets table of that model, variant and length.
    methods, levels : whose top sets, of how many heads, and the random ones beside them, to ablate.
    intervention : how; one that needs no twin, as these items have none.

    Returns
    -------
    The specificity table, whose first rows are those of the whole model. A model that would not be measured exactly is
    refused first.
    """
    assert not intervention.needs_twin  # the config is checked for that
    longest = max(map(len, asked.suffixes)) + max(runner.decoding.max_new_tokens, *map(len, asked.expected))
    runner.require_measurable(len(asked.context), len(asked.context) + longest)
    cell = {name: head_sets[name].iloc[0] for name in CELL if name != "question"}
    with progress(len(asked.items), "facts and sums for the whole model"):
        whole = asked.answer(runner, range(len(asked.items)))
    right = whole[whole["correct"]]
    chosen = [
        number
        for kind in ITEM_KINDS
        if len(of_kind := right[right["kind"] == kind]) >= FEWEST_ITEMS
        for number in of_kind["number"].head(most)
    ]
    sets = choose_sets(head_sets, methods, levels).reset_index(drop=True)
    # Methods may choose the same heads, and so may questions: each set is asked once.
    sets["set"] = number_distinct(sets)
    distinct = sets.drop_duplicates("set")["heads"].tolist()
    pairs = [(number, place) for number in chosen for place in range(len(distinct))]
    found = whole.iloc[:0].assign(set=[])
    if pairs:
        numbers, places = map(list, zip(*pairs, strict=True))
        with progress(len(pairs), "facts and sums with heads ablated"):
            found = asked.answer(runner, numbers, [distinct[place] for place in places], intervention)
        found = found.assign(set=places)
    baseline = whole.assign(**cell, question=None, source="baseline", k=0, size=0)
    ablated = found.astype({"set": int}).merge(sets, on="set")
    rows = pd.concat([baseline, ablated], ignore_index=True).assign(**intervention.columns)
    return SPECIFICITY.typed(rows.reindex(columns=SPECIFICITY.columns)).astype({"matched": float, "correct": bool})

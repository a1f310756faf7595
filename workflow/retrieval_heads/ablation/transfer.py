"""The heads of one question, ablated while another is asked: which head sets, and of which prompts."""

from collections.abc import Collection

import pandas as pd

from retrieval_heads.errors import StudyError
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.select import by_matching


def transferred_sets(head_sets: pd.DataFrame, methods: Collection[str], level: int) -> pd.DataFrame:
    """The head sets of each source question, to be ablated while each target question is asked.

    Parameters
    ----------
    head_sets : the head_sets table of one intervention, of a model, variant and context length.
    methods : whose top sets to take.
    level : at most so many heads.

    Returns
    -------
    Rows of the head_sets table in which ``question`` is the target, with the column ``source_question``. For each
    method there are top sets of one size, the largest that all its questions have, each beside every target. Random
    heads, one draw for each top set that has any, the strictest there are, stand beside the set's own question. The
    rows of the baseline, without a source question, are as they were. A question of which a method tells no heads apart
    has no part in that method's sets; a method without two questions, or without a size that these share, has none.
    """
    baseline = head_sets[head_sets["source"] == "baseline"].assign(source_question=None)
    frames = [baseline]
    for method in methods:
        own = head_sets[head_sets["method"] == method]
        tops = own[own["source"].isin(["method", "equal"]) & own["size"].between(1, level)]
        sizes = tops.groupby("question", sort=False)["size"].agg(set)
        shared = set.intersection(*sizes) if len(sizes) > 1 else set()
        if not shared:
            continue
        # A set that two levels share is taken once.
        chosen = tops[tops["size"] == max(shared)].drop_duplicates("question")
        sources = chosen.rename(columns={"question": "source_question"})
        frames.append(sources.merge(sizes.index.to_frame(index=False), how="cross"))
        beside = own[own["source"] == "random"].merge(chosen[["question", "k"]], on=["question", "k"])
        beside = by_matching(beside).drop_duplicates("question")
        frames.append(beside.assign(source_question=beside["question"]))
    columns = [*HEAD_SETS.columns, "source_question"]
    return pd.concat([frame[columns] for frame in frames if len(frame)] or [baseline[columns]], ignore_index=True)


def about_every_question(prompts: pd.DataFrame) -> pd.DataFrame:
    """Those of some prompts whose document is asked all questions at all depths, as far as any document is.

    Parameters
    ----------
    prompts : usable rows of the prompts table, of a model, variant and context length.

    Raises
    ------
    StudyError
        when there is no such document.
    """
    kinds = prompts[["question", "depth"]].drop_duplicates()
    found = prompts[prompts.groupby("doc_id")["prompt_id"].transform("size") == len(kinds)]
    if found.empty:
        raise StudyError(
            f"controls.transfer.documents: none of {prompts['doc_id'].nunique()} test documents can be asked all "
            "questions; give more documents, or ones that state more of the facts."
        )
    return found

"""What a study has, and what it lacks: counts of prompts and holes in the grid of configurations."""

from collections.abc import Iterable
from itertools import product

import pandas as pd

from retrieval_heads.analysis.overlap import grids, incomparable_models, top_heads
from retrieval_heads.study.dimensions import CELL, DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import listed
from retrieval_heads.tables.dataset_counts import DATASET_COUNTS

# What tables of a single variant tell apart.
_TOLD = [name for name in DIMENSIONS if name != "variant"]
_CELL = [name for name in CELL if name != "variant"]


def dataset_counts(prompts: Iterable[pd.DataFrame], twins: bool = False) -> pd.DataFrame:
    """Prompts used (status ok) and left out by reason: any number of prompts tables → the dataset_counts table.

    Parameters
    ----------
    twins : whether the study uses twins, and so should tell how many prompts have one.
    """
    columns = [name for name in DATASET_COUNTS.columns if name != "prompts"]
    every = pd.concat([frame[columns] for frame in prompts], ignore_index=True)
    if not twins:
        every["twin_status"] = None
    counts = every.groupby(columns, dropna=False).size().reset_index(name="prompts")
    return counts[DATASET_COUNTS.columns]


def twin_counts(counts: pd.DataFrame) -> pd.Series:
    """From the dataset_counts table, how many of the prompts that are used have a twin (ok), or have none for a reason.

    Returns
    -------
    twin_status → prompts, the most frequent first; empty where the study uses no twins.
    """
    return counts.groupby("twin_status")["prompts"].sum().sort_values(ascending=False, kind="stable")


def leading_heads(rankings: pd.DataFrame, top_k: int | None = None) -> pd.DataFrame:
    """The heads that most questions have in their top set, for each model, method and context length.

    Returns
    -------
    model, method, context_length, layer, head, share (of the questions, whose top set holds the head), rank (the mean
    over those questions) and last: the last place of its tie group, by share, then rank.
    """
    by = ["model", "method", "context_length"]
    questions = rankings.groupby(by)["question"].nunique().rename("questions")
    heads = (
        top_heads(rankings, top_k)
        .groupby([*by, "layer", "head"])
        .agg(times=("rank", "size"), rank=("rank", "mean"))
        .reset_index()
        .join(questions, on=by)
    )
    heads["share"] = heads["times"] / heads["questions"]
    order = ["share", "rank"]
    heads = heads.round({"rank": 9}).sort_values(
        [*by, "share", "rank", "layer", "head"], ascending=[True] * 3 + [False, True, True, True]
    )
    heads["last"] = heads.groupby(by).cumcount() + 1
    heads["last"] = heads.groupby([*by, *order])["last"].transform("max")
    return heads[[*by, "layer", "head", *order, "last"]].reset_index(drop=True)


def gaps(study: Study, rankings: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """What is missing of what the config asks for, a sentence each.

    Rankings, ablations, baselines and random heads beside them, heads in a ranking, comparisons between models. The
    tables are those of one variant.
    """
    incomparable = [
        f"The heads of {study.label('model', a)} and {study.label('model', b)} are not compared: their grids differ."
        for a, b in incomparable_models(rankings)
    ]
    return [
        *_missing(study, rankings, "ranked no heads", study.configured("context_length")),
        *_of_ablation(study, summary),
        *_partial(study, rankings),
        *incomparable,
    ]


def _missing(study: Study, frame: pd.DataFrame, what: str, lengths: list[int]) -> list[str]:
    present = set(frame[_TOLD].itertuples(index=False, name=None))
    sentences = []
    for model, method in product(study.configured("model"), study.configured("method")):
        absent = {
            question: [length for length in lengths if (model, method, question, length) not in present]
            for question in study.configured("question")
        }
        subject, where = f"{study.label('method', method)} {what}", f"in {study.label('model', model)}."
        if all(gone == lengths for gone in absent.values()):
            sentences.append(f"{subject} {where}")
            continue
        for question, gone in absent.items():
            every = gone == lengths and len(lengths) > 1
            at = "any length" if every else listed([study.label("context_length", length) for length in gone])
            if gone:
                sentences.append(f"{subject} for {study.label('question', question).lower()} at {at} {where}")
    return sentences


def _of_ablation(study: Study, summary: pd.DataFrame) -> list[str]:
    """What is missing of each intervention, which is named where there are several."""
    sentences = []
    for name, one in study.interventions.items():
        here = summary[summary["intervention"] == name]
        ablated, random, baseline = (here[here["source"] == source] for source in ("method", "random", "baseline"))
        lengths = one.get("context_lengths") or study.configured("context_length")
        found = [
            *_missing(study, ablated, "was not ablated", lengths),
            *_no_random(study, ablated, random),
            *_no_baseline(study, ablated, baseline),
        ]
        how = f" ({study.label('intervention', name)})." if len(study.interventions) > 1 else "."
        sentences += [sentence.removesuffix(".") + how for sentence in found]
    return sentences


def _no_random(study: Study, ablated: pd.DataFrame, random: pd.DataFrame) -> list[str]:
    """Ablations without random heads beside them, in a study that has such heads elsewhere."""
    known = set(random[_TOLD].itertuples(index=False, name=None))
    every = ablated[_TOLD].drop_duplicates().itertuples(index=False, name=None)
    return [
        f"No random heads were ablated beside those of {study.label('method', method)} for "
        f"{_cell(study, model, question, length)}."
        for model, method, question, length in every
        if known and (model, method, question, length) not in known
    ]


def _no_baseline(study: Study, ablated: pd.DataFrame, baseline: pd.DataFrame) -> list[str]:
    known = set(baseline[_CELL].itertuples(index=False, name=None))
    return [
        f"There is no unablated baseline for {_cell(study, *cell)}."
        for cell in ablated[_CELL].drop_duplicates().itertuples(index=False, name=None)
        if cell not in known
    ]


def _cell(study: Study, model: str, question: str, length: int) -> str:
    return (
        f"{study.label('question', question).lower()} at {study.label('context_length', length)} "
        f"in {study.label('model', model)}"
    )


def _partial(study: Study, rankings: pd.DataFrame) -> list[str]:
    sentences = []
    listed = rankings.groupby(_TOLD).size()
    for model, grid in grids(rankings).items():
        for method, sizes in listed[model].groupby("method"):
            if sizes.min() < grid.total:
                few, many = f"{sizes.min():,}", f"{sizes.max():,}"
                count = few if few == many else f"{few} to {many}"
                sentences.append(
                    f"{study.label('method', method)} lists only {count} of the {grid.total:,} heads of "
                    f"{study.label('model', model)}."
                )
    return sentences

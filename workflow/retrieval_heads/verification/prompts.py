"""Checks of prompts, and of which of them are asked."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from retrieval_heads import plugins
from retrieval_heads.analysis.coverage import dataset_counts
from retrieval_heads.study.method_entries import file_of
from retrieval_heads.study.twins import unablated_documents, uses_twins
from retrieval_heads.tables.prompts import OK
from retrieval_heads.verification.check import Problem, check, problem, stages, tables_of
from retrieval_heads.verification.comparing import differs, same
from retrieval_heads.verification.made import Made

BEHIND = ("model", "variant", "context_length")
"""What tells apart the files of a stage, whatever else does."""


@check("prompts", stages("prompts"))
def gaps_in_prompts(made: Made) -> Iterator[Problem]:
    """There is a prompt for every document, depth and question."""
    documents = made.read(made.parts("documents")[0], ["doc_id"])["doc_id"]
    for path in made.parts("prompts"):
        rows = made.read(path, ["doc_id", "depth", "question"])
        wanted = pd.MultiIndex.from_product([documents, rows["depth"].unique(), rows["question"].unique()])
        for wrong in same(pd.MultiIndex.from_frame(rows), wanted, "lacks the prompt of", "has a prompt of"):
            yield problem(made, path, wrong)


@check("splits", stages("prompts"))
def wrong_split(made: Made) -> Iterator[Problem]:
    """Every prompt is of the split that its document is of, so that no document is in both."""
    documents = made.read(made.parts("documents")[0], ["doc_id", "split"]).set_index("doc_id")["split"]
    for path in made.parts("prompts"):
        rows = made.read(path, ["doc_id", "split"])
        wrong = rows[rows["split"] != rows["doc_id"].map(documents)]
        if len(wrong):
            yield problem(made, path, f"has {wrong['doc_id'].iloc[0]} in the other split than documents.parquet")


_IN_ORDER = (
    ("opening_end", "needle_start"), ("needle_start", "sentence_start"), ("sentence_start", "answer_start"),
    ("answer_start", "answer_end"), ("answer_end", "sentence_end"), ("sentence_end", "needle_end"),
    ("needle_end", "suffix_start"), ("suffix_start", "question_end"),
)  # fmt: skip


@check("places in prompts", stages("prompts"))
def out_of_order(made: Made) -> Iterator[Problem]:
    """Opening, needle, sentence, answer, suffix and question follow each other in every prompt."""
    for path in made.parts("prompts"):
        rows = made.read(path, [*{name for pair in _IN_ORDER for name in pair}, "input_ids", "status", "prompt_id"])
        rows = rows[rows["status"] == OK]
        wrong = pd.Series(rows["question_end"] > rows["input_ids"].map(len), rows.index)
        for before, behind in _IN_ORDER:
            wrong |= rows[before] > rows[behind]
        if wrong.any():
            yield problem(made, path, f"has places in {rows.loc[wrong, 'prompt_id'].iloc[0]} that are out of order")


def _usable(made: Made, split: str) -> dict[tuple, pd.DataFrame]:
    """(model, variant, length) → the prompts of a split that were not left out."""
    columns = [*BEHIND, "prompt_id", "doc_id", "question", "split", "status", "twin_status"]
    found = {}
    for path in made.parts("prompts"):
        rows = made.read(path, columns)
        of_file = tuple(rows[list(BEHIND)].iloc[0])
        found[of_file] = rows[(rows["split"] == split) & (rows["status"] == OK)]
    return found


def _by_setting(made: Made, stage: str, columns: Iterable[str]) -> dict[tuple, tuple[Path, pd.DataFrame]]:
    """(model, variant, length) → the first file of a stage there, and the rows of all of them."""
    found: dict[tuple, tuple[Path, list[pd.DataFrame]]] = {}
    for path in made.parts(stage):
        for key, rows in made.read(path, {*BEHIND, *columns}).groupby(list(BEHIND)):
            found.setdefault(key, (path, []))[1].append(rows)
    return {key: (path, pd.concat(frames, ignore_index=True)) for key, (path, frames) in found.items()}


@check("generations", stages("generations", "prompts"))
def other_generations(made: Made) -> Iterator[Problem]:
    """What the whole model generates is about the train prompts that are usable, one for each."""
    asked = _usable(made, "train")
    for key, (path, rows) in _by_setting(made, "generations", ["prompt_id"]).items():
        here, there = pd.Index(rows["prompt_id"]), pd.Index(asked[key]["prompt_id"])
        for wrong in same(here, there, "lacks the prompt", "has, beside the train prompts,"):
            yield problem(made, path, wrong)


@check("scores", stages("scores", "generations", "prompts"))
def other_scores(made: Made) -> Iterator[Problem]:
    """Heads are scored on train prompts alone, by some methods on answered ones alone."""
    asked = _usable(made, "train")
    answered = _by_setting(made, "generations", ["prompt_id", "success"])
    files = plugins.files("methods")
    of_answered = [
        name
        for name, entry in made.config["methods"].items()
        if plugins.constants(files[file_of(name, entry)]).get("needs_success")
    ]
    for key, (path, rows) in _by_setting(made, "scores", ["prompt_id", "method"]).items():
        _, answers = answered[key]
        right = answers.loc[answers["success"], "prompt_id"]
        for method, of_method in rows.groupby("method"):
            there = pd.Index(right if method in of_answered else asked[key]["prompt_id"])
            others = pd.Index(of_method["prompt_id"]).difference(there)
            if len(others):
                yield problem(made, path, f"has a score by {method} of {others[0]}, which it cannot have scored")


def _of_test_prompts(made: Made) -> list[Path]:
    stages = ("unablated", "ablation", "head_effects", "transfer", "compensation", "compensation_heads", "looks")
    return [path for stage in stages for path in made.parts(stage)]


@check("test prompts", _of_test_prompts)
def in_other_split(made: Made) -> Iterator[Problem]:
    """Answers, ablations, effects and controls are about test prompts alone."""
    tested = {key: set(rows["prompt_id"]) for key, rows in _usable(made, "test").items()}
    for path in _of_test_prompts(made):
        for key, rows in made.read(path, [*BEHIND, "prompt_id"]).groupby(list(BEHIND)):
            others = set(rows["prompt_id"]) - tested[key]
            if others:
                yield problem(made, path, f"asks {min(others)}, which is no usable prompt of the test split")


@check("unablated", stages("unablated", "prompts"))
def other_unablated(made: Made) -> Iterator[Problem]:
    """The whole model answers every test prompt that it is asked, with its document and without."""
    tested = _usable(made, "test")
    columns = ["prompt_id", "doc_id", "source"]
    for key, (path, rows) in _by_setting(made, "unablated", columns).items():
        number, _ = unablated_documents(made.config, key[2])
        every = tested[key]
        # The first documents of the split are asked about, whichever of them turn out to be usable.
        asked = made.read(made.parts("documents")[0], ["doc_id", "split"]).query("split == 'test'")["doc_id"][:number]
        wanted = every[every["doc_id"].isin(asked)]
        with_twin = wanted[wanted["twin_status"] == OK]
        for source in ("baseline", "no_needle"):
            here = pd.Index(rows.loc[rows["source"] == source, "prompt_id"])
            there = pd.Index(wanted["prompt_id"])
            for wrong in same(here, there, f"has no {source} of", f"has a {source}, which nobody asked for, of"):
                yield problem(made, path, wrong)
        twins = pd.Index(rows.loc[rows["source"] == "twin", "prompt_id"]).difference(with_twin["prompt_id"])
        if len(twins):
            yield problem(made, path, f"has an answer about the twin of {twins[0]}, which has none")


@check("counts of prompts", tables_of("dataset_counts"))
def other_counts(made: Made) -> Iterator[Problem]:
    """The counts of prompts are those of the prompts."""
    counted = dataset_counts((made.read(path) for path in made.parts("prompts")), uses_twins(made.config))
    yield from differs(made, "dataset_counts", counted, "counts other prompts than there are")


PROMPTS = (
    gaps_in_prompts, wrong_split, out_of_order, other_generations, other_scores, in_other_split, other_unablated,
    other_counts,
)  # fmt: skip
"""The checks of prompts."""

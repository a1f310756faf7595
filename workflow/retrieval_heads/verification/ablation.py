"""Checks of ablation, of the guard, and of the tables that are put together from parts."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from retrieval_heads import tables
from retrieval_heads.ablation.joining import join_unablated
from retrieval_heads.analysis.outcomes import summarise
from retrieval_heads.outputs import COLLECTED
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.columns import HEAD_SET_KEY
from retrieval_heads.tables.head_sets import HEAD_SETS
from retrieval_heads.tables.transfer import TRANSFER
from retrieval_heads.verification.check import Problem, check, problem, stages, tables_of
from retrieval_heads.verification.comparing import differs, keys, same
from retrieval_heads.verification.made import Made
from retrieval_heads.verification.prompts import BEHIND
from retrieval_heads.verification.rankings import set_name


@check("ablation", stages("ablation", "head_sets"))
def gaps_in_ablation(made: Made) -> Iterator[Problem]:
    """Every prompt that is asked is asked once with each head set of its question, and with no other."""
    sets = _sets_by_intervention(made)
    columns = [*CELL, "intervention", "prompt_id", *HEAD_SET_KEY, "size"]
    for path in made.parts("ablation"):
        rows = made.read(path, columns)
        for key, asked in rows.groupby([*BEHIND, "intervention"]):
            wanted = asked.loc[asked["source"] == "baseline", ["prompt_id", "question"]].merge(sets[key], on="question")
            by = ["prompt_id", *HEAD_SET_KEY, "size"]
            for wrong in same(
                keys(asked, by), keys(wanted, by), "lacks the answer of", "has an answer of no head set,"
            ):
                yield problem(made, path, wrong)


@check("guard", stages("guard", "head_sets"))
def gaps_in_guard(made: Made) -> Iterator[Problem]:
    """Prose is read with every head set, and changes are differences from the whole model."""
    sets = _sets_by_intervention(made)
    by = ["context_length", "question", *HEAD_SET_KEY, "size"]
    for path in made.parts("guard"):
        rows = made.read(path)
        (model, variant, name) = rows[["model", "variant", "intervention"]].iloc[0]
        of_lengths = [frame for key, frame in sets.items() if (*key[:2], key[3]) == (model, variant, name)]
        wanted = pd.concat(of_lengths, ignore_index=True)
        for wrong in same(keys(rows, by), keys(wanted, by), "lacks the set", "has a set that is none,"):
            yield problem(made, path, wrong)
        whole = rows.loc[rows["source"] == "baseline", "logprob"]
        if len(whole) and not np.allclose(rows["change"], rows["logprob"] - whole.iloc[0], atol=1e-9):
            yield problem(made, path, "has a change that is not the difference from the whole model")


def _sets_by_intervention(made: Made) -> dict[tuple, pd.DataFrame]:
    """(model, variant, length, intervention) → its head sets."""
    found = {}
    for path in made.parts("head_sets"):
        rows = made.read(path, [name for name in HEAD_SETS.columns if name != "heads"])
        found[*rows[list(BEHIND)].iloc[0], path.stem] = rows
    return found


def _collected(made: Made) -> list[str]:
    return [name for name in COLLECTED if made.parts(name) and made.has(name)]


@check("collected tables", _collected)
def other_collections(made: Made) -> Iterator[Problem]:
    """A table of the whole study has the rows of its parts."""
    for name in _collected(made):
        parts = made.parts(name)
        if name in ("ablation", "transfer"):
            form = {"ablation": ABLATION, "transfer": TRANSFER}[name]
            unablated = pd.concat([made.read(path) for path in made.parts("unablated")], ignore_index=True)
            frames = [join_unablated(made.read(path), unablated, form) for path in parts]
        else:
            frames = [made.read(path) for path in parts]
        whole, file = made.table(name), made.file_of(name)
        parted = pd.concat(frames, ignore_index=True)
        if len(whole) != len(parted):
            yield problem(made, file, f"has {len(whole)} rows, and its parts have {len(parted)}")
        elif not pa.Table.from_pandas(whole, tables.by_name(name).schema(False), preserve_index=False).equals(
            pa.Table.from_pandas(parted[whole.columns], tables.by_name(name).schema(False), preserve_index=False)
        ):
            yield problem(made, file, "has other values than its parts")


@check("counts of answers", tables_of("ablation_summary"))
def miscounted(made: Made) -> Iterator[Problem]:
    """Accuracies are those of the counts, and the counts those of the answers."""
    summary, file = made.table("ablation_summary"), made.file_of("ablation_summary")
    wrong = (summary["correct"] > summary["total"]) | (summary["correct"] < 0)
    wrong |= ~np.isclose(summary["accuracy"], summary["correct"] / summary["total"], atol=1e-9)
    if wrong.any():
        yield problem(made, file, f"has an accuracy that its counts do not give, {set_name(summary[wrong].iloc[0])}")
    elif made.has("ablation"):
        yield from differs(
            made, "ablation_summary", summarise(made.table("ablation")), "counts other answers than there are"
        )


ABLATIONS = (gaps_in_ablation, gaps_in_guard, other_collections, miscounted)
"""The checks of ablation."""

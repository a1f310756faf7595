"""What ablating heads does to accuracy: the drop from the unablated model, and the difference from random heads.

Every quantity is given for each configuration, and pooled over dimensions as their description says
(:func:`~retrieval_heads.study.dimensions.poolings`): over questions, over context lengths, and over both; always over
depths. In a pooled row the question or length is null; its accuracy is over all prompts, so that a configuration with
more prompts weighs more.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

import pandas as pd

from retrieval_heads.analysis.outcomes import BASELINE, NO_NEEDLE, HeadSet, Outcomes, SharedOutcomes
from retrieval_heads.analysis.statistics import Estimate, corrected
from retrieval_heads.study.dimensions import CELL, POOLED, PROMPT, poolings
from retrieval_heads.tables import Table
from retrieval_heads.tables.against_random import AGAINST_RANDOM
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS
from retrieval_heads.tables.effects import EFFECTS
from retrieval_heads.tables.steps import STEPS

_POOLED = [name for name in EFFECTS.columns if name in POOLED]


class Effects(NamedTuple):
    """What ablating heads does, as tables."""

    effects: pd.DataFrame
    against_random: pd.DataFrame
    steps: pd.DataFrame


def estimate_effects(outcomes: Outcomes) -> Effects:
    """The tables effects, against_random and steps.

    A comparison uses the prompts that have every outcome it needs. P values are corrected over all rows of the same
    pooling, and of the same matching (:func:`~retrieval_heads.analysis.statistics.corrected`). Where only counts are
    known, documents are null, and so is p, but for a step within one configuration.
    """
    parts = list(cells(outcomes))
    return Effects(
        corrected_rows(chain.from_iterable(map(_effects, parts)), EFFECTS, "drop"),
        corrected_rows(chain.from_iterable(map(_against_random, parts)), AGAINST_RANDOM, "difference"),
        corrected_rows(chain.from_iterable(map(_steps, parts)), STEPS, "change"),
    )


def cells(outcomes: Outcomes) -> Iterator[Outcomes]:
    """Each configuration, then those of each pooling, if it was measured without ablation."""
    # What the table has a column for, and the study several values of, is there for single values too.
    several = [name for name in _POOLED if name not in CELL and outcomes.several(name)]
    for pooled in poolings(several):
        for cell in outcomes.split([name for name in (*PROMPT, *INTERVENTION_COLUMNS) if name not in pooled]):
            if BASELINE in cell.sets:
                yield cell


def _effects(cell: Outcomes) -> Iterator[dict]:
    for top, k_to in cell.sets.levels.items():
        shared = cell.shared(baseline=BASELINE, ablated=top)
        yield {
            **_row(cell, top),
            "k_to": k_to,
            **columns("baseline", shared.accuracy("baseline")),
            **columns("accuracy", shared.accuracy("ablated")),
            **columns("drop", shared.difference("baseline", "ablated").estimate),
            "p": shared.paired_p("ablated", "baseline"),
            **_size(shared),
            **_guess(cell, top),
        }


def _guess(cell: Outcomes, top: HeadSet) -> dict:
    """What guessing gives for the prompts that an effect is about, and how far the baseline is above it."""
    if NO_NEEDLE not in cell.sets:
        return {}
    shared = cell.shared(baseline=BASELINE, ablated=top, guess=NO_NEEDLE)
    return {
        **columns("guess", shared.accuracy("guess")),
        **columns("headroom", shared.difference("baseline", "guess").estimate),
    }


def _against_random(cell: Outcomes) -> Iterator[dict]:
    for top in cell.sets.levels:
        for matching, draws in cell.sets.controls(top).items():
            shared = cell.shared(baseline=BASELINE, ablated=top, random=draws)
            yield {
                **_row(cell, top),
                "matching": matching,
                "matched": sum(cell.sets.matched[draw] for draw in draws) / len(draws),
                "draws": len(draws),
                **columns("accuracy", shared.accuracy("random")),
                **columns("drop", shared.difference("baseline", "random").estimate),
                **columns("difference", shared.difference("random", "ablated").estimate),
                "p": shared.paired_p("ablated", "random"),
                **_size(shared),
            }


def _steps(cell: Outcomes) -> Iterator[dict]:
    for before, top in cell.sets.steps():
        shared = cell.shared(before=before, after=top)
        yield {
            **_row(cell, top),
            "k_before": before.k,
            **columns("change", shared.difference("after", "before").estimate),
            "p": shared.p("after", "before"),
            **_size(shared),
        }


def _row(cell: Outcomes, top: HeadSet) -> dict:
    """What a row is about; what is pooled over is None."""
    return {
        **dict.fromkeys(PROMPT),
        **cell.values,
        "method": top.method,
        "k": top.k,
        "size": cell.sets.sizes[top],
    }


def _size(shared: SharedOutcomes) -> dict:
    return {"prompts": shared.prompts, "documents": shared.documents}


def columns(name: str, estimate: Estimate) -> dict[str, float]:
    """The columns of an estimate: its value, and the ends of its interval."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), estimate, strict=True))


def corrected_rows(rows: Iterable[dict], table: Table, effect: str) -> pd.DataFrame:
    """Rows of a table, those without prompts left out, with p values corrected over those of the same pooling, and of
    the same source and matching where it has these.

    Parameters
    ----------
    effect : the column whose sign tells the direction of the test.
    """
    frame = pd.DataFrame(rows, columns=table.columns)
    frame = frame[frame["prompts"] > 0].reset_index(drop=True)
    family = [frame[name].isna() for name in _POOLED]
    family += [frame[name] for name in ("source", "matching") if name in frame]
    frame = corrected(frame, family, [name for name in table.key if name != "intervention"], effect)
    unknown = [name for name in table.nullable if name in frame and name.startswith(("guess", "headroom"))]
    return frame.astype(
        {**dict.fromkeys(table.integers, "Int64"), **dict.fromkeys(["depth", "p_holm", "p_every", *unknown], float)}
    )

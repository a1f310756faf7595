"""Claims about the unablated model: can it answer, and does it read the answer in the document?"""

import pandas as pd

from retrieval_heads.findings.claims.outcome import Claim, Outcome, Tables, effect_of, sample, too_few
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import change, count, interval, percent, setting
from retrieval_heads.tables.select import select

TABLES: dict[str, dict[str, int]] = {"ablation_summary": {}, "effects": {}}

USABLE_BASELINE = 0.5
"""The unablated accuracy from which on ablation has enough right answers to take away."""


def baseline_is_usable(tables: Tables, study: Study) -> list[Claim]:
    """The unablated model is right often enough for ablation to show an effect."""
    found = []
    effects = select(tables["effects"], pooled=("question", "context_length"))
    for model in study.in_config_order("model", effects["model"]):
        row = effects[effects["model"] == model].sort_values("prompts").iloc[-1]
        name = study.label("model", model)
        start = (
            f"With no head ablated, {name} answers {percent(row['baseline'])} of the test prompts correctly "
            f"(95% interval {interval(row, 'baseline')}%; {sample(row)})."
        )
        if row["baseline_low"] >= USABLE_BASELINE and not too_few(row):
            outcome, end = Outcome.SUPPORTED, "These are enough right answers for ablation to take away."
        elif row["baseline_high"] < USABLE_BASELINE and not too_few(row):
            outcome, end = (
                Outcome.CONTRADICTED,
                "These are too few right answers for ablation to show what a head does.",
            )
        else:
            outcome = Outcome.UNDECIDED
            end = f"This leaves open whether it can answer {percent(USABLE_BASELINE)} of such prompts."
        if outcome is Outcome.SUPPORTED and (unknown := _cells_not_ablated(tables, effects, model)):
            outcome, end = Outcome.UNDECIDED, unknown
        statement = f"{name} answers enough test prompts for ablation to show an effect"
        found.append(
            Claim(
                "baseline_is_usable",
                statement,
                outcome,
                f"{start} {end}",
                of={"model": model},
                effect=effect_of(row, "baseline", p=None, none=100 * USABLE_BASELINE),
            )
        )
    return found


def every_question_is_answered(tables: Tables, study: Study) -> list[Claim]:
    """The unablated model answers at least half of the prompts of every question at every length."""
    cells = select(tables["effects"]).drop_duplicates(CELL).sort_values("baseline", kind="stable")
    if cells.empty:
        return []
    weak = cells[cells["baseline_high"] < USABLE_BASELINE]
    unsure = cells[(cells["baseline_low"] < USABLE_BASELINE) & (cells["baseline_high"] >= USABLE_BASELINE)]
    worst = cells.iloc[0]
    lowest = (
        f"The lowest accuracy is {percent(worst['baseline'])} ({interval(worst, 'baseline')}%), for "
        f"{setting(study, worst)}."
    )
    if len(weak):
        outcome = Outcome.CONTRADICTED
        sentence = (
            f"{_of_cells(len(weak), cells)} the unablated model is right less than half of the time. This leaves "
            f"little for ablation to take away. {lowest}"
        )
    elif len(unsure):
        outcome = Outcome.UNDECIDED
        sentence = (
            f"{_of_cells(len(unsure), cells)} it is open whether the unablated model is right at least half of the "
            f"time. {lowest}"
        )
    else:
        outcome = Outcome.SUPPORTED
        sentence = f"{_in_each(cells)} the unablated model is right more than half of the time. {lowest}"
    share = percent(USABLE_BASELINE)
    statement = f"The unablated model answers at least {share} of each question's prompts at each length"
    effect = effect_of(worst, "baseline", p=None, none=100 * USABLE_BASELINE)
    return [Claim("every_question_is_answered", statement, *_of_all(tables, cells, outcome, sentence), effect=effect)]


def baseline_is_above_guessing(tables: Tables, study: Study) -> list[Claim]:
    """With the document, the unablated model answers more prompts of each question and length than without it."""
    cells = select(tables["effects"]).drop_duplicates(CELL)
    cells = cells[cells["headroom"].notna()].sort_values("headroom", kind="stable")
    if cells.empty:
        return []
    few = cells.apply(too_few, axis=1)
    idle = cells[(cells["headroom"] <= 0) & ~few]
    unsure = cells[(cells["headroom_low"] <= 0) | few]
    least = (idle if len(idle) else cells).iloc[0]
    helped = f"The document helps least for {_above_guessing(study, least)}."
    if len(idle):
        outcome = Outcome.CONTRADICTED
        sentence = (
            f"{_of_cells(len(idle), cells)} the document does not help the unablated model, so there is no retrieval "
            f"to ablate. {helped}"
        )
    elif len(unsure):
        outcome = Outcome.UNDECIDED
        sentence = (
            f"{_of_cells(len(unsure), cells)} it is open whether the document helps the unablated model. {helped}"
        )
    else:
        outcome = Outcome.SUPPORTED
        sentence = (
            f"{_in_each(cells)} the unablated model is right more often with the document than without it. {helped}"
        )
    statement = "With the document, the model answers more prompts of each question at each length than by guessing"
    effect = effect_of(least, "headroom", p=None)
    return [Claim("baseline_is_above_guessing", statement, *_of_all(tables, cells, outcome, sentence), effect=effect)]


def _of_cells(some: int, cells: pd.DataFrame) -> str:
    return f"In {some} of {count(len(cells), 'cell')} (a question at a context length in a model)"


def _in_each(cells: pd.DataFrame) -> str:
    return f"In each of {count(len(cells), 'cell')} (a question at a context length in a model)"


def _of_all(tables: Tables, cells: pd.DataFrame, outcome: Outcome, sentence: str) -> tuple[Outcome, str]:
    """What holds in the cells with ablated heads, where it is claimed of all that were asked."""
    if outcome is Outcome.SUPPORTED and (unknown := _cells_not_ablated(tables, cells)):
        return Outcome.UNDECIDED, f"{sentence} {unknown}"
    return outcome, sentence


def _cells_not_ablated(tables: Tables, effects: pd.DataFrame, model: str | None = None) -> str:
    """Says in how many cells no top heads were ablated, as where ties leave every top set empty; else nothing."""
    if "ablation_summary" not in tables:
        return ""
    asked = tables["ablation_summary"]
    asked = asked[asked["source"] == "baseline"]
    if model is not None:
        asked, effects = asked[asked["model"] == model], select(tables["effects"], model=model)
    missing = len(asked[CELL].drop_duplicates()) - len(effects[CELL].drop_duplicates())
    return f"Nothing is said of {count(missing, 'further cell')} in which no top heads were ablated." if missing else ""


def _above_guessing(study: Study, row: pd.Series) -> str:
    return (
        f"{setting(study, row)} ({percent(row['baseline'])} right with it, {percent(row['guess'])} without it; "
        f"difference {change(row['headroom'])} points, {interval(row, 'headroom')})"
    )

"""Claims about heads that stand in for each other: are heads backed up, do top heads add up, and do they suffice?"""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from retrieval_heads.analysis.compensation import NOTABLE, SMALL
from retrieval_heads.findings.claims.outcome import MIN_UNITS, POINTS, Claim, Effect, Family, Outcome, Tables, effect_of
from retrieval_heads.findings.claims.rows import of_row
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import change, count, hundredths, p_value, percent, random_heads
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.select import select
from retrieval_heads.tables.set_compensation import (
    BEYOND_RANDOM,
    DIRECT,
    EFFECT,
    INTERACTION,
    RANDOM_RESTORED,
    REPAIR,
    RESTORED,
    SINGLES,
    TOTAL,
)

TABLES: dict[str, dict[str, int]] = {
    "head_compensation": {"compensation": 1},
    "set_compensation": {"compensation": 1},
    "steps": {},
}

SUFFICIENT = 0.8
"""Heads suffice if they surely restore more than this share of the log-odds, and do not if they surely restore less."""

_NAMED = 4
"""How many heads or steps a sentence names."""

_SETTING = [*OVER, "intervention"]


def settings(study: Study, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each model, length and intervention, with how a sentence begins that is about them."""
    several = frame["intervention"].nunique() > 1
    for model in study.in_config_order("model", frame["model"]):
        of_model = frame[frame["model"] == model]
        for length in study.in_config_order("context_length", of_model["context_length"]):
            of_length = of_model[of_model["context_length"] == length]
            for name in study.in_config_order("intervention", of_length["intervention"]):
                how = f" ({study.label('intervention', name)})" if several else ""
                where = f"In {study.label('model', model)} at {study.label('context_length', length)}{how}"
                yield where, of_length[of_length["intervention"] == name]


def at_level(study: Study, sets: pd.DataFrame) -> pd.DataFrame:
    """The rows of sets, not of steps, at the level that headlines are about, or the largest below it that is there."""
    sets = sets[sets["k_before"].isna()]
    levels = sets.loc[sets["k"] <= study.quality_level, "k"]
    return sets[sets["k"] == (sets["k"].min() if levels.empty else levels.max())]


def heads_are_backed_up(tables: Tables, study: Study) -> list[Claim]:
    """What some heads write is made up for by other parts of the model where they are ablated."""
    found, statement = [], "Other parts of the model make up for what some top heads write"
    family = Family(statement, "settings")
    for where, heads in _settings_of(tables, study, "head_compensation"):
        tested = heads[heads["p_family"].notna()]
        yes, no = (tested[tested["backed_up"].map(told).astype(bool)] for told in (_is(True), _is(False)))
        start = (
            f"{where}, {len(tested)} of {count(len(heads), 'top head')} matter to the answer's centred logit by more "
            f"than {NOTABLE:g} ({_asked(heads.loc[heads['documents'].idxmax()])})"
        )
        if len(yes):
            named = yes.sort_values("repair", ascending=False, kind="stable").head(_NAMED)
            heads_most = "; ".join(_head(row) for _, row in named.iterrows())
            outcome, verdict = (
                Outcome.SUPPORTED,
                f"For {len(yes)} of them, more than {percent(SMALL)} of what they write is surely made up for (most of "
                f"all for {heads_most}). For {len(no)}, it is surely less",
            )
        elif len(tested) and len(no) == len(tested) and tested["documents"].min() >= MIN_UNITS:
            outcome, verdict = (
                Outcome.CONTRADICTED,
                f"That {percent(SMALL)} of what it writes is made up for is ruled out for each of them",
            )
        elif len(tested):
            outcome, verdict = (
                Outcome.UNDECIDED,
                f"None is shown to be backed up. For {len(tested) - len(no)} of them, it is not ruled out that "
                f"{percent(SMALL)} of what they write is made up for",
            )
        else:
            outcome, verdict = Outcome.UNDECIDED, "There is nothing to make up for"
        found.append(
            Claim(
                "heads_are_backed_up",
                f"{statement} {_at(where)}",
                outcome,
                f"{start}. {verdict}.",
                family,
                _about(where),
                of_row(heads.iloc[0], *_SETTING),
                Effect(float(len(yes)), None, None, "heads"),
            )
        )
    return found


def _is(value: bool) -> Callable[[object], bool]:
    """Whether it is told, and this is what is told."""
    return lambda told: told is not None and told == value


def _head(row: pd.Series) -> str:
    return (
        f"{head_name(row['layer'], row['head'])}, which writes {hundredths(row['direct'])} and without which "
        f"{hundredths(row['total'])} is lost"
    )


def top_heads_stand_in_for_each_other(tables: Tables, study: Study) -> list[Claim]:
    """An answer loses more without all of a method's top heads than what it loses without each adds up to."""
    found = []
    for where, method, k, rows in _of_methods(tables, study):
        both, effect, singles = (rows.loc[measure] for measure in (INTERACTION, EFFECT, SINGLES))
        name, few = study.label("method", method), both["documents"] < MIN_UNITS
        sure = not few and both["p_family"] < study.alpha
        matters = SMALL * abs(effect["value"])
        if sure and both["value"] > 0:
            outcome, verdict = Outcome.SUPPORTED, "Heads of the set stand in for each other"
        elif sure:
            outcome, verdict = (
                Outcome.CONTRADICTED,
                "It loses less than the sum: what single heads cost is in part the same loss",
            )
        elif not few and both["value_high"] < matters:
            outcome, verdict = (
                Outcome.CONTRADICTED,
                f"That {percent(SMALL)} of the loss come from heads that stand in for each other is ruled out",
            )
        else:
            outcome, verdict = Outcome.UNDECIDED, "The data do not tell"
        sentence = (
            f"{where}, the answer loses {_nats(effect)} nats without the top {k} heads of {name}. Without each of "
            f"them by itself, it loses {_nats(singles)}, added up. The difference is "
            f"{_nats(both, _corrected(both), _asked(both))}. {verdict}."
        )
        statement = f"The top {k} heads of {name} stand in for each other {_at(where)}"
        family = Family(f"The top {k} heads of a method stand in for each other {_at(where)}")
        of, by = of_row(both, *_SETTING, "method", "k"), effect_of(both, "value", "nats", "p_family")
        found.append(Claim("top_heads_stand_in_for_each_other", statement, outcome, sentence, family, name, of, by))
    return found


def top_heads_suffice(tables: Tables, study: Study) -> list[Claim]:
    """A method's top heads by themselves bring the answer back where the context states another."""
    found = []
    for where, method, k, rows in _of_methods(tables, study):
        if RESTORED not in rows.index:
            continue
        own, name = rows.loc[RESTORED], study.label("method", method)
        beyond = rows.loc[BEYOND_RANDOM] if BEYOND_RANDOM in rows.index else None
        better = beyond is not None and beyond["p_family"] < study.alpha and beyond["value"] > 0
        few = own["documents"] < MIN_UNITS or pd.isna(own["value_low"])
        random = ""
        if beyond is not None:
            p = f"corrected p of the difference {p_value(beyond['p_family'])}"
            beside = rows.loc[RANDOM_RESTORED]
            # Compensation is held against this kind of random sets alone.
            drawn = random_heads({"matching": "layer", "matched": beside["matched"]})
            random = f" {drawn[:1].upper()}{drawn[1:]} put back {_share(beside, p)}."
        if few:
            outcome, verdict = Outcome.UNDECIDED, "So few documents do not tell whether they suffice"
        elif own["value_high"] < SUFFICIENT:
            outcome, verdict = Outcome.CONTRADICTED, f"They do not suffice: {percent(SUFFICIENT)} are ruled out"
        elif own["value_low"] > SUFFICIENT and better:
            outcome, verdict = Outcome.SUPPORTED, "They suffice"
        elif own["value_low"] > SUFFICIENT:
            outcome, verdict = Outcome.UNDECIDED, "That they do more than random heads is not shown"
        else:
            outcome, verdict = Outcome.UNDECIDED, f"The data do not tell whether it is more than {percent(SUFFICIENT)}"
        sentence = (
            f"{where}, the top {k} heads of {name} put out in the twin's context what they do in the prompt. That puts "
            f"back {_share(own, _asked(own))} of the log-odds that lie between the two.{random} {verdict}."
        )
        statement = f"The top {k} heads of {name} suffice for the answer {_at(where)}"
        family = Family(f"The top {k} heads of a method suffice for the answer {_at(where)}")
        # They are held against what is enough, not against doing nothing.
        of, by = of_row(own, *_SETTING, "method", "k"), effect_of(own, "value", POINTS, None, 100 * SUFFICIENT)
        found.append(Claim("top_heads_suffice", statement, outcome, sentence, family, name, of, by))
    return found


def recoveries_are_made_up_for(tables: Tables, study: Study) -> list[Claim]:
    """Where more ablated heads do less damage, other parts of the model make up for more."""
    found, statement = [], "Where more ablated heads do less damage, other parts of the model make up for more"
    family = Family(statement, "settings")
    for where, rows in _settings_of(tables, study, "set_compensation"):
        steps = recoveries(tables["steps"], rows)
        judged = [_recovery(study, step) for step in steps]
        if not judged:
            continue
        outcomes = {outcome for outcome, _ in judged}
        outcome = next(
            (one for one in (Outcome.SUPPORTED, Outcome.CONTRADICTED) if outcomes == {one}), Outcome.UNDECIDED
        )
        more = f" ({len(judged) - _NAMED} of them are not named)" if len(judged) > _NAMED else ""
        sentence = (
            f"{where}, {count(len(judged), 'step')} to more ablated heads {'does' if len(judged) == 1 else 'do'} less "
            f"damage{more}. {' '.join(words for _, words in judged[:_NAMED])}"
        )
        found.append(
            Claim(
                "recoveries_are_made_up_for",
                f"{statement} {_at(where)}",
                outcome,
                sentence,
                family,
                _about(where),
                of_row(rows.iloc[0], *_SETTING),
                effect_of(steps[0].loc[REPAIR], "value", "logits", "p_family") if len(steps) == 1 else None,
            )
        )
    return found


def recoveries(steps: pd.DataFrame, sets: pd.DataFrame) -> list[pd.DataFrame]:
    """The steps from one level to the next that do less damage: in accuracy, or surely in the answer's centred logit.

    Parameters
    ----------
    steps : the steps table.
    sets : rows of the set_compensation table of one setting.

    Returns
    -------
    The rows of each such step, by measure, with the change of accuracy as ``accuracy`` (NaN where it is not known).
    """
    setting = {name: sets[name].iloc[0] for name in _SETTING}
    rising = select(steps, pooled=("question",), **setting)
    accuracy = rising.set_index(["method", "k_before", "k"])["change"].to_dict()
    found = []
    for (method, k_before, k), rows in sets[sets["k_before"].notna()].groupby(["method", "k_before", "k"], sort=False):
        change_ = accuracy.get((method, k_before, k), float("nan"))
        by_measure = rows.set_index("measure").assign(accuracy=change_)
        if change_ > 0 or by_measure.loc[TOTAL, "value_high"] < 0:
            found.append(by_measure)
    return found


def _recovery(study: Study, step: pd.DataFrame) -> tuple[Outcome, str]:
    """Whether a step that does less damage is made up for, and the words that say so."""
    total, direct, repair = (step.loc[measure] for measure in (TOTAL, DIRECT, REPAIR))
    enough = total["documents"] >= MIN_UNITS
    more_repair = enough and repair["p_family"] < study.alpha and repair["value"] > 0
    if enough and total["value_low"] > 0:
        outcome, why = Outcome.CONTRADICTED, "the answer's logit falls on, so that nothing is made up for"
    elif more_repair:
        outcome, why = Outcome.SUPPORTED, "other parts make up for more"
    elif enough and (repair["value_high"] < SMALL * abs(total["value"])):
        outcome, why = Outcome.CONTRADICTED, "the heads that are added wrote against the answer"
    else:
        outcome, why = Outcome.UNDECIDED, "why is not told"
    if pd.isna(total["accuracy"]):
        changed = f"the loss of centred logit changes by {_nats(total)}"
    else:
        accuracy = change(total["accuracy"])
        changed = f"accuracy changes by {accuracy} points, and the loss of centred logit by {_nats(total)}"
    told = [why] if pd.isna(repair["p_family"]) else [_corrected(repair), why]
    return outcome, (
        f"From {int(total['k_before'])} to {int(total['k'])} heads of {study.label('method', total['method'])}, "
        f"{changed}. Of that, the added heads write {hundredths(direct['value'])}, and what is made up for takes off "
        f"{hundredths(repair['value'])} ({'; '.join(told)})."
    )


def _of_methods(tables: Tables, study: Study) -> Iterator[tuple[str, str, int, pd.DataFrame]]:
    """Each setting in words, method and level, with what is measured of its top set, by measure."""
    for where, rows in _settings_of(tables, study, "set_compensation"):
        for method in study.in_config_order("method", rows["method"]):
            top = at_level(study, rows[rows["method"] == method])
            if len(top):
                yield where, method, int(top["k"].iloc[0]), top.set_index("measure")


def _settings_of(tables: Tables, study: Study, name: str) -> Iterator[tuple[str, pd.DataFrame]]:
    """The settings of a table; none in a study that does not ask for it."""
    if name in tables:
        yield from settings(study, tables[name])


def _nats(row: pd.Series, *beside: str) -> str:
    return _with_interval(row, hundredths, beside)


def _share(row: pd.Series, *beside: str) -> str:
    return _with_interval(row, percent, beside)


def _with_interval(row: pd.Series, written: Callable[[float], str], beside: Sequence[str]) -> str:
    """A value, and in brackets its interval where it has one, and what is told beside it."""
    ends = [] if pd.isna(row["value_low"]) else [f"{written(row['value_low'])} to {written(row['value_high'])}"]
    behind = "; ".join([*ends, *beside])
    return f"{written(row['value'])} ({behind})" if behind else written(row["value"])


def _corrected(row: pd.Series) -> str:
    return f"corrected p {p_value(row['p_family'])}"


def _asked(row: pd.Series) -> str:
    return f"{count(row['prompts'], 'prompt')} from {count(row['documents'], 'document')}"


def _at(where: str) -> str:
    return where[:1].lower() + where[1:]


def _about(where: str) -> str:
    return where.removeprefix("In ")

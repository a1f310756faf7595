"""Claims about which method is right: whose first heads carry the answer, and whether what is needed is carried."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd

from retrieval_heads.analysis.needed_or_carrying import SMALL, carrying_mode
from retrieval_heads.analysis.ranking_quality import Standing, against, standing
from retrieval_heads.findings.claims.outcome import MIN_UNITS, Claim, Effect, Family, Outcome, Tables, effect_of
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY, count, hundredths, interval, listed, p_value, percent, points
from retrieval_heads.tables.heads import head_name
from retrieval_heads.tables.needed_or_carrying import BACKED_UP, NEEDED_ONLY
from retrieval_heads.tables.ranking_quality import AREA, CAPTURED

TABLES: dict[str, dict[str, int]] = {
    "head_effect_summary": {"yardstick": 1},
    "needed_or_carrying": {"yardstick": 1},
    "quality_tests": {"documents": 1},
    "ranking_quality": {"documents": 1},
}

NO_TWINS = (
    "What heads carry of this answer was not measured: that takes a mode with twins among `yardstick.modes`, as "
    "`resample` is."
)
"""What is missing where the yardstick has no twins, and how to get it."""

NO_NEED = "What is needed was not measured: that takes a mode without twins among `yardstick.modes`, such as `zero`."
"""The same where it has nothing but twins."""

_NAMED = 5
"""How many heads a sentence names."""


def modes(tables: Tables, study: Study) -> tuple[str | None, str | None]:
    """The modes of the yardstick by which it is told what is needed, the first without twins, and what is carried."""
    summary = tables["head_effect_summary"]
    carrying = carrying_mode(summary)
    known = [mode for mode in study.config["yardstick"]["modes"] if (summary["mode"] == mode).any()]
    return next((mode for mode in known if mode != carrying), None), carrying


def missing(tables: Tables, study: Study) -> str:
    """Which of the two was not measured, and how to get it."""
    needed, carrying = modes(tables, study)
    if needed and carrying:
        return "No prompt was asked for both."
    return NO_TWINS if carrying is None else NO_NEED


Judge = Callable[[Tables, Study, pd.DataFrame, str], tuple[Outcome, str, Effect | None]]
"""Gives outcome, sentence and effect of a claim, from rows of a table and the words that say where they are from."""


def _in_each_setting(tables: Tables, study: Study, rule: str, statement: str, table: str, judge: Judge) -> list[Claim]:
    """A claim for each model and length, from the rows of a table that are about them."""
    found, family = [], Family(statement, "settings")
    for (model, length), where in settings(tables, study):
        outcome, sentence, by = judge(tables, study, of_setting(tables[table], model, length), where)
        about, of = where.removeprefix("In "), {"model": model, "context_length": int(length)}
        found.append(Claim(rule, f"{statement} {_at(where)}", outcome, sentence, family, about, of, by))
    return found


def one_method_is_best(tables: Tables, study: Study) -> list[Claim]:
    """The first heads of one method carry more of the answer than those of every other, and ablation says the same."""
    statement = "One method finds the heads that carry the answer best"
    return _in_each_setting(tables, study, "one_method_is_best", statement, "quality_tests", _best)


def _best(tables: Tables, study: Study, tests: pd.DataFrame, where: str) -> tuple[Outcome, str, Effect | None]:
    needed, carrying = modes(tables, study)
    main, level = carrying or needed, study.quality_level
    captured = tests[tests["measure"] == CAPTURED]
    first = standing(captured[captured["mode"] == main], study.alpha)
    if first is None:
        why = (
            NO_TWINS if carrying is None else "That takes two methods, and documents that agree on which heads matter."
        )
        return Outcome.UNDECIDED, f"{where}, no method's first {level} heads can be set against another's. {why}", None
    areas = {
        name: found
        for name in study.in_config_order("intervention", tests["intervention"])
        if (found := standing(tests[(tests["measure"] == AREA) & (tests["intervention"] == name)], study.alpha))
    }
    outcome, verdict = _verdict(study, first, areas, tests, carrying is not None)
    sentences = [
        _ahead(study, first, where, "carry" if carrying else "are needed for"),
        _close(study, first),
        *([_beside(study, captured[captured["mode"] == needed])] if carrying and needed else []),
        _by_area(study, areas),
        verdict,
    ]
    return outcome, " ".join(filter(None, sentences)), replace(effect_of(first.smallest, p=None), p=first.p)


def _verdict(
    study: Study, first: Standing, areas: dict[str, Standing], tests: pd.DataFrame, carried: bool
) -> tuple[Outcome, str]:
    name, alpha = study.label("method", first.method), study.alpha
    nearest = study.label("method", first.smallest["b"])
    matters = f"{points(study.smallest_effect)} points"
    if not carried:
        return Outcome.UNDECIDED, f"{NO_TWINS} So none is called best."
    if first.smallest["documents"] < MIN_UNITS:
        few = count(first.smallest["documents"], "document")
        return Outcome.UNDECIDED, f"With {few}, the data do not tell which is best."
    alike = bool(areas) and all(area.method == first.method and area.p < alpha for area in areas.values())
    if first.p < alpha and alike:
        return Outcome.SUPPORTED, f"Effects of heads and ablation agree: {name} is best."
    if first.p < alpha:
        ablated = tests[tests["measure"] == AREA]
        other = [area.method for area in areas.values() if area.method != first.method and area.p < alpha]
        if other and len(against(ablated, first.method)):
            rival = study.label("method", other[0])
            return Outcome.CONTRADICTED, f"Effects of heads name {name}, and ablation {rival}: neither is best."
        missing = not len(against(ablated, first.method))
        why = "its first heads were not ablated beside others'" if missing else "ablation does not show the same"
        return Outcome.UNDECIDED, f"{name} is not called best, as {why}."
    if first.smallest["difference_high"] < study.smallest_effect:
        return Outcome.CONTRADICTED, f"That {name} is {matters} ahead of {nearest} is ruled out: none is best."
    return Outcome.UNDECIDED, f"The data do not tell which is best; {matters} between the first two are not ruled out."


def _ahead(study: Study, first: Standing, where: str, what: str) -> str:
    row = first.smallest
    return (
        f"{where}, the first {study.quality_level} heads of {study.label('method', first.method)} capture most of what "
        f"heads {what}. They are ahead of those of {study.label('method', row['b'])}, the next, by "
        f"{points(row['difference'])} points ({interval(row, 'difference')}; largest p of its tests "
        f"{p_value(first.p)}; {count(row['prompts'], 'prompt')} from {count(row['documents'], 'document')})."
    )


def _close(study: Study, first: Standing) -> str:
    names = [study.label("method", name) for name in study.in_config_order("method", first.close)]
    if not names:
        return "Every other method is told apart from it."
    if len(names) > MANY:
        return f"{len(names)} methods are not told apart from it."
    return f"Not told apart from it: {listed(names)}."


def _beside(study: Study, tests: pd.DataFrame) -> str:
    if (first := standing(tests, study.alpha)) is None:
        return ""
    name = study.label("method", first.method)
    return f"Of what is needed for whatever reason, {name} captures most (largest p {p_value(first.p)})."


def _by_area(study: Study, areas: dict[str, Standing]) -> str:
    """Whose first heads cost most beyond others, by intervention, and under which of several that is sure."""
    if not areas:
        return ""
    if len(areas) == 1:
        (area,) = areas.values()
        ahead = f"{hundredths(area.smallest['difference'])} ahead of {study.label('method', area.smallest['b'])}"
        name = study.label("method", area.method)
        return f"By ablation, {name} has the largest area, {ahead} (largest p {p_value(area.p)})."
    leads: dict[str, list[str]] = {}
    for name, area in areas.items():
        lead = hundredths(area.smallest["difference"])
        leads.setdefault(area.method, []).append(f"{lead} ahead under “{study.label('intervention', name)}”")
    first = listed([f"{study.label('method', method)} ({'; '.join(of)})" for method, of in leads.items()])
    sure = [f"“{study.label('intervention', name)}”" for name, area in areas.items() if area.p < study.alpha]
    under = f"{len(sure)} of {len(areas)} ({'; '.join(sure)})" if sure else "none of them"
    return f"By ablation, the largest area is that of {first}. The lead is significant under {under}."


def some_heads_are_needed_and_carry_nothing(tables: Tables, study: Study) -> list[Claim]:
    """An answer needs some heads that work alike whatever it is."""
    statement, rule = "Some heads are needed and carry nothing of the answer", "some_heads_are_needed_and_carry_nothing"
    return _in_each_setting(tables, study, rule, statement, "needed_or_carrying", _needed_alone)


def _needed_alone(tables: Tables, study: Study, pairs: pd.DataFrame, where: str) -> tuple[Outcome, str, Effect | None]:
    if pairs.empty:
        return Outcome.UNDECIDED, f"{where}, no head has both numbers. {missing(tables, study)}", None
    asked = f"{count(pairs['prompts'].iloc[0], 'prompt')} from {count(pairs['documents'].iloc[0], 'document')}"
    only = pairs[pairs["role"] == NEEDED_ONLY].sort_values("needed", ascending=False, kind="stable")
    backed = pairs[pairs["role"] == BACKED_UP].sort_values("carrying", ascending=False, kind="stable")
    needed = pairs[pairs["p_family"].notna() & (pairs["needed_low"] > 0)]
    by = Effect(float(len(only)), None, None, "heads")
    sentence = (
        f"{where}, {len(only) or 'none'} of {count(len(pairs), 'head')} {'is' if len(only) == 1 else 'are'} needed and "
        f"shown to carry nothing ({'; '.join([*_named(only), asked])}). "
        f"Shown to carry more than is needed of them: {len(backed) or 'none'}"
        f"{''.join(f' ({named})' for named in _named(backed))}."
    )
    if pairs["documents"].iloc[0] < MIN_UNITS:
        return Outcome.UNDECIDED, f"{sentence} So few documents do not tell.", by
    if len(only):
        return Outcome.SUPPORTED, sentence, by
    if len(needed) and (needed["carrying_low"] > SMALL * needed["needed"]).all():
        share = percent(SMALL)
        every = f"Each of the {count(len(needed), 'head')} that are needed carries at least {share} of its need."
        return Outcome.CONTRADICTED, f"{sentence} {every}", by
    return Outcome.UNDECIDED, f"{sentence} That some head is needed alone is not ruled out.", by


def _named(heads: pd.DataFrame) -> list[str]:
    """The first of these heads with what is needed of each and what it carries, in one piece or none."""
    if heads.empty:
        return []
    first = [
        f"{head_name(row.layer, row.head)} {hundredths(row.needed)} / {hundredths(row.carrying)}"
        for row in heads.head(_NAMED).itertuples()
    ]
    return [f"{'first ' if len(heads) > _NAMED else ''}{', '.join(first)}, in nats needed / carried"]


def settings(tables: Tables, study: Study) -> Iterator[tuple[tuple, str]]:
    """Each model and context length of the yardstick, with how a sentence begins that is about it."""
    summary = tables.get("head_effect_summary")
    if summary is None:
        return
    for model in study.in_config_order("model", summary["model"]):
        of_model = summary[summary["model"] == model]
        for length in study.in_config_order("context_length", of_model["context_length"]):
            yield (model, length), f"In {study.label('model', model)} at {study.label('context_length', length)}"


def of_setting(frame: pd.DataFrame, model: str, length: int) -> pd.DataFrame:
    """The rows about a model at a context length."""
    return frame[(frame["model"] == model) & (frame["context_length"] == length)]


def _at(where: str) -> str:
    return where[:1].lower() + where[1:]

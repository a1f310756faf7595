"""The answer in three sentences: which heads matter, which method finds them, and how sure all that is.

Each has a form for every outcome, and for what a study may lack: ablation, random heads, a yardstick, a second method
or model.
"""

from collections.abc import Sequence

import pandas as pd

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.overlap import grids
from retrieval_heads.analysis.ranking_quality import Standing, standing
from retrieval_heads.findings.claims import Claim, Outcome
from retrieval_heads.findings.claims.quality import modes, of_setting, settings
from retrieval_heads.findings.sections.blocks import Answer, Said, Tables
from retrieval_heads.findings.sections.parts import in_order, mean_drops
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    MANY,
    count,
    fewer_heads,
    interval,
    least_and_most,
    listed,
    p_value,
    percent,
    points,
)
from retrieval_heads.tables.heads import by_grid, head_name
from retrieval_heads.tables.ranking_quality import AREA, CAPTURED
from retrieval_heads.tables.select import at_level, controls_beside, of_intervention, select, strictest_control

TABLES: dict[str, dict[str, int]] = {
    "against_random": {},
    "effects": {},
    "profiles": {},
    "quality_tests": {"documents": 1},
    "rankings": {},
}

_FIRST = 3
"""How many heads are named of a ranking."""


def answer(study: Study, tables: Tables, every: Sequence[Claim], signs: int) -> Answer:
    """Which heads, which method, how sure.

    Parameters
    ----------
    every : all claims of the study.
    signs : how many signs of trouble there are.
    """
    headline = of_intervention(tables, study.headline)
    return Answer(
        [
            _which_heads(study, headline, every),
            _which_method(study, headline, tables, every),
            _how_sure(headline, every, signs),
        ]
    )


def _of(rule: str, every: Sequence[Claim]) -> list[Claim]:
    return [claim for claim in every if claim.rule == rule]


# --- which heads ---------------------------------------------------------------------------------------------------


def _which_heads(study: Study, tables: Tables, every: Sequence[Claim]) -> Said:
    claims = {
        (claim.of["model"], claim.of["method"]): claim for claim in _of("top_heads_matter_more_than_random", every)
    }
    models = study.in_config_order("model", [model for model, _ in claims])
    if not claims:
        return Said("No heads were ablated, so it is not known whether any matter", _ranked_first(study, tables))
    if len(models) > 1:
        return _in_models(study, tables, claims, models)
    (model,) = models
    level, outcomes = study.level(tables["effects"]), {claim.outcome for claim in claims.values()}
    if (shown := _shown(study, tables, claims, model)) is None:
        return Said(f"It is not known whether any heads matter, as no method's top {level} were ablated")
    top, random, method = shown
    layers, heads = grids(tables["rankings"])[model]
    number, name = f"top {level} of {layers * heads:,} heads", study.label("method", method)
    first = _first_heads(tables, model, method)
    if random is None:
        return Said(
            f"Whether the {number} by {name}{first} matter is open: {percent(top['accuracy'])} of answers are right "
            "without them, and no random heads were ablated",
            f"{percent(top['baseline'])} with all heads",
        )
    right = f"{percent(top['accuracy'])} of answers are right, without random ones {percent(random['accuracy'])}"
    behind = _difference(study, random, fewer_heads(top["size"], level))
    if Outcome.SUPPORTED in outcomes:
        return Said(f"The {number} by {name}{first} matter: without them {right}", behind)
    behind = f"without those of {name}{first} {right}; {behind}"
    if outcomes == {Outcome.CONTRADICTED}:
        return Said(f"The {number} of no method matter more than random ones", behind)
    return Said(f"No method's {number} are shown to matter more than random ones", behind)


def _shown(
    study: Study, tables: Tables, claims: dict[tuple, Claim], model: str
) -> tuple[pd.Series, pd.Series | None, str] | None:
    """What the sentence about a model shows: its effects, those of random heads if there are any, and the method.

    None where no top heads were ablated at the level of headlines.

    It is the method whose top heads cost most beyond random ones, of those whose claim is supported if there are any.
    """
    effects = at_level(select(tables["effects"], pooled=("question", "context_length")), study.level(tables["effects"]))
    effects = effects[effects["model"] == model]
    controls = controls_beside(tables["against_random"], effects)
    supported = [method for (of, method), claim in claims.items() if of == model and claim.outcome is Outcome.SUPPORTED]
    found: list[tuple[bool, float, pd.Series, pd.Series | None, str]] = []
    for method in study.in_config_order("method", effects["method"]):
        top, beside = effects[effects["method"] == method].iloc[0], controls[controls["method"] == method]
        random = strictest_control(beside, top) if len(beside) else None
        costs = top["drop"] if random is None else random["difference"]
        if method in supported or not supported:
            found.append((random is not None, costs, top, random, method))
    return max(found, key=lambda one: one[:2])[2:] if found else None


def _in_models(study: Study, tables: Tables, claims: dict[tuple, Claim], models: list[str]) -> Said:
    """The same of several models."""
    level = study.level(tables["effects"])
    matter = [m for m in models if any(c.outcome is Outcome.SUPPORTED for (of, _), c in claims.items() if of == m)]
    told = []
    for model in (matter or models)[:MANY]:
        if (shown := _shown(study, tables, claims, model)) is None:
            continue
        top, random, method = shown
        beside = "" if random is None else f", without random ones {percent(random['accuracy'])}"
        told.append(
            f"{study.label('model', model)} without those of {study.label('method', method)}"
            f"{_first_heads(tables, model, method)} is right in {percent(top['accuracy'])}{beside}"
        )
    behind = "; ".join(told)
    if not matter:
        return Said(f"In none of {len(models)} models are a method's top {level} heads shown to matter", behind)
    where = f"each of {len(models)}" if len(matter) == len(models) else f"{len(matter)} of {len(models)}"
    return Said(f"In {where} models, a method's top {level} heads matter more than random ones", behind)


def _first_heads(tables: Tables, model: str, method: str) -> str:
    """The heads that a method ranks first on average, in brackets; nothing where it tells none apart."""
    rows = head_profiles.select(tables["profiles"], "model", method=method, value=str(model))
    names = [head_name(row.layer, row.head) for row in head_profiles.leading(rows, _FIRST).itertuples()]
    return f" (first {listed(names)})" if names else ""


def _ranked_first(study: Study, tables: Tables) -> str:
    """The first heads of each method."""
    pairs = tables["rankings"][["model", "method"]].drop_duplicates()
    named = [
        f"{study.label('method', method)} in {study.label('model', model)}{_first_heads(tables, model, method)}"
        for (model, method), _ in in_order(study, pairs, ["model", "method"])
    ]
    return "; ".join(named[:MANY])


def _difference(study: Study, random: pd.Series, fewer: str) -> str:
    p = "" if pd.isna(random["p_holm"]) else f", Holm p {p_value(random['p_holm'])}"
    how = f"; {study.label('intervention', study.headline)}" if len(study.interventions) > 1 else ""
    difference = f"{points(random['difference'])} points, 95% interval {interval(random, 'difference')}{p}"
    return f"a difference of {difference}{how}{fewer and ';'}{fewer.replace('(', '').replace(')', '')}"


# --- which method --------------------------------------------------------------------------------------------------


def _which_method(study: Study, headline: Tables, tables: Tables, every: Sequence[Claim]) -> Said:
    methods = study.in_config_order("method", tables["rankings"]["method"])
    if len(methods) < 2:
        named = listed([study.label("method", method) for method in methods]) or "no method"
        return Said(f"Heads are ranked by {named} alone, so no method is held against another")
    found = []
    for ((model, length), where), claim in zip(settings(tables, study), _of("one_method_is_best", every), strict=True):
        tests = of_setting(tables["quality_tests"], model, length)
        needed, carrying = modes(tables, study)
        by_effects = tests[(tests["measure"] == CAPTURED) & (tests["mode"] == (carrying or needed))]
        by_area = tests[(tests["measure"] == AREA) & (tests["intervention"] == study.headline)]
        firsts = [standing(rows, study.alpha) for rows in (by_effects, by_area)]
        if firsts[0] is not None:
            found.append((claim.outcome, where.removeprefix("In "), firsts[0], firsts[1]))
    if not found:
        return _by_cost(study, headline, every)
    if len(found) > 1:
        return _in_settings(study, found)
    (outcome, _, first, area) = found[0]
    start = {
        Outcome.SUPPORTED: f"Of {len(methods)} methods, one is best",
        Outcome.CONTRADICTED: f"Of {len(methods)} methods, none is best",
        Outcome.UNDECIDED: f"Which of {len(methods)} methods is best is not decided",
    }[outcome]
    return Said(f"{start}: {_ahead(study, first, area, outcome)}", _lead(study, first))


def _ahead(study: Study, first: Standing, area: Standing | None, outcome: Outcome) -> str:
    name = study.label("method", first.method)
    if area is None:
        return f"{name} is first by single heads' effects"
    if area.method != first.method:
        return f"{name} is first by single heads' effects, {study.label('method', area.method)} by ablation"
    return f"{name} is first by single heads' effects and by ablation" + (
        "" if outcome is Outcome.SUPPORTED else ", if not surely"
    )


def _lead(study: Study, first: Standing) -> str:
    """By how much the first is ahead of the next."""
    row = first.smallest
    return (
        f"by effects, {points(row['difference'])} points ahead of {study.label('method', row['b'])}, 95% interval "
        f"{interval(row, 'difference')}, largest p {p_value(first.p)}"
    )


def _in_settings(study: Study, found: list[tuple[Outcome, str, Standing, Standing | None]]) -> Said:
    best = [one for one in found if one[0] is Outcome.SUPPORTED]
    told = "; ".join(f"{where}: {study.label('method', first.method)}" for _, where, first, _ in (best or found)[:MANY])
    if best:
        return Said(f"In {len(best)} of {len(found)} settings, one method is best", told)
    return Said(f"In none of {len(found)} settings is one method shown to be best", f"first by effects, {told}")


def _by_cost(study: Study, headline: Tables, every: Sequence[Claim]) -> Said:
    """By what ablation alone says of the methods."""
    claims = _of("methods_cost_differently", every)
    if not claims:
        return Said(
            "Which method finds them best is not known: neither heads' effects nor ablation were measured of two"
        )
    level, means = study.level(headline["effects"]), mean_drops(study, headline, "method")
    means = means[(means["source"] == "method") & (means["k"] == level)]
    # No mean is over models of different shape.
    by_shape = {grid: rows.set_index("value") for grid, rows in by_grid(means) if len(rows) > 1}
    ends = {grid: least_and_most(rows["drop"].to_dict()) for grid, rows in by_shape.items()}
    told = {grid: _costs(study, by_shape[grid], ends[grid]) for grid in ends}
    if len(claims) > 1:
        apart = sum(claim.outcome is Outcome.SUPPORTED for claim in claims)
        return Said(
            f"By ablation alone, some methods find better heads in {apart or 'none'} of {len(claims)} groups of models "
            "with equal grids",
            "; ".join(f"{grid}: {' to '.join(cost)}" for grid, cost in told.items()),
        )
    ((least, most),), (cost,) = ends.values(), told.values()
    if claims[0].outcome is Outcome.SUPPORTED:
        return Said(
            f"By ablation alone, the top {level} heads of {study.label('method', most)} cost most, and those of "
            f"{study.label('method', least)} least",
            "; ".join(cost),
        )
    verdict = {
        Outcome.CONTRADICTED: "no method finds better heads than another",
        Outcome.UNDECIDED: "no method is shown to find better heads than another",
    }[claims[0].outcome]
    return Said(f"By ablation alone, {verdict}", "; ".join(cost))


def _costs(study: Study, drops: pd.DataFrame, ends: tuple[str, str]) -> list[str]:
    """What the top heads of the methods cost that cost least and most, or of all where none costs more than another."""
    least, most = ends
    if drops["drop"][least] == drops["drop"][most]:
        return [f"each of {len(drops)} methods {_dropped(drops.loc[least])}"]
    return [f"{study.label('method', end)} {_dropped(drops.loc[end])}" for end in ends]


def _dropped(row: pd.Series) -> str:
    return f"{points(row['drop'])} points, 95% interval {interval(row, 'drop')}"


# --- how sure ------------------------------------------------------------------------------------------------------


def _how_sure(tables: Tables, every: Sequence[Claim], signs: int) -> Said:
    if not every:
        return Said("No claim could be made of these results")
    number = {outcome: sum(claim.outcome is outcome for claim in every) for outcome in Outcome}
    effects = tables["effects"]
    if effects.empty:
        rests = "from rankings alone"
    elif effects["documents"].isna().all():
        rests = f"from counts over {count(effects['prompts'].max(), 'prompt')}"
    else:
        rests = f"from {count(effects['documents'].max(), 'test document')}"
    trouble = f"with {count(signs, 'sign')} of trouble" if signs else "without a sign of trouble"
    return Said(
        f"Of {count(len(every), 'claim')}, {number[Outcome.SUPPORTED]} are supported, {number[Outcome.CONTRADICTED]} "
        f"contradicted and {number[Outcome.UNDECIDED]} not decided, {rests}, {trouble}"
    )

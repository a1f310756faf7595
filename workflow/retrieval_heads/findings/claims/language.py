"""Claims about the model's language with heads ablated: is retrieval lost, or is the model broken?"""

import math

import pandas as pd

from retrieval_heads.findings.claims.outcome import MIN_UNITS, Claim, Effect, Family, Outcome, Tables, decide
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    count,
    fewer_heads,
    interval,
    nats,
    p_value,
    percent,
    points,
    random_heads,
    setting,
)
from retrieval_heads.tables.guard import LANGUAGE_BROKEN, LANGUAGE_WHOLE, guard_at
from retrieval_heads.tables.select import at_level, controls_beside, select, strictest_control

TABLES: dict[str, dict[str, int]] = {"against_random": {}, "effects": {}, "guard": {"guard": 1}}


def ablation_takes_retrieval_alone(tables: Tables, study: Study) -> list[Claim]:
    """Ablating a method's top heads removes retrieval and not the model's language."""
    if "guard" not in tables or tables["effects"].empty:
        return []
    level = study.level(tables["effects"])
    effects = at_level(select(tables["effects"], pooled=("question", "context_length")), level)
    prose = guard_at(tables["guard"])
    prose = prose[prose["k"] == level]
    found = []
    for model in study.in_config_order("model", effects["model"]):
        for method in study.in_config_order("method", effects["method"]):
            top = effects[(effects["model"] == model) & (effects["method"] == method)]
            sets = prose[(prose["model"] == model) & (prose["method"] == method)]
            own = sets[sets["source"] == "method"]
            if top.empty or own.empty:
                continue
            random = _beside(controls_beside(tables["against_random"], top), top.iloc[0], sets)
            outcome, verdict = _decide(top.iloc[0], own.iloc[0], random, study)
            name, where = study.label("method", method), study.label("model", model)
            statement = f"Ablating the top {level} heads of {name} removes retrieval and not the language of {where}"
            sentence = (
                f"{_what(top.iloc[0], level, name, where)} It changes the log-probability of prose by "
                f"{_prose(own.iloc[0], random)} {verdict}."
            )
            family = Family(f"Ablating a method's top {level} heads removes retrieval and not the language of {where}")
            of = {"model": model, "method": method, "k": level}
            effect = _change(own.iloc[0])
            found.append(
                Claim("ablation_takes_retrieval_alone", statement, outcome, sentence, family, name, of, effect)
            )
    return found


def _change(prose: pd.Series) -> Effect:
    """What tells lost retrieval from a broken model: how much less likely prose becomes."""
    return Effect(float(prose["change"]), None, None, "nats")


def _beside(random: pd.DataFrame, top: pd.Series, sets: pd.DataFrame) -> pd.Series | None:
    """Random heads, in accuracy (as a row of against_random) and with their change of prose; the strictest control."""
    sets = sets[sets["source"] == "random"].set_index("matching")
    random = random[random["matching"].isin(sets.index)]
    if random.empty:
        return None
    row = strictest_control(random, top)
    return pd.concat([row, sets.loc[row["matching"]][["change"]]])


def _decide(top: pd.Series, prose: pd.Series, random: pd.Series | None, study: Study) -> tuple[Outcome, str]:
    if -prose["change"] >= LANGUAGE_BROKEN:
        return Outcome.CONTRADICTED, "The model is broken, so what is lost is not retrieval alone"
    if top["documents"] < MIN_UNITS:
        return Outcome.UNDECIDED, "There are too few documents to say what retrieval has lost"
    if top["drop_high"] < study.smallest_effect:
        return Outcome.CONTRADICTED, f"A loss of {points(study.smallest_effect)} points of accuracy is ruled out"
    if not (top["p_holm"] < study.alpha and top["drop"] > 0):
        return Outcome.UNDECIDED, "A loss of accuracy is not significant, and not ruled out"
    if -prose["change"] <= LANGUAGE_WHOLE and -prose["lowest"] < LANGUAGE_BROKEN:
        return Outcome.SUPPORTED, "Retrieval is lost, and language is not"
    if random is not None and prose["lowest"] > -LANGUAGE_BROKEN:
        alike = random["change"] - prose["change"] <= LANGUAGE_WHOLE
        if alike and decide(random, study, units="documents") is Outcome.SUPPORTED:
            return Outcome.SUPPORTED, (
                "Language suffers about as much with random heads, which leave accuracy at "
                f"{percent(random['accuracy'])}: what the top heads take beyond that is retrieval"
            )
    return Outcome.UNDECIDED, "Language suffers too, so that lost retrieval is not told from lost language"


def _what(top: pd.Series, level: int, name: str, where: str) -> str:
    fewer = fewer_heads(top["size"], level)
    p = f"; Holm p {p_value(top['p_holm'])}" if pd.notna(top["p_holm"]) else ""
    guess = f"guessing gives {percent(top['guess'])}; " if pd.notna(top["guess"]) else ""
    return (
        f"Ablating the top {level} heads{fewer} of {name} in {where} takes accuracy from {percent(top['baseline'])} "
        f"to {percent(top['accuracy'])} ({guess}a drop of {points(top['drop'])} points, 95% interval "
        f"{interval(top, 'drop')}{p})."
    )


def _prose(own: pd.Series, random: pd.Series | None) -> str:
    lowest = f"; lowest {nats(own['lowest'])}" if own["sets"] > 1 else ""
    numbers = f"{nats(own['change'])} nats per token (mean over {count(own['sets'], 'set')} of heads{lowest})."
    if random is None:
        return numbers
    return f"{numbers} Ablating {random_heads(random)} changes it by {nats(random['change'])}."


def ablation_breaks_no_model(tables: Tables, study: Study) -> list[Claim]:
    """No set of heads that was ablated breaks the model's language."""
    if "guard" not in tables:
        return []
    sets = tables["guard"]
    sets = sets[sets["source"].isin(["method", "equal", "random"])].sort_values(["change", "k"], kind="stable")
    if sets.empty:
        return []
    statement = "No set of heads that was ablated breaks the model's language"
    broken, hurt = sets[-sets["change"] >= LANGUAGE_BROKEN], sets[-sets["change"] > LANGUAGE_WHOLE]
    every, worst = f"{count(len(sets), 'ablated set')} of heads", _set(study, sets.iloc[0])
    most = f"The largest loss is with {worst}" if sets["change"].iloc[0] < 0 else "None lowers it at all"
    if len(broken):
        outcome = Outcome.CONTRADICTED
        sentence = (
            f"{len(broken)} of {every} break the model. To it, ordinary prose becomes at least "
            f"{math.exp(LANGUAGE_BROKEN):.1f} times less likely, token by token. Answers lost with these sets say "
            f"nothing about retrieval. {most}."
        )
    elif len(hurt):
        outcome = Outcome.UNDECIDED
        sentence = (
            f"{len(hurt)} of {every} lower the log-probability of prose by more than {LANGUAGE_WHOLE:g} nats per "
            f"token. None lowers it by {LANGUAGE_BROKEN:g}. {most}."
        )
    else:
        outcome = Outcome.SUPPORTED
        sentence = (
            f"None of {every} lowers the log-probability of prose by more than {LANGUAGE_WHOLE:g} nats per token. "
            f"{most}."
        )
    return [Claim("ablation_breaks_no_model", statement, outcome, sentence, effect=_change(sets.iloc[0]))]


def _set(study: Study, row: pd.Series) -> str:
    number = f"{row['size']} head" if row["size"] == 1 else f"{row['size']} heads"
    which = f"{number} drawn at random to match those of" if row["source"] == "random" else f"the top {number} of"
    change = f"{nats(row['change'])} nats per token"
    return f"{which} {study.label('method', row['method'])} ({setting(study, row)}: {change})"

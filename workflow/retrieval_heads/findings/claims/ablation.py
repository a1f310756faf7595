"""What the report says of accuracy with heads cut."""

import pandas as pd

from retrieval_heads.analysis.overlap import unequal_totals
from retrieval_heads.findings.claims.outcome import (
    MIN_UNITS,
    Claim,
    Outcome,
    Tables,
    decide,
    decide_all,
    in_words,
    of_tests,
)
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    change,
    count,
    fewer_heads,
    interval,
    listed,
    of_same_layers,
    p_value,
    percent,
    points,
    setting,
)
from retrieval_heads.tables.select import at, at_level, beside, strictest
from retrieval_heads.tables.tests import AGAINST_RANDOM, DROP

USABLE_BASELINE = 0.5
"""The unablated accuracy from which on a cut has enough right answers to take away."""

_POOLED = ("question", "context_length")


def baseline_is_usable(tables: Tables, study: Study) -> list[Claim]:
    """Uncut, the model is right often enough for a cut to show."""
    found = []
    effects = at(tables["effects"], pooled=_POOLED)
    for model in study.in_config_order("model", effects["model"]):
        row = effects[effects["model"] == model].sort_values("prompts").iloc[-1]
        name = study.label("model", model)
        start = f"With no head cut, {name} answers {percent(row['baseline'])} of the test prompts correctly"
        numbers = f"(95% interval {interval(row, 'baseline')}%; {_size(row)})"
        if row["baseline_low"] >= USABLE_BASELINE and not _too_few(row):
            outcome, end = Outcome.SUPPORTED, "which leaves a cut enough to take away"
        elif row["baseline_high"] < USABLE_BASELINE and not _too_few(row):
            outcome, end = Outcome.CONTRADICTED, "too few for a cut to show what a head does"
        else:
            outcome = Outcome.UNDECIDED
            end = f"which does not tell whether it can answer {percent(USABLE_BASELINE)} of such prompts"
        statement = f"{name} answers enough test prompts for a cut to show"
        if unknown := _unseen(tables, effects=at(tables["effects"], model=model), model=model):
            outcome, end = (Outcome.UNDECIDED, f"but {unknown}") if outcome is Outcome.SUPPORTED else (outcome, end)
        found.append(Claim("baseline_is_usable", statement, outcome, f"{start} {numbers}, {end}."))
    return found


def every_question_is_answered(tables: Tables, study: Study) -> list[Claim]:
    """Uncut, the model answers at least half of the prompts of every question at every length."""
    cells = at(tables["effects"]).drop_duplicates(["model", "question", "context_length"])
    if cells.empty:
        return []
    weak = cells[cells["baseline_high"] < USABLE_BASELINE].sort_values("baseline", kind="stable")
    unsure = cells[(cells["baseline_low"] < USABLE_BASELINE) & (cells["baseline_high"] >= USABLE_BASELINE)]
    statement = f"The uncut model answers at least {percent(USABLE_BASELINE)} of each question's prompts at each length"
    worst = cells.sort_values("baseline", kind="stable").iloc[0]
    lowest = f"{percent(worst['baseline'])} ({interval(worst, 'baseline')}%) for {setting(study, worst)}"
    if len(weak):
        outcome = Outcome.CONTRADICTED
        named = listed([f"{setting(study, row)} ({percent(row['baseline'])})" for _, row in weak.head(4).iterrows()])
        more = f", and {len(weak) - 4} more" if len(weak) > 4 else ""
        sentence = (
            f"In {len(weak)} of {count(len(cells), 'cell')} the uncut model is right less than half of the time, "
            f"so that little is left for a cut to take: {named}{more}."
        )
    elif len(unsure):
        outcome = Outcome.UNDECIDED
        sentence = (
            f"In {len(unsure)} of {count(len(cells), 'cell')} it is open whether the uncut model is right at least "
            f"half of the time; the lowest accuracy is {lowest}."
        )
    else:
        outcome = Outcome.SUPPORTED
        sentence = (
            f"In each of {count(len(cells), 'cell')} of question, length and model the uncut model is right more than "
            f"half of the time; the lowest accuracy is {lowest}."
        )
    return [Claim("every_question_is_answered", statement, *_of_all(tables, cells, outcome, sentence))]


def baseline_is_above_guessing(tables: Tables, study: Study) -> list[Claim]:
    """With the document, the uncut model answers more prompts of each question and length than without it."""
    cells = at(tables["effects"]).drop_duplicates(["model", "question", "context_length"])
    cells = cells[cells["headroom"].notna()].sort_values("headroom", kind="stable")
    if cells.empty:
        return []
    statement = "With the document, the model answers more prompts of each question at each length than by guessing"
    few = cells.apply(_too_few, axis=1)
    idle = cells[(cells["headroom"] <= 0) & ~few]
    unsure = cells[(cells["headroom_low"] <= 0) | few]
    lowest = _above_guessing(study, cells.iloc[0])
    if len(idle):
        outcome = Outcome.CONTRADICTED
        named = listed([_above_guessing(study, row) for _, row in idle.head(4).iterrows()])
        more = f", and {len(idle) - 4} more" if len(idle) > 4 else ""
        sentence = (
            f"In {len(idle)} of {count(len(cells), 'cell')} the document does not help the whole model, so that there "
            f"is no retrieval to ablate: {named}{more}."
        )
    elif len(unsure):
        outcome = Outcome.UNDECIDED
        sentence = (
            f"In {len(unsure)} of {count(len(cells), 'cell')} it is open whether the document helps the whole model; "
            f"least of all for {lowest}."
        )
    else:
        outcome = Outcome.SUPPORTED
        sentence = (
            f"In each of {count(len(cells), 'cell')} of question, length and model the whole model is right more often "
            f"with the document than without it; least of all for {lowest}."
        )
    return [Claim("baseline_is_above_guessing", statement, *_of_all(tables, cells, outcome, sentence))]


def _of_all(tables: Tables, cells: pd.DataFrame, outcome: Outcome, sentence: str) -> tuple[Outcome, str]:
    """What holds in the cells with ablated heads, where it is claimed of all that were asked."""
    if outcome is Outcome.SUPPORTED and (unknown := _unseen(tables, cells)):
        return Outcome.UNDECIDED, f"{sentence.removesuffix('.')}; {unknown}."
    return outcome, sentence


def _unseen(tables: Tables, effects: pd.DataFrame, **values: str) -> str:
    """Says in how many cells no top heads were ablated, as where ties leave every top set empty; else nothing."""
    if "ablation_summary" not in tables:
        return ""
    asked = tables["ablation_summary"]
    asked = asked[asked["source"] == "baseline"]
    for name, value in values.items():
        asked = asked[asked[name] == value]
    cell = ["model", "question", "context_length"]
    missing = len(asked[cell].drop_duplicates()) - len(effects[cell].drop_duplicates())
    return (
        f"in {count(missing, 'further cell')} no top heads were ablated, and nothing is said of them" if missing else ""
    )


def _above_guessing(study: Study, row: pd.Series) -> str:
    return (
        f"{setting(study, row)} ({percent(row['baseline'])}, by guessing {percent(row['guess'])}; difference "
        f"{change(row['headroom'])} points, {interval(row, 'headroom')})"
    )


def top_heads_matter_more_than_random(tables: Tables, study: Study) -> list[Claim]:
    """Cutting a method's top heads costs more than cutting as many random ones (of the same layers, if drawn)."""
    if tables["effects"].empty:
        return []
    level = study.level(tables["effects"])
    effects = at_level(at(tables["effects"], pooled=_POOLED), level)
    controls = beside(tables["against_random"], effects)
    found = []
    for model in study.in_config_order("model", tables["effects"]["model"]):
        for method in study.in_config_order("method", tables["effects"]["method"]):
            name, where = study.label("method", method), study.label("model", model)
            statement = f"The top {level} heads of {name} matter more than random ones in {where}"
            top = effects[(effects["model"] == model) & (effects["method"] == method)]
            random = controls[(controls["model"] == model) & (controls["method"] == method)]
            if top.empty or random.empty:
                missing = "its top heads were not cut" if top.empty else "no random heads were cut beside its top ones"
                sentence = f"Nothing can be said about the top {level} heads of {name} in {where}: {missing}."
                outcome = Outcome.UNDECIDED
            else:
                control = strictest(random, top.iloc[0])
                outcome, sentence = _against_random(tables, top.iloc[0], control, name, level, study)
            found.append(Claim("top_heads_matter_more_than_random", statement, outcome, sentence))
    return found


def _against_random(
    tables: Tables, top: pd.Series, random: pd.Series, name: str, level: int, study: Study
) -> tuple[Outcome, str]:
    layers = of_same_layers(random["matched"]) if random["matching"] == "layer" else ""
    fewer = fewer_heads(top["size"], level)
    draws = "" if random["draws"] > 1 else " (drawn once)"
    if random["prompts"] < top["prompts"]:
        draws += f" (there are some for {count(random['prompts'], 'prompt')} of {top['prompts']})"
    what = (
        f"Cutting the top {level} heads{fewer} of {name} in {study.label('model', top['model'])} takes accuracy from "
        f"{percent(top['baseline'])} to {percent(top['accuracy'])}, "
        f"cutting as many random heads{layers}{draws} to {percent(random['accuracy'])}"
    )
    if pd.isna(random["p_holm"]):  # counts alone: the test is over configurations
        same = {"a": random["matching"], "b": random["model"], "method": random["method"], "k": level}
        tests = of_tests(tables, AGAINST_RANDOM, **same)
        test = tests.iloc[0] if len(tests) else None
        outcome = Outcome.UNDECIDED if test is None else decide(test, study)
        p = "" if test is None else f"{in_words(test)}; "
        few = test is None or test["units"] < MIN_UNITS
    else:
        outcome, p, few = decide(random, study, units="documents"), f"Holm p {p_value(random['p_holm'])}; ", False
    few = few or _too_few(random)
    difference = (
        f"{points(random['difference'])} points (95% interval {interval(random, 'difference')}; {p}{_size(random)})"
    )
    matters = f"{points(study.smallest_effect)} points"
    verdict = {
        Outcome.SUPPORTED: f"the top heads cost more, by {difference}",
        Outcome.CONTRADICTED: f"the top heads do not cost {matters} more: the difference is {difference}",
        Outcome.UNDECIDED: f"the difference of {difference} is not significant, nor is one of {matters} ruled out",
    }[outcome]
    if outcome is Outcome.UNDECIDED and few:
        verdict = f"the difference of {difference} comes from too few documents for a test"
    return outcome, f"{what}; {verdict}."


def questions_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """Q1: the same cut costs more accuracy for some questions than for others."""
    return _costs_differ(tables, study, "questions_cost_differently", "question", "questions")


def categories_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """Q3: the same cut costs more for some categories of questions."""
    return _costs_differ(tables, study, "categories_cost_differently", "category", "categories of questions")


def methods_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """The top heads of some methods cost more than those of others."""
    return _costs_differ(tables, study, "methods_cost_differently", "method", "methods")


def models_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """The same cut costs more in some models."""
    return _costs_differ(tables, study, "models_cost_differently", "model", "models")


def lengths_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """The same cut costs more at some context lengths."""
    return _costs_differ(tables, study, "lengths_cost_differently", "context_length", "context lengths")


def _costs_differ(tables: Tables, study: Study, rule: str, dimension: str, what: str) -> list[Claim]:
    if tables["effects"].empty:
        return []
    level = study.level(tables["effects"])
    means = tables["mean_drops"]
    means = means[(means["grouping"] == dimension) & (means["source"] == "method") & (means["k"] == level)]
    if len(means) < 2:
        return []
    statement = f"Cutting the top {level} heads costs more accuracy for some {what} than for others"
    values = study.in_config_order(dimension, _typed(dimension, means))
    means = means.set_index("value").loc[[str(value) for value in values]]
    total = unequal_totals(tables["rankings"]) if dimension == "model" else {}
    of = {model: f" (of its {number:,} heads)" for model, number in total.items()}
    numbers = listed(
        [
            f"{study.label(dimension, value)}{of.get(value, '')} {points(row['drop'])} ({interval(row, 'drop')})"
            for value, row in means.iterrows()
        ]
    )
    tests = of_tests(tables, DROP, dimension=dimension, k=level)
    start = f"With the top {level} heads cut, the mean drop in points (95% interval) is {numbers}"
    outcome, test = decide_all(tests, study)
    matters = f"{points(study.smallest_effect)} points"
    if test is None:
        end = "there are too few units for a test"
    else:
        # The means are of whole top sets; where ties end some early, the test is about fewer heads of each.
        equal = "at equal size " if pd.notna(test["size_least"]) and test["size_least"] < level else ""
        end = {
            Outcome.SUPPORTED: f"{equal}they differ ({in_words(test)})",
            Outcome.CONTRADICTED: f"{equal}no two differ by {matters} or more ({in_words(test)})",
            Outcome.UNDECIDED: f"{equal}no difference is found ({in_words(test)}), nor is one of {matters} ruled out",
        }[outcome]
    pairs = tests[tests["a"].notna()]
    apart = pairs[(pairs["p_holm"] < study.alpha) & (pairs["units"] >= MIN_UNITS)]
    if test is not None and outcome is Outcome.SUPPORTED and pd.isna(test["a"]):
        named = [
            f"{study.label(dimension, row['a'])} against {study.label(dimension, row['b'])} "
            f"({change(row['difference'])} points, {interval(row, 'difference')}; Holm p {p_value(row['p_holm'])})"
            for _, row in apart.head(3).iterrows()
        ]
        end += f"; of single pairs, {listed(named)}" if named else "; no single pair does after correction"
    return [Claim(rule, statement, outcome, f"{start}; {end}.")]


def deeper_cuts_cost_more(tables: Tables, study: Study) -> list[Claim]:
    """Accuracy falls, or stays, with each further head that is cut."""
    steps = at(tables["steps"])
    if steps.empty:
        return []
    statement = "Accuracy never recovers when more heads are cut"
    rising = steps[steps["change"] > 0].sort_values(["change", "k"], ascending=[False, True], kind="stable")
    beyond = rising[rising["p_holm"] < study.alpha]
    start = (
        f"Of {count(len(steps), 'step')} from one number of heads to the next, {len(rising) or 'none'} raise accuracy"
    )
    if len(beyond):
        outcome = Outcome.CONTRADICTED
        named = listed([_recovery(study, row) for _, row in beyond.head(3).iterrows()])
        end = f"{len(beyond)} of them significantly (Holm over all steps), most of all {named}"
    elif (steps["change_high"] < study.smallest_effect).all():
        outcome = Outcome.SUPPORTED
        end = f"none by {points(study.smallest_effect)} points, as their intervals show"
    else:
        outcome = Outcome.UNDECIDED
        most = f"; the largest is {_recovery(study, rising.iloc[0])}" if len(rising) else ""
        end = f"none is significant (Holm over all steps), and intervals do not rule a recovery out{most}"
    return [Claim("deeper_cuts_cost_more", statement, outcome, f"{start}; {end}.")]


def _recovery(study: Study, row: pd.Series) -> str:
    return (
        f"{change(row['change'])} points ({interval(row, 'change')}) from {int(row['k_before'])} to {int(row['k'])} "
        f"heads of {study.label('method', row['method'])} for {setting(study, row)}"
    )


def _typed(dimension: str, means: pd.DataFrame) -> list:
    return [int(value) for value in means["value"]] if dimension == "context_length" else list(means["value"])


def _too_few(row: pd.Series) -> bool:
    # Counts alone do not tell how many documents there were; then the prompts stand in for them.
    units = row["documents"] if pd.notna(row["documents"]) else row["prompts"]
    return bool(units < MIN_UNITS)


def _size(row: pd.Series) -> str:
    prompts = count(row["prompts"], "prompt")
    return f"{prompts} from {count(row['documents'], 'document')}" if pd.notna(row["documents"]) else prompts

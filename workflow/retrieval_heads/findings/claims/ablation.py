"""Claims about accuracy with heads ablated."""

from collections.abc import Mapping

import pandas as pd

from retrieval_heads.analysis.overlap import unequal_totals
from retrieval_heads.analysis.shapes import at_equal_shares, equal_shares
from retrieval_heads.findings.claims.grids import for_each_grid
from retrieval_heads.findings.claims.outcome import (
    MIN_UNITS,
    Claim,
    Effect,
    Family,
    Outcome,
    Tables,
    decide,
    decide_all,
    effect_of,
    effect_of_all,
    in_words,
    of_tests,
    sample,
    too_few,
)
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    change,
    count,
    ends,
    fewer_heads,
    interval,
    listed,
    p_value,
    percent,
    points,
    random_heads,
    setting,
)
from retrieval_heads.tables.select import at_level, controls_beside, select, strictest_control
from retrieval_heads.tables.tests import AGAINST_RANDOM, DROP

TABLES: dict[str, dict[str, int]] = {
    "against_random": {},
    "effects": {},
    "mean_drops": {},
    "rankings": {},
    "steps": {},
    "tests": {},
}


def top_heads_matter_more_than_random(tables: Tables, study: Study) -> list[Claim]:
    """Ablating a method's top heads costs more than ablating as many random ones (of the same layers, if drawn).

    Where random heads were drawn key-value group by group too, the outcome must be the same against these.
    """
    if tables["effects"].empty:
        return []
    level = study.level(tables["effects"])
    effects = at_level(select(tables["effects"], pooled=("question", "context_length")), level)
    controls = controls_beside(tables["against_random"], effects)
    found = []
    for model in study.in_config_order("model", tables["effects"]["model"]):
        for method in study.in_config_order("method", tables["effects"]["method"]):
            name, where = study.label("method", method), study.label("model", model)
            top = effects[(effects["model"] == model) & (effects["method"] == method)]
            random = controls[(controls["model"] == model) & (controls["method"] == method)]
            if top.empty or random.empty:
                missing = "Its top heads" if top.empty else "No random heads beside its top ones"
                was = "were not ablated" if top.empty else "were ablated"
                sentence = f"Nothing can be said about the top {level} heads of {name} in {where}. {missing} {was}."
                outcome, effect = Outcome.UNDECIDED, None
            else:
                control = strictest_control(random, top.iloc[0])
                outcome, sentence, effect = _against_random(tables, top.iloc[0], control, name, level, study)
                for _, grouped in random[(random["matching"] == "group") & (control["matching"] != "group")].iterrows():
                    also, difference = _also(tables, grouped, level, study)
                    outcome = outcome if also is outcome else Outcome.UNDECIDED
                    sentence = f"{sentence} {difference}"
            statement = f"The top {level} heads of {name} matter more than random ones in {where}"
            family = Family(f"The top {level} heads of a method matter more than random ones in {where}")
            of = {"model": model, "method": method, "k": level}
            found.append(
                Claim("top_heads_matter_more_than_random", statement, outcome, sentence, family, name, of, effect)
            )
    return found


def _against_random(
    tables: Tables, top: pd.Series, random: pd.Series, name: str, level: int, study: Study
) -> tuple[Outcome, str, Effect]:
    limits = ["one draw"] if random["draws"] == 1 else []
    if random["prompts"] < top["prompts"]:
        limits.append(f"for {count(random['prompts'], 'prompt')} of {top['prompts']}")
    known = f" ({', '.join(limits)})" if limits else ""
    what = (
        f"Ablating the top {level} heads{fewer_heads(top['size'], level)} of {name} in "
        f"{study.label('model', top['model'])} takes accuracy from {percent(top['baseline'])} to "
        f"{percent(top['accuracy'])}. Ablating {random_heads(random)} takes it to {percent(random['accuracy'])}{known}."
    )
    outcome, numbers, few, effect = _decided(tables, random, level, study)
    difference, matters = f"{points(random['difference'])} points", f"{points(study.smallest_effect)} points"
    if outcome is Outcome.UNDECIDED and (few or too_few(random)):
        why = f"The difference of {difference} {numbers} comes from too few documents for a test."
        return outcome, f"{what} {why}", effect
    verdict = {
        Outcome.SUPPORTED: f"The top heads cost {difference} more {numbers}",
        Outcome.CONTRADICTED: f"The top heads do not cost {matters} more: the difference is {difference} {numbers}",
        Outcome.UNDECIDED: f"The difference of {difference} {numbers} is not significant, and one of {matters} is not "
        "ruled out",
    }[outcome]
    return outcome, f"{what} {verdict}.", effect


def _also(tables: Tables, random: pd.Series, level: int, study: Study) -> tuple[Outcome, str]:
    """The same against a further control."""
    outcome, numbers, *_ = _decided(tables, random, level, study)
    verdict = {
        Outcome.SUPPORTED: "The top heads cost more than these too",
        Outcome.CONTRADICTED: "The top heads do not cost more than these",
        Outcome.UNDECIDED: "Whether the top heads cost more than these too is not known",
    }[outcome]
    sentence = (
        f"Ablating {random_heads(random)} takes accuracy to {percent(random['accuracy'])}. {verdict}: the difference "
        f"is {points(random['difference'])} points {numbers}."
    )
    return outcome, sentence


def _decided(tables: Tables, random: pd.Series, level: int, study: Study) -> tuple[Outcome, str, bool, Effect]:
    """Whether top heads cost more than random ones, the numbers behind it, whether they are of too few units, and the
    difference."""
    if pd.isna(random["p_holm"]):  # counts alone: the test is over configurations
        same = {"a": random["matching"], "b": random["model"], "method": random["method"], "k": level}
        tests = of_tests(tables, AGAINST_RANDOM, **same)
        test = tests.iloc[0] if len(tests) else None
        outcome = Outcome.UNDECIDED if test is None else decide(test, study)
        p = "" if test is None else f"{in_words(test)}; "
        few = test is None or test["units"] < MIN_UNITS
        effect = effect_of({**random, "p_holm": None if test is None else test["p_holm"]})
    else:
        outcome, p, few = decide(random, study, units="documents"), f"Holm p {p_value(random['p_holm'])}; ", False
        effect = effect_of(random)
    return outcome, f"(95% interval {interval(random, 'difference')}; {p}{sample(random)})", few, effect


@for_each_grid
def questions_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """Q1: ablating as many heads costs more for some questions."""
    return _costs_differ(tables, study, "questions_cost_differently", "question", "questions")


@for_each_grid
def categories_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """Q3: ablating as many heads costs more for some categories of questions."""
    return _costs_differ(tables, study, "categories_cost_differently", "category", "categories of questions")


@for_each_grid
def methods_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """The top heads of some methods cost more than those of others."""
    return _costs_differ(tables, study, "methods_cost_differently", "method", "methods")


def models_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """Ablating as many heads costs more in some models."""
    return _costs_differ(tables, study, "models_cost_differently", "model", "models")


@for_each_grid
def lengths_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """Ablating as many heads costs more at some context lengths."""
    return _costs_differ(tables, study, "lengths_cost_differently", "context_length", "context lengths")


def _costs_differ(tables: Tables, study: Study, rule: str, dimension: str, plural: str) -> list[Claim]:
    if tables["effects"].empty:
        return []
    level = study.level(tables["effects"])
    means = tables["mean_drops"]
    means = means[(means["grouping"] == dimension) & (means["source"] == "method") & means["k"].notna()]
    total = unequal_totals(tables["rankings"]) if dimension == "model" else {}
    statement = f"Ablating {'an equal share of' if total else f'the top {level}'} heads costs more accuracy for some "
    statement += f"{plural} than for others"
    if total:
        means = at_equal_shares(means.assign(model=means["value"], own=means["k"]), total, "k")
    means = means[means["k"] == level]
    if len(means) < 2:
        return [_no_equal_share(rule, statement, level, total, study)] if total else []
    means = means.set_index("value").loc[
        [str(value) for value in study.in_config_order(dimension, _typed(dimension, means))]
    ]
    of = {model: f" ({means.loc[model, 'own']} of its {total[model]:,} heads)" for model in means.index if total}
    named = {
        value: f"{points(row['drop'])} ({interval(row, 'drop')}) for {study.label(dimension, value)}{of.get(value, '')}"
        for value, row in means.iterrows()
    }
    drops = ends(named, means["drop"].to_dict(), plural, "points, 95% interval")
    ablated = "equal shares of heads" if total else f"the top {level} heads"
    start = f"On average, ablating {ablated} costs {drops}"
    tests = of_tests(tables, DROP, dimension=dimension, k=level)
    outcome, test = decide_all(tests, study)
    if test is None:
        end = "There are too few units for a test"
    else:
        # The means are of whole top sets; where ties end some early, the test is about fewer heads of each.
        fewer = pd.notna(test["size_least"]) and test["size_least"] < level
        drops = "At equal set size, these drops" if fewer else "These drops"
        matters = f"{points(study.smallest_effect)} points"
        end = {
            Outcome.SUPPORTED: f"{drops} differ ({in_words(test)})",
            Outcome.CONTRADICTED: f"{drops} do not differ by {matters} or more ({in_words(test)})",
            Outcome.UNDECIDED: f"{drops} are not shown to differ ({in_words(test)}), and a difference of {matters} is "
            "not ruled out",
        }[outcome]
    sentence = f"{start}. {end}."
    if test is not None and outcome is Outcome.SUPPORTED and pd.isna(test["a"]):
        sentence += f" {_pairs_that_differ(tests, dimension, study)}"
    return [Claim(rule, statement, outcome, sentence, of={"k": level}, effect=effect_of_all(test))]


def _no_equal_share(rule: str, statement: str, level: int, total: Mapping[str, int], study: Study) -> Claim:
    """What is said where models differ in their number of heads, and no number that was ablated is a share of each."""
    wanted = [
        f"{number} of {total[model]:,} in {study.label('model', model)}"
        for model, number in equal_shares(level, total).items()
    ]
    sentence = (
        f"No equal share of the heads of each model was ablated. For the top {level} it would take {listed(wanted)} as "
        "levels."
    )
    return Claim(rule, statement, Outcome.UNDECIDED, sentence)


def _pairs_that_differ(tests: pd.DataFrame, dimension: str, study: Study) -> str:
    pairs = tests[tests["a"].notna()]
    apart = pairs[(pairs["p_holm"] < study.alpha) & (pairs["units"] >= MIN_UNITS)]
    if apart.empty:
        return "No single pair differs after correction."
    most = apart.sort_values("difference", key=abs, ascending=False, kind="stable").iloc[0]
    a, b = (study.label(dimension, most[end]) for end in ("a", "b"))
    differ = "1 differs," if len(apart) == 1 else f"{len(apart)} differ, most of all"
    return (
        f"Of {count(len(pairs), 'single pair')}, {differ} {a} from {b} ({change(most['difference'])} points, "
        f"{interval(most, 'difference')}; Holm p {p_value(most['p_holm'])})."
    )


def more_heads_cost_more(tables: Tables, study: Study) -> list[Claim]:
    """Accuracy falls, or stays, with each further head that is ablated."""
    steps = select(tables["steps"])
    if steps.empty:
        return []
    rising = steps[steps["change"] > 0].sort_values(["change", "k"], ascending=[False, True], kind="stable")
    significant = rising[rising["p_holm"] < study.alpha]
    start = (
        f"Accuracy rises at {len(rising) or 'none'} of {count(len(steps), 'step')} from one number of ablated heads to "
        "the next."
    )
    shown = steps.sort_values(["change", "k"], ascending=[False, True], kind="stable").iloc[0]
    if len(significant):
        outcome, shown = Outcome.CONTRADICTED, significant.iloc[0]
        end = f"At {len(significant)} of them it rises significantly (Holm over all steps)."
    elif (steps["change_high"] < study.smallest_effect).all():
        outcome = Outcome.SUPPORTED
        end = f"A rise of {points(study.smallest_effect)} points is ruled out at every step by its interval."
    else:
        outcome = Outcome.UNDECIDED
        none = "At none it rises significantly (Holm over all steps), but the" if len(rising) else "The"
        end = f"{none} intervals do not rule a recovery out."
    most = f"{'The largest rise' if shown['change'] > 0 else 'Nearest to a rise'} is {_step(study, shown)}."
    statement = "Accuracy never recovers when more heads are ablated"
    return [
        Claim("more_heads_cost_more", statement, outcome, f"{start} {end} {most}", effect=effect_of(shown, "change"))
    ]


def _step(study: Study, row: pd.Series) -> str:
    p = f"; Holm p {p_value(row['p_holm'])}" if pd.notna(row["p_holm"]) else ""
    return (
        f"{change(row['change'])} points ({interval(row, 'change')}{p}) from {int(row['k_before'])} to {int(row['k'])} "
        f"heads of {study.label('method', row['method'])} ({setting(study, row)})"
    )


def _typed(dimension: str, means: pd.DataFrame) -> list:
    return [int(value) for value in means["value"]] if dimension == "context_length" else list(means["value"])

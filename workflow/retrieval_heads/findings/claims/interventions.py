"""Claims about ablation where heads were ablated in several ways: what holds under each of them."""

from dataclasses import replace

from retrieval_heads.findings.claims import ablation, baseline, depths, language, variants
from retrieval_heads.findings.claims.outcome import Claim, Outcome, Rule, Tables
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, listed
from retrieval_heads.tables.select import at_level, of_intervention

TABLES: dict[str, dict[str, int]] = {"effects": {}}

_UNABLATED: tuple[Rule, ...] = (
    baseline.baseline_is_usable,
    baseline.every_question_is_answered,
    baseline.baseline_is_above_guessing,
    depths.depths_are_answered_differently,
)
"""The rules about the unablated model, which is the same whatever is done to others: the headline's documents tell."""

_AT_A_LEVEL: tuple[Rule, ...] = (
    ablation.top_heads_matter_more_than_random,
    ablation.questions_cost_differently,
    ablation.categories_cost_differently,
    ablation.methods_cost_differently,
    ablation.models_cost_differently,
    ablation.lengths_cost_differently,
    depths.depths_cost_differently,
    language.ablation_takes_retrieval_alone,
    variants.plain_heads_are_needed_in_variants,
    variants.damage_is_not_of_induction_heads_alone,
)
"""The rules about one number of ablated heads, the headline's: an intervention without it has no part in them."""

_SIGNS: tuple[Rule, ...] = (ablation.more_heads_cost_more, language.ablation_breaks_no_model)
"""The rules that look for signs of trouble, at any level: such a sign under any intervention is one."""


def judged(rule: Rule, tables: Tables, study: Study) -> list[Claim]:
    """The claims of a rule, over all interventions where it is about ablation.

    A claim has an outcome if it has it under every intervention, by the p values of what holds under each
    (:func:`~retrieval_heads.analysis.statistics.corrected`); else there is not enough data for it. That there is no
    sign of trouble is contradicted by one under any. An intervention under which nothing is known of it, as of prose
    that was not read, has no part in a claim, whose sentence says so. The sentence is about the headline (or the first
    intervention that has a part or such a sign), and then says what is found under which interventions, by p values
    that are corrected among them too.
    """
    if rule not in (*_UNABLATED, *_AT_A_LEVEL, *_SIGNS):
        return rule(tables, study)
    names = study.in_config_order("intervention", tables["effects"]["intervention"])
    if rule in _UNABLATED or len(names) < 2:
        return rule(of_intervention(tables, study.headline), study)
    if rule in _AT_A_LEVEL:
        level = study.level(of_intervention(tables, study.headline)["effects"])
        study = study.at_level(level)
        names = [name for name in names if len(at_level(of_intervention(tables, name)["effects"], level))]
    # Under each intervention for itself, and with the p values of what holds under every one.
    alone, jointly = (
        {name: _by_statement(rule(of_intervention(tables, name, every), study)) for name in names}
        for every in (False, True)
    )
    found = []
    for statement in dict.fromkeys(statement for claims in alone.values() for statement in claims):
        each = {name: claims[statement] for name, claims in alone.items() if statement in claims}
        joint = {claims[statement].outcome for claims in jointly.values() if statement in claims}
        outcome = joint.pop() if len(joint) == 1 else Outcome.UNDECIDED
        shown = next(iter(each))
        signs = [name for name, claim in each.items() if claim.outcome is Outcome.CONTRADICTED]
        if rule in _SIGNS and signs:
            shown, outcome = signs[0], Outcome.CONTRADICTED
        told = [f"Under “{study.label('intervention', shown)}”: {each[shown].sentence}"]
        if len(each) > 1:
            told.append(_by_intervention(outcome, {name: claim.outcome for name, claim in each.items()}, study))
        if without := [f"“{study.label('intervention', name)}”" for name in names if name not in each]:
            told.append(f"Nothing is known of it under {'; '.join(without)}.")
        found.append(replace(each[shown], outcome=outcome, sentence=" ".join(told)))
    return found


def _by_statement(claims: list[Claim]) -> dict[str, Claim]:
    return {claim.statement: claim for claim in claims}


def _by_intervention(outcome: Outcome, outcomes: dict[str, Outcome], study: Study) -> str:
    """What is found under which of several interventions, a sentence."""

    def named(chosen: Outcome) -> str:
        # Labels have commas in them.
        return "; ".join(f"“{study.label('intervention', name)}”" for name, one in outcomes.items() if one is chosen)

    if outcome is not Outcome.UNDECIDED and set(outcomes.values()) == {outcome}:
        return f"The outcome is the same under each of {count(len(outcomes), 'intervention')} ({named(outcome)})."
    return f"By intervention: {listed([f'{one} ({named(one)})' for one in Outcome if one in outcomes.values()])}."

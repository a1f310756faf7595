"""Claims about ablation where heads were ablated in several ways: what holds under each of them."""

from dataclasses import replace

from retrieval_heads.findings.claims import ablation, guarding
from retrieval_heads.findings.claims.outcome import Claim, Outcome, Rule, Tables
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, listed
from retrieval_heads.tables.select import at_level, of_intervention

_WHOLE_MODEL: tuple[Rule, ...] = (
    ablation.baseline_is_usable,
    ablation.every_question_is_answered,
    ablation.baseline_is_above_guessing,
)
"""The rules about the unablated model, which is the same whatever is done to others: the headline's documents tell."""

_AT_A_LEVEL: tuple[Rule, ...] = (
    ablation.top_heads_matter_more_than_random,
    ablation.questions_cost_differently,
    ablation.categories_cost_differently,
    ablation.methods_cost_differently,
    ablation.models_cost_differently,
    ablation.lengths_cost_differently,
    guarding.ablation_takes_retrieval_alone,
)
"""The rules about one number of ablated heads, the headline's: an intervention without it has no part in them."""

_SIGNS: tuple[Rule, ...] = (ablation.deeper_cuts_cost_more, guarding.ablation_breaks_no_model)
"""The rules that look for signs of trouble, at any level: such a sign under any intervention is one."""


def judged(rule: Rule, tables: Tables, study: Study) -> list[Claim]:
    """The claims of a rule, over all interventions where it is about ablation.

    A claim has an outcome if it has it under every intervention, by the p values of what holds under each
    (:func:`~retrieval_heads.analysis.statistics.corrected`); else there is not enough data for it. That there is no
    sign of trouble is contradicted by one under any. The sentence is about the headline (or the first intervention with
    such a sign), and then says what is found under which interventions, by p values that are corrected among them too.
    """
    if rule not in (*_WHOLE_MODEL, *_AT_A_LEVEL, *_SIGNS):
        return rule(tables, study)
    names = study.in_config_order("intervention", tables["effects"]["intervention"])
    if rule in _WHOLE_MODEL or len(names) < 2:
        return rule(of_intervention(tables, study.headline), study)
    if rule in _AT_A_LEVEL:
        level = study.level(of_intervention(tables, study.headline)["effects"])
        study = study.at_level(level)
        names = [name for name in names if len(at_level(of_intervention(tables, name)["effects"], level))]
    apart, together = (
        {name: _by_statement(rule(of_intervention(tables, name, every), study)) for name in names}
        for every in (False, True)
    )
    found = []
    for statement in apart.get(study.headline, {}):
        each = {name: claims[statement] for name, claims in apart.items() if statement in claims}
        joint = {claims[statement].outcome for claims in together.values() if statement in claims}
        outcome = joint.pop() if len(joint) == 1 else Outcome.UNDECIDED
        shown = study.headline
        signs = [name for name, claim in each.items() if claim.outcome is Outcome.CONTRADICTED]
        if rule in _SIGNS and signs:
            shown, outcome = signs[0], Outcome.CONTRADICTED
        label = study.label("intervention", shown)
        over = _over(outcome, {name: claim.outcome for name, claim in each.items()}, study)
        sentence = f"{label[:1].upper()}{label[1:]}: {each[shown].sentence} {over}"
        found.append(replace(each[shown], outcome=outcome, sentence=sentence))
    return found


def _by_statement(claims: list[Claim]) -> dict[str, Claim]:
    return {claim.statement: claim for claim in claims}


def _over(outcome: Outcome, outcomes: dict[str, Outcome], study: Study) -> str:
    """What is found under which interventions, a sentence."""

    def named(chosen: Outcome) -> str:
        # Labels have commas in them.
        return "; ".join(study.label("intervention", name) for name, one in outcomes.items() if one is chosen)

    if outcome is not Outcome.UNDECIDED and set(outcomes.values()) == {outcome}:
        return f"So it is under each of {count(len(outcomes), 'intervention')} ({named(outcome)})."
    each = [f"{one} ({named(one)})" for one in Outcome if one in outcomes.values()]
    return f"By intervention: {listed(each)}."

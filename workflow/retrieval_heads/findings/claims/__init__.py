"""What the report says in words: sentences that rules write from results.

A rule looks at tables and returns claims, each with one of three outcomes. *Supported* takes a significant result in
the direction claimed; *contradicted* takes an interval that rules out a difference that matters, or a significant
result the other way; all else is *not enough data*, for a difference that was not found is not yet shown to be absent.
"""

from retrieval_heads.findings.claims import ablation, guarding, ranking
from retrieval_heads.findings.claims.interventions import judged
from retrieval_heads.findings.claims.outcome import Claim, Outcome, Rule, Tables
from retrieval_heads.study.study import Study

__all__ = ["CAUTIONS", "HEADLINES", "RULES", "Claim", "Outcome", "about", "claims", "warnings", "written"]

RULES: dict[str, tuple[Rule, ...]] = {
    "data": (
        ablation.baseline_is_usable,
        ablation.every_question_is_answered,
        ablation.baseline_is_above_guessing,
        ranking.top_sets_are_told_apart,
        ranking.top_heads_rest_on_enough_prompts,
    ),
    "q1": (ablation.questions_cost_differently,),
    "q2": (ranking.categories_share_heads,),
    "q3": (ablation.categories_cost_differently,),
    "q4": (ranking.categories_share_layers,),
    "consensus": (ranking.all_methods_agree_on_heads,),
    "specialists": (ranking.questions_have_specialists,),
    "model_differences": (ranking.models_rank_heads_differently,),
    "dominance": (ranking.first_heads_stand_out_differently,),
    "overlap": (ranking.top_heads_are_shared, ranking.rankings_break_between_lengths),
    "agreement": (ranking.methods_differ_beyond_noise, ranking.methods_agree_differently_by_length),
    "imports": (ranking.imported_heads_are_top_heads,),
    "ablation": (
        ablation.top_heads_matter_more_than_random,
        guarding.ablation_takes_retrieval_alone,
        guarding.ablation_breaks_no_model,
        ablation.methods_cost_differently,
        ablation.deeper_cuts_cost_more,
    ),
    "models": (ablation.models_cost_differently,),
    "lengths": (ablation.lengths_cost_differently,),
}
"""The rules by the section of the report in which their claims stand."""

HEADLINES: tuple[Rule, ...] = (
    ablation.baseline_is_usable,
    ablation.top_heads_matter_more_than_random,
    guarding.ablation_takes_retrieval_alone,
    ranking.methods_agree,
    ranking.all_methods_agree_on_heads,
    ablation.questions_cost_differently,
    ranking.categories_share_heads,
)
"""What comes first in a summary."""

CAUTIONS: dict[Rule, Outcome] = {
    ablation.every_question_is_answered: Outcome.CONTRADICTED,
    ablation.baseline_is_above_guessing: Outcome.CONTRADICTED,
    guarding.ablation_breaks_no_model: Outcome.CONTRADICTED,
    ablation.deeper_cuts_cost_more: Outcome.CONTRADICTED,
    ranking.rankings_break_between_lengths: Outcome.SUPPORTED,
    ranking.methods_agree_differently_by_length: Outcome.SUPPORTED,
    ranking.top_sets_are_told_apart: Outcome.CONTRADICTED,
    ranking.top_heads_rest_on_enough_prompts: Outcome.CONTRADICTED,
}
"""The rules that look for signs that something is wrong with the data, and the outcome that is such a sign."""


def about(section: str, tables: Tables, study: Study) -> list[Claim]:
    """The claims that stand in a section."""
    return written(RULES.get(section, ()), tables, study)


def claims(tables: Tables, study: Study) -> list[Claim]:
    """The claims of all rules, in the order of the report."""
    return [claim for section in RULES for claim in about(section, tables, study)]


def warnings(tables: Tables, study: Study) -> list[Claim]:
    """What a careful reader would want to know before believing the rest."""
    return [claim for rule, sign in CAUTIONS.items() for claim in judged(rule, tables, study) if claim.outcome is sign]


def written(rules: tuple[Rule, ...], tables: Tables, study: Study) -> list[Claim]:
    """The claims of these rules, over all interventions where they are about ablation."""
    return [claim for rule in rules for claim in judged(rule, tables, study)]

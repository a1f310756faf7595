"""What the report says in words: sentences that rules write from results.

A rule looks at tables and returns claims, each with one of three outcomes. *Supported* takes a significant result in
the direction claimed; *contradicted* takes an interval that rules out a difference that matters, or a significant
result the other way; all else is *not enough data*, for a difference that was not found is not yet shown to be absent.
"""

from retrieval_heads.claims import cutting, guarding, ranking
from retrieval_heads.claims.interventions import judged
from retrieval_heads.claims.outcome import Claim, Outcome, Rule, Tables
from retrieval_heads.study import Study

__all__ = ["CAUTIONS", "HEADLINES", "RULES", "Claim", "Outcome", "about", "claims", "warnings", "written"]

RULES: dict[str, tuple[Rule, ...]] = {
    "data": (
        cutting.baseline_is_usable,
        cutting.every_question_is_answered,
        cutting.baseline_is_above_guessing,
        ranking.top_sets_are_told_apart,
        ranking.top_heads_rest_on_enough_prompts,
    ),
    "q1": (cutting.questions_cost_differently,),
    "q2": (ranking.categories_share_heads,),
    "q3": (cutting.categories_cost_differently,),
    "q4": (ranking.categories_share_layers,),
    "consensus": (ranking.all_methods_agree_on_heads,),
    "specialists": (ranking.questions_have_specialists,),
    "model_differences": (ranking.models_rank_heads_differently,),
    "dominance": (ranking.first_heads_stand_out_differently,),
    "overlap": (ranking.top_heads_are_shared, ranking.rankings_break_between_lengths),
    "agreement": (ranking.methods_differ_beyond_noise, ranking.methods_agree_differently_by_length),
    "imports": (ranking.imported_heads_are_top_heads,),
    "ablation": (
        cutting.top_heads_matter_more_than_random,
        guarding.ablation_takes_retrieval_alone,
        guarding.ablation_breaks_no_model,
        cutting.methods_cost_differently,
        cutting.deeper_cuts_cost_more,
    ),
    "models": (cutting.models_cost_differently,),
    "lengths": (cutting.lengths_cost_differently,),
}
"""The rules by the section of the report in which their claims stand."""

HEADLINES: tuple[Rule, ...] = (
    cutting.baseline_is_usable,
    cutting.top_heads_matter_more_than_random,
    guarding.ablation_takes_retrieval_alone,
    ranking.methods_agree,
    ranking.all_methods_agree_on_heads,
    cutting.questions_cost_differently,
    ranking.categories_share_heads,
)
"""What comes first in a summary."""

CAUTIONS: dict[Rule, Outcome] = {
    cutting.every_question_is_answered: Outcome.CONTRADICTED,
    cutting.baseline_is_above_guessing: Outcome.CONTRADICTED,
    guarding.ablation_breaks_no_model: Outcome.CONTRADICTED,
    cutting.deeper_cuts_cost_more: Outcome.CONTRADICTED,
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

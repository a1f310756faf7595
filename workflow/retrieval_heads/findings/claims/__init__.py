"""What the findings say in words: sentences that rules write from results.

A rule looks at tables and returns claims, each with one of three outcomes. *Supported* takes a significant result in
the direction claimed; *contradicted* takes an interval that rules out a difference that matters, or a significant
result the other way; all else is *not enough data*, for a difference that was not found is not yet shown to be absent.
"""

from retrieval_heads.findings.claims import (
    ablation,
    agreement,
    baseline,
    calibration,
    categories,
    compensation,
    depths,
    heads,
    language,
    looks,
    overlap,
    quality,
    scores,
    specificity,
    transfer,
    variants,
)
from retrieval_heads.findings.claims.interventions import judged
from retrieval_heads.findings.claims.outcome import Claim, Outcome, Rule, Tables, together
from retrieval_heads.study.study import Study

__all__ = [
    "CAUTIONS",
    "RULES",
    "Claim",
    "Outcome",
    "every_claim",
    "of_rules",
    "of_section",
    "together",
    "warnings",
]

RULES: dict[str, tuple[Rule, ...]] = {
    "ablation": (
        ablation.top_heads_matter_more_than_random,
        language.ablation_takes_retrieval_alone,
        language.ablation_breaks_no_model,
        ablation.methods_cost_differently,
        ablation.more_heads_cost_more,
    ),
    "models": (ablation.models_cost_differently,),
    "lengths": (ablation.lengths_cost_differently,),
    "carrying": (quality.some_heads_are_needed_and_carry_nothing,),
    "compensation": (
        compensation.heads_are_backed_up,
        compensation.top_heads_stand_in_for_each_other,
        compensation.top_heads_suffice,
        compensation.recoveries_are_made_up_for,
    ),
    "specificity": (specificity.damage_is_specific_to_retrieval,),
    "transfer": (transfer.own_heads_matter_more,),
    "q1": (ablation.questions_cost_differently,),
    "q2": (categories.categories_share_heads,),
    "q3": (ablation.categories_cost_differently,),
    "q4": (categories.categories_share_layers,),
    "specialists": (heads.questions_have_specialists,),
    "variants": (
        variants.same_heads_serve_variant,
        variants.plain_heads_are_needed_in_variants,
        variants.damage_is_not_of_induction_heads_alone,
    ),
    "depths": (
        depths.depths_are_answered_differently,
        depths.depths_cost_differently,
        depths.depths_rank_heads_differently,
    ),
    "looks": (looks.hits_are_at_the_answer, looks.first_heads_rest_less),
    "quality": (quality.one_method_is_best,),
    "dominance": (heads.first_heads_stand_out_differently,),
    "agreement": (
        agreement.methods_differ_beyond_noise,
        agreement.methods_agree_differently_by_length,
        calibration.rows_of_the_answer_prefix_matter,
    ),
    "consensus": (heads.all_methods_agree_on_heads,),
    "overlap": (overlap.top_heads_are_shared, overlap.rankings_break_between_lengths),
    "imports": (overlap.imported_heads_are_top_heads,),
    "model_differences": (heads.models_rank_heads_differently,),
    "data": (
        baseline.baseline_is_usable,
        baseline.every_question_is_answered,
        baseline.baseline_is_above_guessing,
        scores.top_sets_are_told_apart,
        scores.cuts_are_beyond_rounding,
        scores.top_heads_rest_on_enough_prompts,
    ),
}
"""The rules by the section of the findings in which their claims stand, in the order of these."""

CAUTIONS: dict[Rule, Outcome] = {
    baseline.every_question_is_answered: Outcome.CONTRADICTED,
    baseline.baseline_is_above_guessing: Outcome.CONTRADICTED,
    language.ablation_breaks_no_model: Outcome.CONTRADICTED,
    ablation.more_heads_cost_more: Outcome.CONTRADICTED,
    overlap.rankings_break_between_lengths: Outcome.SUPPORTED,
    agreement.methods_agree_differently_by_length: Outcome.SUPPORTED,
    scores.top_sets_are_told_apart: Outcome.CONTRADICTED,
    scores.cuts_are_beyond_rounding: Outcome.CONTRADICTED,
    scores.top_heads_rest_on_enough_prompts: Outcome.CONTRADICTED,
}
"""The rules that look for signs that something is wrong with the data, and the outcome that is such a sign."""


def of_section(section: str, tables: Tables, study: Study) -> list[Claim]:
    """The claims that stand in a section."""
    return of_rules(RULES.get(section, ()), tables, study)


def every_claim(tables: Tables, study: Study) -> list[Claim]:
    """The claims of all rules, in the order of the findings."""
    return [claim for section in RULES for claim in of_section(section, tables, study)]


def warnings(tables: Tables, study: Study) -> list[Claim]:
    """What a careful reader would want to know before believing the rest."""
    return [
        claim
        for rule, sign in CAUTIONS.items()
        for claim in together(judged(rule, tables, study))
        if claim.outcome is sign
    ]


def of_rules(rules: tuple[Rule, ...], tables: Tables, study: Study) -> list[Claim]:
    """The claims of these rules, over all interventions where they are about ablation."""
    return [claim for rule in rules for claim in judged(rule, tables, study)]

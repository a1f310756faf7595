"""What the findings say of other ways of asking: each claim driven to each outcome, and the section with its tables."""

import pandas as pd
import pytest

from made_tables import SMALL, make_other_sets, make_same_heads, make_study, make_variant_accuracy, small_tables
from plain_sentences import faults
from retrieval_heads.findings.claims import Outcome, of_rules, variants
from retrieval_heads.findings.sections.blocks import Paragraph, TableBlock
from retrieval_heads.findings.sections.variants import variants as section
from told_claims import told

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED


def outcomes(rule, **changed):
    found = of_rules((rule,), {**small_tables(), **changed}, SMALL)
    assert found
    told(*found)
    return {claim.outcome for claim in found}


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        ({"sameness": 0.95}, SUPPORTED),
        ({"sameness": 0.4}, CONTRADICTED),
        ({"sameness": 0.8}, UNDECIDED),
        ({"told": False}, UNDECIDED),
        ({"sameness": 0.95, "documents": 5}, UNDECIDED),
    ],
)
def test_the_same_heads_serve_a_variant_where_the_interval_says_so(made, outcome):
    assert outcomes(variants.same_heads_serve_variant, same_heads=make_same_heads(SMALL, **made)) == {outcome}


@pytest.mark.parametrize(
    "rule", [variants.plain_heads_are_needed_in_variants, variants.damage_is_not_of_induction_heads_alone]
)
@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        ({"difference": 0.3}, SUPPORTED),
        ({"difference": -0.2}, CONTRADICTED),
        ({"difference": 0.0, "p": 1.0, "width": 0.04}, CONTRADICTED),
        ({"difference": 0.1, "p": 0.3, "width": 0.2}, UNDECIDED),
        ({"difference": 0.3, "documents": 5}, UNDECIDED),
    ],
)
def test_sets_made_from_top_sets_are_held_against_random_heads(rule, made, outcome):
    assert outcomes(rule, other_sets=make_other_sets(SMALL, **made)) == {outcome}


def test_a_set_is_needed_only_if_it_is_under_every_intervention():
    two = make_study(
        interventions={"a": {"mode": "zero", "scope": "all"}, "b": {"mode": "mean", "scope": "suffix"}}, levels=(20,)
    )
    sets, other = make_other_sets(two), make_other_sets(two, 0.0, 1.0, 0.2)
    sets[sets["intervention"] == "b"] = other[other["intervention"] == "b"]
    sets = sets.assign(p_every=1.0)
    effects = small_tables()["effects"]
    effects = effects[effects["k"] == 20]
    both = [effects.assign(intervention=name) for name in ("a", "b")]
    tables = {**small_tables(), "effects": pd.concat(both), "other_sets": sets}
    found = of_rules((variants.damage_is_not_of_induction_heads_alone,), tables, two)
    assert {claim.outcome for claim in found} == {UNDECIDED}
    assert all("By intervention: supported" in claim.sentence for claim in found)


def test_the_section_tells_how_well_each_variant_is_answered_and_where_decoys_were_taken():
    blocks = section(SMALL, small_tables()).blocks
    texts = [block.text for block in blocks if isinstance(block, Paragraph)]
    assert any(
        "In the variant No prefix, small answers 60.0%" in text and "35.0 points fewer" in text for text in texts
    )
    assert [text for text in texts if "15.0% of the answers are a decoy's" in text]
    shown = {block.name: block for block in blocks if isinstance(block, TableBlock)}
    assert list(shown) == ["variant_accuracy", "same_heads", "other_sets"]
    assert len(shown["variant_accuracy"].rows) == 3
    # Variants alone, each with the plain one, by every method; questions are summed up in a sentence.
    assert len(shown["same_heads"].rows) == 2 * len(SMALL.methods)
    assert any("Between two questions, it says 9 same (of 9 comparisons)." in text for text in texts)
    assert not faults(" ".join(texts)) and "variants (Decoy, No prefix)" in texts[0]


def test_a_variant_that_is_answered_as_well_is_said_to_be():
    alike = make_variant_accuracy(SMALL, (0.5,) * 3)
    blocks = section(SMALL, {**small_tables(), "variant_accuracy": alike}).blocks
    assert (
        sum("that is as many as in the plain variant" in block.text for block in blocks if hasattr(block, "text")) == 2
    )


def test_a_study_of_one_variant_has_no_such_section():
    here = ("variant_accuracy", "same_heads", "other_sets")
    assert not section(SMALL, {name: made for name, made in small_tables().items() if name not in here}).blocks

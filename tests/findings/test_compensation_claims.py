"""Each claim about compensation has each outcome, and its section says what the tables hold."""

import re

import pytest

from made_compensation import made_heads, made_sets, made_steps, study_of
from plain_sentences import faults
from retrieval_heads.analysis.compensation import summarise_heads, summarise_sets
from retrieval_heads.findings.claims import Outcome
from retrieval_heads.findings.claims.compensation import (
    heads_are_backed_up,
    recoveries_are_made_up_for,
    top_heads_stand_in_for_each_other,
    top_heads_suffice,
)
from retrieval_heads.findings.sections.blocks import ClaimList, Paragraph, TableBlock
from retrieval_heads.findings.sections.compensation import compensation
from told_claims import told

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED
STUDY = study_of(interventions={"other_value": {"mode": "resample", "scope": "suffix"}})
HEADS = {(3, 1): (1.0, 0.25), (4, 0): (0.5, 0.5)}


def tables_of(study=STUDY, heads=HEADS, steps=None, documents=8, noise=0.05, **of_level):
    return {
        "head_compensation": summarise_heads(
            made_heads(study, heads, documents=documents, noise=noise), study.alpha, 1, 200
        ),
        "set_compensation": summarise_sets(made_sets(study, documents=documents, noise=noise, **of_level), 1, 200),
        "steps": made_steps(study, {(5, 20): -0.1} if steps is None else steps),
    }


def one(rule, study=STUDY, **how):
    (claim,) = rule(tables_of(study, **how), study)
    told(claim)
    return claim


class TestBackedUp:
    def test_supported_by_a_head_that_most_is_made_up_for(self):
        claim = one(heads_are_backed_up)
        assert claim.outcome is SUPPORTED
        assert "2 of 2 top heads matter" in claim.sentence and "(8 prompts from 8 documents)" in claim.sentence
        assert "For 1 of them, more than 20.0%" in claim.sentence and "For 1, it is surely less." in claim.sentence
        assert "L3H1, which writes 0.98 and without which 0.25 is lost" in claim.sentence
        assert claim.effect.value == 1 and claim.of["intervention"] == "other_value"

    def test_contradicted_where_it_is_ruled_out_for_each(self):
        claim = one(heads_are_backed_up, heads={(3, 1): (1.0, 1.0), (4, 0): (0.8, 0.9)})
        assert claim.outcome is CONTRADICTED and "ruled out for each of them" in claim.sentence

    def test_undecided_where_it_is_not_told(self):
        claim = one(heads_are_backed_up, heads={(3, 1): (1.0, 0.8)}, noise=0.4)
        assert claim.outcome is UNDECIDED and "not ruled out" in claim.sentence

    def test_undecided_of_few_documents(self):
        assert one(heads_are_backed_up, documents=4).outcome is UNDECIDED

    def test_undecided_where_no_head_matters(self):
        claim = one(heads_are_backed_up, heads={(3, 1): (0.0, 0.0)}, noise=0.001)
        assert claim.outcome is UNDECIDED and "nothing to make up for" in claim.sentence


class TestTogether:
    def test_supported_where_all_cost_more_than_their_sum(self):
        claim = one(top_heads_stand_in_for_each_other, effect=lambda k: 6.0, singles=lambda k: 1.0)
        assert claim.outcome is SUPPORTED and "without the top 20 heads of Wu24" in claim.sentence
        assert "The difference is 5.0" in claim.sentence or "The difference is 4.9" in claim.sentence
        assert claim.effect.value == pytest.approx(5, abs=0.1) and claim.effect.p < 0.05 and claim.of["k"] == 20

    def test_contradicted_where_they_cost_less(self):
        claim = one(top_heads_stand_in_for_each_other, effect=lambda k: 3.0, singles=lambda k: 5.0)
        assert claim.outcome is CONTRADICTED and "less than the sum" in claim.sentence

    def test_contradicted_where_much_more_is_ruled_out(self):
        claim = one(top_heads_stand_in_for_each_other, effect=lambda k: 3.0, singles=lambda k: 3.0)
        assert claim.outcome is CONTRADICTED and "is ruled out" in claim.sentence

    @pytest.mark.parametrize("how", [{"noise": 3.0}, {"documents": 5, "effect": lambda k: 6.0}])
    def test_undecided_where_the_data_do_not_tell(self, how):
        assert one(top_heads_stand_in_for_each_other, **how).outcome is UNDECIDED


class TestSuffice:
    def test_supported_where_they_put_back_nearly_all(self):
        claim = one(top_heads_suffice, restored=lambda k: 0.95)
        assert (claim.outcome is SUPPORTED and "puts back 95." in claim.sentence) or "puts back 94." in claim.sentence
        assert re.search(r"As many random heads from the same layers put back [45]\.", claim.sentence)
        assert claim.effect.value == pytest.approx(95, abs=1) and claim.effect.none == 80 and claim.effect.low > 80

    def test_random_heads_of_other_layers_are_told_as_such(self):
        claim = one(top_heads_suffice, restored=lambda k: 0.95, matched=0.25)
        drawn = "As many random heads (25.0% of them from the same layers, the rest from the nearest) put back "
        assert drawn in claim.sentence

    def test_contradicted_where_they_put_back_half(self):
        claim = one(top_heads_suffice, restored=lambda k: 0.5)
        assert claim.outcome is CONTRADICTED and "80.0% are ruled out" in claim.sentence

    def test_undecided_where_random_heads_do_the_same(self):
        claim = one(top_heads_suffice, restored=lambda k: 0.95, random=0.95)
        assert claim.outcome is UNDECIDED and "more than random heads is not shown" in claim.sentence

    def test_undecided_near_the_limit_and_of_few_documents(self):
        assert one(top_heads_suffice, restored=lambda k: 0.78, noise=0.5).outcome is UNDECIDED
        assert one(top_heads_suffice, restored=lambda k: 0.95, documents=3).outcome is UNDECIDED

    def test_nothing_is_claimed_without_twins(self):
        study = study_of(interventions={"reading": {"mode": "zero", "scope": "suffix"}})
        assert top_heads_suffice(tables_of(study), study) == []


def recovering(direct, total):
    """From 5 to 20 heads, accuracy rises; what is written and lost are these at both levels."""
    told = {"direct": lambda k: direct[k == 20], "total": lambda k: total[k == 20]}
    return {"steps": {(5, 20): 0.1}} | told


class TestRecoveries:
    def test_supported_where_more_is_made_up_for(self):
        claim = one(recoveries_are_made_up_for, **recovering((2.0, 3.0), (2.0, 1.0)))
        assert claim.outcome is SUPPORTED and "1 step to more ablated heads does less damage" in claim.sentence
        assert "From 5 to 20 heads of Wu24, accuracy changes by +10.0 points" in claim.sentence
        assert claim.effect.unit == "logits" and claim.effect.value == pytest.approx(2, abs=0.1)

    def test_contradicted_where_the_added_heads_wrote_against_the_answer(self):
        claim = one(recoveries_are_made_up_for, **recovering((2.0, 1.0), (2.0, 1.0)))
        assert claim.outcome is CONTRADICTED and "wrote against the answer" in claim.sentence

    def test_contradicted_where_the_logit_falls_on(self):
        claim = one(recoveries_are_made_up_for, **recovering((2.0, 4.0), (2.0, 3.0)))
        assert claim.outcome is CONTRADICTED and "falls on" in claim.sentence

    def test_undecided_where_the_data_do_not_tell(self):
        claim = one(recoveries_are_made_up_for, noise=3.0, **recovering((2.0, 2.0), (2.0, 1.5)))
        assert claim.outcome is UNDECIDED and "why is not told" in claim.sentence

    def test_undecided_of_few_documents(self):
        claim = one(recoveries_are_made_up_for, documents=4, **recovering((2.0, 3.0), (2.0, 1.0)))
        assert claim.outcome is UNDECIDED

    def test_a_rise_of_the_logit_is_a_recovery_though_accuracy_falls(self):
        claim = one(recoveries_are_made_up_for, **(recovering((2.0, 3.0), (2.0, 1.0)) | {"steps": {(5, 20): -0.1}}))
        assert claim.outcome is SUPPORTED

    def test_without_a_recovery_there_is_nothing_to_explain(self):
        assert recoveries_are_made_up_for(tables_of(), STUDY) == []


def test_the_section_has_claims_heads_and_sets():
    study = study_of(methods=("wu24", "qrhead"))
    made = compensation(study, tables_of(study))
    text = " ".join(block.text for block in made.blocks if isinstance(block, Paragraph))
    assert not faults(text)
    shown = {block.name: block for block in made.blocks if isinstance(block, TableBlock)}
    (claims,) = [block for block in made.blocks if isinstance(block, ClaimList)]
    assert "no recovery to explain" in text
    told(*claims.claims)
    assert set(shown) == {"heads_made_up_for", "sets_together"}
    assert shown["heads_made_up_for"].header[0] == "Ablation" and len(shown["heads_made_up_for"].rows) == 4
    sets = shown["sets_together"]
    assert len(sets.rows) == 2 * 2 * 2 and {len(row) for row in sets.rows} == {len(sets.header)}
    restored = {row[0]: row[-2] for row in sets.rows}
    assert restored[study.label("intervention", "reading")] == ""
    assert restored[study.label("intervention", "other_value")].endswith("%")


def test_several_recoveries_are_told_in_short_sentences_and_no_one_number_decides():
    found = recovering((2.0, 3.0), (2.0, 1.0))
    study = study_of(methods=("wu24", "qrhead"), interventions={"other_value": {"mode": "resample", "scope": "suffix"}})
    (claim,) = recoveries_are_made_up_for(tables_of(study, **found), study)
    told(claim)
    assert "2 steps to more ablated heads do less damage." in claim.sentence and claim.effect is None


def test_a_study_without_the_control_has_no_section():
    assert compensation(STUDY, {}).blocks == ()


def test_nothing_measured_is_said():
    empty = tables_of(documents=0)
    (block,) = compensation(STUDY, empty).blocks
    assert "nothing is known" in block.text

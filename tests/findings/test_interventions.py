"""Several ways of ablating heads in one study: each for itself in the tables, all together in what is claimed."""

import pandas as pd
import pytest

from made_tables import TEMPLATES, analyse, make_ablation, make_rankings, make_study
from retrieval_heads import figures
from retrieval_heads.analysis.drops import mean_drops
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.analysis.overlap import grids
from retrieval_heads.analysis.statistics import corrected, holm
from retrieval_heads.findings import claims, rendering
from retrieval_heads.findings.claims import Outcome, ablation, language
from retrieval_heads.findings.claims.interventions import judged
from retrieval_heads.tables.select import of_intervention

pytestmark = pytest.mark.thorough

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED
HOW = {"reading": {"mode": "zero", "scope": "suffix"}, "everywhere": {"mode": "zero", "scope": "all"}}
STUDY = make_study(
    methods=("wu24", "qrhead"), questions=("inc_year", "hq_state"), levels=(10, 20), interventions=HOW, resamples=100
)
RULE = ablation.top_heads_matter_more_than_random


def results(top, study=STUDY, documents=20, **more):
    """Ablation rows of both interventions; ``top`` gives the accuracy with the top heads ablated under each."""
    return pd.concat(
        [
            make_ablation(study, documents, top=right, intervention=name, **more)
            for name, right in zip(HOW, top, strict=True)
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def rankings():
    return make_rankings(STUDY)


@pytest.fixture(scope="module")
def whole(rankings):
    """All tables, where the top heads cost much under both interventions."""
    return analyse(STUDY, rankings, results((0.1, 0.2)))


@pytest.fixture
def costly(whole):
    """The same, for a test to change."""
    return {name: table.copy() for name, table in whole.items()}


def outcomes_of(rows):
    return as_outcomes(rows, STUDY.seed, STUDY.resamples)


def effects_of(rows):
    return estimate_effects(outcomes_of(rows))._asdict()


class TestPValues:
    tests = pd.DataFrame(
        {
            "method": [*"aabbcdd"],
            "intervention": [*"xyxyxxy"],
            "p": [0.01, 0.02, 0.001, 0.004, 0.03, 0.5, float("nan")],
            "difference": [0.3, 0.1, 0.2, -0.2, 0.1, 0.1, 0.1],
        }
    ).assign(subject="s")

    def test_are_by_hand_those_of_the_rule(self):
        found = corrected(self.tests, ["subject"], ["method"], "difference")
        # Six known tests of one family, the smallest first: 0.001 × 6, 0.004 × 5, 0.01 × 4, 0.02 × 3, 0.03 × 2, 0.5.
        assert found["p_holm"].tolist()[:6] == pytest.approx([0.04, 0.06, 0.006, 0.02, 0.06, 0.5])
        # Of each method the largest: 0.02, 1 where signs differ, 0.03, and none where one was not tested.
        assert found["p_every"].tolist()[:5] == pytest.approx([0.06, 0.06, 1, 1, 0.06])
        assert found["p_every"].isna().tolist() == [False] * 5 + [True] * 2
        assert found["p_holm"].isna().tolist() == [False] * 6 + [True]

    def test_of_one_intervention_are_those_of_holm(self):
        one = self.tests[self.tests["intervention"] == "x"]
        found = corrected(one, ["subject"], ["method"], "difference")
        assert found["p_every"].equals(found["p_holm"]) and found["p_holm"].equals(holm(one["p"]))

    def test_of_a_test_without_direction_are_the_largest(self):
        found = corrected(self.tests.assign(difference=float("nan")).head(4), ["subject"], ["method"], "difference")
        assert found["p_every"].tolist() == pytest.approx([0.02, 0.02, 0.008, 0.008])


def test_each_intervention_has_the_numbers_that_it_has_alone(rankings):
    both = results((0.2, 0.9), documents=6)
    together = analyse(STUDY, rankings, both)
    for name in HOW:
        rows = both[both["intervention"] == name]
        one = effects_of(rows)
        one["mean_drops"] = mean_drops(outcomes_of(rows), STUDY.categories, grids(rankings))
        here = of_intervention(together, name)
        for table, alone in one.items():
            columns = [column for column in alone.columns if column not in ("p_holm", "p_every")]
            pd.testing.assert_frame_equal(here[table][columns], alone[columns], check_dtype=False)
    tests = together["tests"]
    assert set(tests["intervention"].dropna()) == set(HOW)
    assert tests.loc[tests["intervention"].isna(), "subject"].nunique() > 1  # what is asked of rankings


def test_interventions_may_have_other_documents_levels_and_lengths():
    both = results((0.2, 0.2))
    few = both["doc_id"].isin([f"doc{number}" for number in range(8)]) & (both["k"] != 10)
    both = both[(both["intervention"] == "reading") | (few & (both["context_length"] == 512))]
    found = effects_of(both)["effects"]
    pooled = found[found["question"].isna() & found["context_length"].isna()].groupby("intervention")
    assert pooled["documents"].max().to_dict() == {"reading": 20, "everywhere": 8}
    assert pooled["k"].agg(set).to_dict() == {"reading": {10, 20}, "everywhere": {20}}
    # What one intervention alone was asked is corrected as such.
    only = found[(found["intervention"] == "reading") & (found["k"] == 10)]
    assert (only["p_every"] >= only["p"]).all() and only["p_every"].notna().all()


@pytest.mark.parametrize(
    ("top", "outcome", "own"),
    [
        ((0.1, 0.2), SUPPORTED, {SUPPORTED}),
        ((0.92, 0.92), CONTRADICTED, {CONTRADICTED}),
        ((0.1, 0.92), UNDECIDED, {SUPPORTED, CONTRADICTED}),  # it holds under the headline alone
        ((0.92, 0.1), UNDECIDED, {SUPPORTED, CONTRADICTED}),  # and under the other alone
    ],
)
def test_a_claim_has_the_outcome_that_it_has_under_every_intervention(top, outcome, own):
    # Outcomes that are the same for random heads and top ones rule a difference out.
    found = effects_of(results(top, random=0.92))
    equal = found["against_random"]["difference"].abs() < 0.05
    found["against_random"].loc[equal, ["difference_low", "difference_high"]] = [-0.01, 0.01]
    made = judged(RULE, found, STUDY)
    assert len(made) == 2 and {claim.outcome for claim in made} == {outcome}
    each = {name: RULE(of_intervention(found, name), STUDY)[0].outcome for name in HOW}
    assert set(each.values()) == own
    sentence = made[0].sentence
    assert sentence.startswith("Under “zero, question and answer”: ")
    if outcome is UNDECIDED:
        held = next(name for name in HOW if each[name] is SUPPORTED)
        assert f"supported (“{STUDY.label('intervention', held)}”)" in sentence
    else:
        named = "“zero, question and answer”; “zero, all tokens”"
        assert sentence.endswith(f"The outcome is the same under each of 2 interventions ({named}).")


def test_a_weak_effect_under_one_intervention_decides_nothing(costly):
    controls = costly["against_random"]
    controls["p_every"] = 0.3
    unsure = ["p_holm", "difference", "difference_low", "difference_high"]
    controls.loc[controls["intervention"] == "everywhere", unsure] = [0.3, 0.05, -0.02, 0.12]
    (claim, *_) = judged(RULE, costly, STUDY)
    assert claim.outcome is UNDECIDED
    assert claim.sentence.endswith(
        "By intervention: supported (“zero, question and answer”) and not enough data (“zero, all tokens”)."
    )


def test_a_larger_p_value_over_interventions_decides(costly):
    costly["against_random"]["p_every"] = 0.2
    assert {claim.outcome for claim in judged(RULE, costly, STUDY)} == {UNDECIDED}


def test_an_intervention_without_the_headlines_level_has_no_part():
    both = results((0.1, 0.92))
    found = effects_of(both[(both["intervention"] == "reading") | (both["k"] != 20)])
    made = judged(RULE, found, STUDY)
    assert {claim.outcome for claim in made} == {SUPPORTED}
    assert all(claim.sentence.startswith("Under “zero, question and answer”: ") for claim in made)
    assert not any("zero, all tokens" in claim.sentence or "intervention" in claim.sentence for claim in made)


def test_what_is_wrong_under_any_intervention_is_told(costly):
    broken = costly["guard"]["intervention"].eq("everywhere") & costly["guard"]["k"].eq(20)
    costly["guard"].loc[broken, "change"] = -3.0
    (claim,) = judged(language.ablation_breaks_no_model, costly, STUDY)
    assert claim.outcome is CONTRADICTED and claim.sentence.startswith("Under “zero, all tokens”: 32 of 64 ")
    assert "supported (“zero, question and answer”) and contradicted (“zero, all tokens”)" in claim.sentence
    assert claim.sentence in [warning.sentence for warning in claims.warnings(costly, STUDY)]


def test_where_prose_has_no_twin_language_is_not_judged_and_that_is_said(costly):
    costly["guard"] = costly["guard"][costly["guard"]["intervention"] != "reading"]
    text = rendering.markdown(rendering.build(STUDY, costly, {}, TEMPLATES))
    assert "What ablation does to language was not measured" in text
    assert "Prose, top heads" not in text
    note = figures.draw("language_guard", costly, STUDY)
    assert not note.axes and "prose has no twin" in " ".join(text.get_text() for text in note.texts)


def test_the_findings_and_figures_say_which(whole):
    text = rendering.markdown(rendering.build(STUDY, whole, {}, TEMPLATES))
    assert "the headline, “zero, question and answer”, unless they name another (“zero, all tokens”)." in text
    assert "reading (zero, question and answer); everywhere (zero, all tokens)" in text
    assert "Top 20 heads against as many random ones by intervention" in text
    drawn = figures.draw("accuracy_drop_summary", whole, STUDY)
    assert drawn.get_supxlabel() == "Ablation: zero, question and answer"
    assert figures.draw("q1_equal_impact", whole, STUDY).get_supxlabel() == "Heads ablated (zero, question and answer)"
    assert "Ablation" not in figures.draw("score_dominance", whole, STUDY).get_supxlabel()
    heights = [patch.get_height() for patch in drawn.axes[0].patches]
    headline = of_intervention(whole, "reading")["effects"].query("k == 20")["drop"]
    assert set(map(lambda value: round(value, 9), heights)) <= set(headline.round(9))


def test_one_intervention_is_told_once(rankings):
    study = make_study(methods=("wu24", "qrhead"), questions=("inc_year", "hq_state"), levels=(10, 20), resamples=100)
    found = analyse(study, rankings, make_ablation(study, 6))
    assert judged(RULE, found, study) == RULE(found, study)
    assert "Heads were ablated in one way: zero, all tokens." in rendering.markdown(
        rendering.build(study, found, {}, TEMPLATES)
    )


def test_ways_that_are_the_same_are_told_apart_by_name():
    same = {name: {"mode": "zero", "scope": "all"} for name in ("few", "many")}
    study = make_study(interventions=same | {"other": {"mode": "uniform", "scope": "decode"}})
    labels = [study.label("intervention", name) for name in study.interventions]
    assert labels == ["few (zero, all tokens)", "many (zero, all tokens)", "uniform, answer"]
    assert study.headline == "few"


class TestThree:
    """Zero and resample in question and answer, and zero everywhere: resampling asks fewer prompts, and no prose."""

    HOW = HOW | {"resampled": {"mode": "resample", "scope": "suffix"}}
    LANGUAGE = language.ablation_takes_retrieval_alone

    @classmethod
    def tables(cls, top, documents=(20, 8, 14)):
        study = cls.of("reading")
        parts = [
            make_ablation(study, number, top=right, intervention=name)
            for name, right, number in zip(cls.HOW, top, documents, strict=True)
        ]
        rows = pd.concat(parts, ignore_index=True)
        # The largest set alone where it costs most; and of the resampled, only what the whole model answers.
        rows = rows[(rows["intervention"] != "everywhere") | (rows["k"] != 10)]
        right = rows[(rows["intervention"] == "resampled") & (rows["source"] == "baseline") & rows["correct"]]
        asked = rows["prompt_id"].isin(right["prompt_id"]) & (rows["source"] != "no_needle")
        rows = rows[(rows["intervention"] != "resampled") | asked]
        made = analyse(study, make_rankings(study), rows)
        return {**made, "guard": made["guard"].query("intervention != 'resampled'")}

    @classmethod
    def of(cls, headline):
        """The study with its headline, which comes first."""
        return make_study(
            methods=("wu24", "qrhead"),
            questions=("inc_year", "hq_state"),
            levels=(10, 20),
            interventions={name: cls.HOW[name] for name in dict.fromkeys([headline, *cls.HOW])},
            resamples=100,
        )

    @pytest.fixture(scope="class")
    @classmethod
    def three(cls):
        """All tables, where the top heads cost much under each."""
        return cls.tables((0.1, 0.2, 0.2))

    def test_the_p_value_of_all_is_the_largest_of_three(self, three):
        controls = three["against_random"]
        rows = controls[controls[["question", "context_length"]].isna().all(axis=1) & (controls["matching"] == "layer")]
        largest = rows.groupby(["method", "k"])["p"].max()
        assert rows.groupby(["method", "k"]).size().to_dict() == {
            **dict.fromkeys([("wu24", 10), ("qrhead", 10)], 2),
            **dict.fromkeys([("wu24", 20), ("qrhead", 20)], 3),
        }
        every = rows.groupby(["method", "k"])["p_every"].first()
        assert rows.groupby(["method", "k"])["p_every"].nunique().eq(1).all()
        pd.testing.assert_series_equal(every, holm(largest), check_names=False)

    def test_a_claim_that_holds_under_each_holds(self, three):
        made = judged(RULE, three, self.of("reading"))
        assert [claim.outcome for claim in made] == [SUPPORTED] * 2
        assert all("under each of 3 interventions" in claim.sentence for claim in made)

    def test_one_that_fails_under_the_third_alone_does_not(self):
        made = judged(RULE, self.tables((0.1, 0.2, 0.95)), self.of("reading"))
        assert [claim.outcome for claim in made] == [UNDECIDED] * 2
        held = "supported (“zero, question and answer”; “zero, all tokens”)"
        assert all(held in claim.sentence and "(“resample, question and answer”)" in claim.sentence for claim in made)

    def test_where_the_third_points_the_other_way_nothing_holds_under_all(self, three):
        controls = three["against_random"].assign(
            p=0.001, difference=lambda rows: rows["difference"].where(rows["intervention"] != "resampled", -0.2)
        )
        same = ["model", "question", "context_length", "variant", "depth", "method", "k", "matching"]
        found = corrected(controls, ["matching"], same, "difference")
        in_all = found.groupby(same, dropna=False)["intervention"].transform("nunique") == 3
        assert (found.loc[in_all, "p_every"] == 1).all() and (found.loc[in_all, "p_holm"] < 1).any()

    def test_of_prose_that_was_not_read_nothing_is_claimed_and_that_is_said(self, three):
        made = judged(type(self).LANGUAGE, three, self.of("reading"))
        assert [claim.outcome for claim in made] == [SUPPORTED] * 2
        for claim in made:
            assert "under each of 2 interventions (“zero, question and answer”; “zero, all tokens”)" in claim.sentence
            assert claim.sentence.endswith("Nothing is known of it under “resample, question and answer”.")

    def test_a_headline_without_prose_leaves_the_claim_to_the_others(self, three):
        made = judged(type(self).LANGUAGE, three, self.of("resampled"))
        assert [claim.outcome for claim in made] == [SUPPORTED] * 2
        assert all(claim.sentence.startswith("Under “zero, question and answer”: ") for claim in made)
        assert all("Nothing is known of it under “resample, question and answer”." in claim.sentence for claim in made)

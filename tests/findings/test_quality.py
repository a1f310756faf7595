"""What the findings say of methods and of single heads is what the tables hold, and each claim has each outcome."""

import numpy as np
import pandas as pd
import pytest

from made_tables import (
    ELEVEN_METHODS,
    asked_of,
    make_ablation,
    make_effects,
    make_labels,
    make_rankings,
    make_study,
)
from plain_sentences import faults
from retrieval_heads.analysis.head_effects import summarise_effects
from retrieval_heads.analysis.needed_or_carrying import pair_effects
from retrieval_heads.analysis.outcomes import as_outcomes
from retrieval_heads.analysis.ranking_quality import measure_quality, standing
from retrieval_heads.findings.claims import Outcome
from retrieval_heads.findings.claims.quality import one_method_is_best, some_heads_are_needed_and_carry_nothing
from retrieval_heads.findings.sections.blocks import ClaimList, Paragraph, TableBlock
from retrieval_heads.findings.sections.quality import carrying, quality
from retrieval_heads.study.wording import hundredths, p_cell, percent
from retrieval_heads.tables.head_effects import HEAD_EFFECTS
from retrieval_heads.tables.needed_or_carrying import BOTH, NEEDED_ONLY
from told_claims import told

pytestmark = pytest.mark.thorough

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED


def study_of(modes=("zero", "resample"), **how):
    study = make_study(**{"methods": ("wu24", "qrhead"), "questions": ("hq_state",), "lengths": (512,), **how})
    study.config["yardstick"]["modes"] = list(modes)
    return study


STUDY = study_of(levels=(20,))


def tables_of(study=STUDY, documents=12, told=4.0, effects=None, **ablation):
    """All tables about the quality of rankings, where effects are what the first method's scores say."""
    rankings = make_rankings(study, 10, 8, shared=0.3)
    effects = make_effects(study, rankings, documents, told=told) if effects is None else effects
    results = make_ablation(study, 40, **ablation)
    labels = make_labels(rankings)
    made = measure_quality(effects, rankings, labels, as_outcomes(results, 1, 200), asked_of(study))
    return {
        "rankings": rankings,
        "head_effects": effects,
        "head_effect_summary": summarise_effects(effects, 1, 200),
        "needed_or_carrying": pair_effects(effects, 0.05, 1, 200),
        **made._asdict(),
    }


def first_costs_most(method, k):
    return 0.4 if method == "qrhead" else 0.85


@pytest.fixture(scope="module")
def agreeing():
    return tables_of(top=first_costs_most)


def one(rule, tables, study=STUDY):
    (claim,) = rule(tables, study)
    told(claim)
    return claim


class TestBest:
    def test_supported_where_effects_and_ablation_agree(self, agreeing):
        claim = one(one_method_is_best, agreeing)
        assert claim.outcome is SUPPORTED and "Effects of heads and ablation agree: QRHead is best." in claim.sentence
        assert "the first 20 heads of QRHead capture most of what heads carry" in claim.sentence
        assert "Of what is needed for whatever reason, QRHead captures most" in claim.sentence

    def test_contradicted_where_ablation_names_another(self):
        claim = one(one_method_is_best, tables_of(top=lambda method, k: 0.4 if method == "wu24" else 0.85))
        assert claim.outcome is CONTRADICTED
        assert "Effects of heads name QRHead, and ablation Wu24: neither is best." in claim.sentence

    def test_contradicted_where_a_lead_that_matters_is_ruled_out(self, agreeing):
        tests = agreeing["quality_tests"]
        alike = {"difference": 0.01, "difference_low": -0.02, "difference_high": 0.03, "p": 0.4, "p_family": 0.4}
        tests = tests.assign(
            **{name: tests[name].mask(tests["measure"] == "captured", to) for name, to in alike.items()}
        )
        claim = one(one_method_is_best, {**agreeing, "quality_tests": tests})
        assert claim.outcome is CONTRADICTED and "5.0 points ahead of" in claim.sentence
        wide = tests.assign(difference_high=tests["difference_high"].mask(tests["measure"] == "captured", 0.3))
        claim = one(one_method_is_best, {**agreeing, "quality_tests": wide})
        assert claim.outcome is UNDECIDED and "The data do not tell which is best" in claim.sentence
        assert "Not told apart from it" in claim.sentence

    def test_undecided_where_ablation_does_not_show_it(self):
        claim = one(one_method_is_best, tables_of(top=0.6))
        assert claim.outcome is UNDECIDED and "QRHead is not called best, as ablation does not" in claim.sentence

    def test_undecided_where_its_heads_were_not_ablated(self, agreeing):
        tests = agreeing["quality_tests"]
        claim = one(one_method_is_best, {**agreeing, "quality_tests": tests[tests["measure"] != "area"]})
        assert claim.outcome is UNDECIDED and "its first heads were not ablated beside others'" in claim.sentence

    def test_undecided_of_few_documents(self):
        claim = one(one_method_is_best, tables_of(documents=4, top=first_costs_most))
        assert claim.outcome is UNDECIDED and "With 4 documents, the data do not tell" in claim.sentence

    def test_nothing_is_called_best_by_what_is_needed_alone(self):
        study = study_of(("zero",), levels=(20,))
        claim = one(one_method_is_best, tables_of(study, top=first_costs_most), study)
        assert claim.outcome is UNDECIDED and "takes a mode with twins among `yardstick.modes`" in claim.sentence

    def test_the_lead_is_told_as_the_number_that_decides(self, agreeing):
        claim = one(one_method_is_best, agreeing)
        tests = agreeing["quality_tests"].query("measure == 'captured' and mode == 'resample'")
        first = standing(tests, 0.05)
        assert claim.effect.value == pytest.approx(100 * first.smallest["difference"]) and claim.effect.p == first.p
        assert claim.of == {"model": "small", "context_length": 512}

    def test_of_several_interventions_it_is_told_who_leads_where_and_where_that_is_sure(self):
        both = {"zero_all": {"mode": "zero", "scope": "all"}, "reading": {"mode": "zero", "scope": "suffix"}}
        study = study_of(levels=(20,), interventions=both)
        tables = tables_of(study, top=first_costs_most)
        tests = tables["quality_tests"]
        other = tests[tests["measure"] == "area"].assign(intervention="reading")
        turned = {
            f"difference{end}": -other[f"difference{one}"]
            for end, one in (("", ""), ("_low", "_high"), ("_high", "_low"))
        }
        tests = pd.concat([tests, other.assign(p=0.4, p_family=0.4, **turned)])
        claim = one(one_method_is_best, {**tables, "quality_tests": tests}, study)
        lead = hundredths(standing(other, 0.05).smallest["difference"])
        assert f"QRHead ({lead} ahead under “zero, all tokens”) and Wu24 ({lead} ahead under “zero, " in claim.sentence
        assert "The lead is significant under 1 of 2 (“zero, all tokens”)." in claim.sentence

    def test_one_method_cannot_be_the_best(self):
        study = study_of(methods=("qrhead",), levels=(20,))
        claim = one(one_method_is_best, tables_of(study), study)
        assert claim.outcome is UNDECIDED and "That takes two methods" in claim.sentence


def paired_effects(needed, carrying_, documents=8, seed=0, modes=("zero", "resample")):
    """The head_effects table in which heads are needed for, and carry, these amounts, the same for all others."""
    rankings = make_rankings(STUDY, 10, 8)
    made = make_effects(STUDY, rankings, documents, told=0.0)
    rng, rows = np.random.default_rng(seed), []
    for row in made.to_dict("records"):
        effects = rng.normal(size=80) * 0.01
        effects[: len(needed)] += needed if row["mode"] == "zero" else carrying_
        odds = {} if row["logodds_effects"] is None else {"logodds_effects": effects.astype("float32")}
        rows.append(row | {"effects": effects.astype("float32")} | odds)
    frame = pd.DataFrame(rows, columns=HEAD_EFFECTS.columns)
    return frame[frame["mode"].isin(modes)]


class TestNeeded:
    def test_supported_by_a_head_that_carries_nothing(self):
        claim = one(some_heads_are_needed_and_carry_nothing, tables_of(effects=paired_effects([0.6, 0.1], [0.0, 0.5])))
        assert claim.outcome is SUPPORTED
        assert "1 of 80 heads is needed and shown to carry nothing (L0H0 0.6" in claim.sentence
        assert "carry more than is needed of them: 1 (L0H1 0.1" in claim.sentence
        assert claim.effect.value == 1

    def test_contradicted_where_every_needed_head_carries(self):
        claim = one(some_heads_are_needed_and_carry_nothing, tables_of(effects=paired_effects([0.6, 0.4], [0.5, 0.4])))
        assert claim.outcome is CONTRADICTED and "2 heads that are needed carries at least 20.0%" in claim.sentence

    def test_undecided_where_some_may(self):
        rng = np.random.default_rng(0)
        effects = paired_effects([0.6, 0.0], [0.0, 0.0])
        wild = effects["mode"] == "resample"
        effects.loc[wild, "effects"] = effects.loc[wild, "effects"].map(
            lambda e: e + np.float32(rng.normal()) * (e == e[0])
        )
        claim = one(some_heads_are_needed_and_carry_nothing, tables_of(effects=effects))
        assert claim.outcome is UNDECIDED and "is not ruled out" in claim.sentence

    def test_undecided_of_few_documents(self):
        tables = tables_of(effects=paired_effects([0.6], [0.0], documents=4))
        claim = one(some_heads_are_needed_and_carry_nothing, tables)
        assert claim.outcome is UNDECIDED and "So few documents do not tell." in claim.sentence

    @pytest.mark.parametrize(("mode", "missing"), [("zero", "What heads carry"), ("resample", "What is needed")])
    def test_undecided_where_one_number_is_missing(self, mode, missing):
        study = study_of((mode,), levels=(20,))
        tables = tables_of(study, effects=paired_effects([0.6], [0.0], modes=(mode,)))
        claim = one(some_heads_are_needed_and_carry_nothing, tables, study)
        assert claim.outcome is UNDECIDED and f"{missing}" in claim.sentence and "`yardstick.modes`" in claim.sentence


def said(section, study, tables):
    made = section(study, tables)
    text = " ".join(block.text for block in made.blocks if isinstance(block, Paragraph))
    return text, {block.name: block for block in made.blocks if isinstance(block, TableBlock)}, made


class TestSections:
    def test_heads_stand_with_both_numbers(self, agreeing):
        text, shown, made = said(carrying, STUDY, agreeing)
        assert "the orders of heads by the two numbers agree at Spearman" in text
        assert (
            "By log-odds against the twin's answer, the order of what is carried is the same at Spearman 1.000" in text
        )
        assert {block.header[0] for block in (shown["both_numbers"],)} == {"Head"}
        roles = {row[-1] for row in shown["both_numbers"].rows}
        assert roles <= {"", BOTH, NEEDED_ONLY, "backed up"}
        assert any(isinstance(block, ClaimList) for block in made.blocks)

    def test_shares_stand_beside_the_best_possible(self, agreeing):
        text, shown, _ = said(carrying, STUDY, agreeing)
        rows = agreeing["ranking_quality"]
        rows = rows[(rows["measure"] == "share") & rows["question"].isna() & (rows["mode"] == "resample")]
        best, wu24 = (rows.loc[rows["ranking"] == name, "value"].iloc[0] for name in ("ceiling", "wu24"))
        assert f"Wu24 {percent(wu24)}" in text and f"; best possible {percent(best)}, by lot 25.0%)" in text
        assert shown["shares_held"].header == ["First", "Ranking", "Of what is needed", "Of what is carried"]
        assert shown["shares_held"].rows[-1][1] == "best possible"

    def test_rankings_stand_with_rivals_and_ceiling(self, agreeing):
        _, shown, _ = said(quality, STUDY, agreeing)
        block = shown["quality_of_rankings"]
        assert block.header[:2] == ["Mode", "Ranking"] and "AUROC" not in block.header
        rankings = [row[1] for row in block.rows if row[0] == "resample"]
        assert rankings == ["Wu24", "QRHead", "heads by lot", "deepest layers first", "‖W_O z‖", "other documents"]
        tests = agreeing["quality_tests"].query("measure == 'captured' and mode == 'resample'")
        first = STUDY.label("method", standing(tests, 0.05).method)
        assert [row[0] for row in shown["quality_differences"].rows] == [f"{first} − Wu24"]
        assert [row[0] for row in shown["areas"].rows] == ["Wu24", "QRHead"]
        area = standing(agreeing["quality_tests"].query("measure == 'area'"), 0.05)
        p = {"QRHead": "", "Wu24": p_cell(area.p)}
        assert area.method == "qrhead" and {row[0]: row[2] for row in shown["areas"].rows} == p

    def test_what_is_missing_is_said_with_how_to_get_it(self):
        study = study_of(("zero",), levels=(20,))
        tables = tables_of(study)
        for section in (carrying, quality):
            assert "takes a mode with twins among `yardstick.modes`" in said(section, study, tables)[0]
        assert "Mode" not in said(quality, study, tables)[1]["quality_of_rankings"].header
        without = {name: tables[name] for name in ("rankings", "ranking_quality", "quality_tests")}
        areas = without["ranking_quality"].query("measure == 'area'")
        assert carrying(study, without).blocks == ()
        text, shown, _ = said(quality, study, {**without, "ranking_quality": areas})
        assert "takes a section called `yardstick`" in text and list(shown) == ["areas"]

    @pytest.mark.parametrize("methods", [("wu24", "qrhead", "summed_attention"), tuple(ELEVEN_METHODS)[:10]])
    @pytest.mark.parametrize("modes", [("zero", "resample"), ("zero", "uniform", "resample")])
    def test_sentences_stay_short_of_many_methods_models_and_lengths(self, methods, modes):
        study = study_of(modes, methods=methods, models=("small", "large"), lengths=(512, 1024), levels=(20,))
        tables = tables_of(study, documents=7)
        for section in (carrying, quality):
            text, shown, made = said(section, study, tables)
            assert "nan" not in text.split() and not faults(text)
            told(*(claim for block in made.blocks if isinstance(block, ClaimList) for claim in block.claims))
            assert all({len(row) for row in block.rows} == {len(block.header)} for block in shown.values())
            assert len([block for block in made.blocks if isinstance(block, ClaimList)]) == 1
        rows = shown["quality_of_rankings"].rows
        assert len(rows) == 2 * 2 * len(modes) * (len(methods) + 4)

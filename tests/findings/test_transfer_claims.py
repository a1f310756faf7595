"""What the findings say of a question's own heads is what the tables hold, and the claim has each outcome."""

from dataclasses import replace

import numpy as np
import pytest

from made_tables import ELEVEN_METHODS, QUESTIONS, make_study
from made_transfer import counted, measured, published_answers, right_answers, transfer_rows
from plain_sentences import faults
from retrieval_heads.findings.claims import Outcome, of_section, together
from retrieval_heads.findings.claims.transfer import own_heads_matter_more
from retrieval_heads.findings.sections.blocks import ClaimList, Paragraph, TableBlock
from retrieval_heads.findings.sections.transfer import transfer
from told_claims import told

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED
READING = {"reading": {"mode": "zero", "scope": "suffix"}}
STUDY = make_study(methods=("wu24", "qrhead"), interventions=READING)


def tables_of(own, others, documents=40, **values):
    return measured(transfer_rows(right_answers(own, others, documents), questions=list(QUESTIONS), **values))


def one(tables, study=STUDY):
    (claim,) = own_heads_matter_more(tables, study)
    told(claim)
    return claim


class TestOwnHeads:
    def test_supported_where_they_cost_more(self):
        claim = one(tables_of(0.2, 0.7))
        assert claim.outcome is SUPPORTED and "questions depend on heads of their own" in claim.sentence
        assert claim.statement == "A question's own top heads matter more to it than other questions' do, by Wu24"

    def test_contradicted_where_a_difference_that_matters_is_ruled_out(self):
        claim = one(measured(published_answers(), resamples=1000))
        assert claim.outcome is CONTRADICTED
        assert "That own heads cost 5.0 points more is ruled out: questions use the same heads" in claim.sentence
        assert "35.3% of answers are right without the question's own top 64 heads by Wu24." in claim.sentence
        assert "Without another question's, 35.6% are (" in claim.sentence and "87.8% without as many" in claim.sentence

    def test_contradicted_where_they_cost_less(self):
        claim = one(tables_of(0.8, 0.4))
        assert claim.outcome is CONTRADICTED and "the same heads" not in claim.sentence

    def test_undecided_where_the_interval_is_wide(self):
        claim = one(tables_of(0.45, 0.5, 8))
        assert claim.outcome is UNDECIDED and "5.0 points more is not ruled out" in claim.sentence

    def test_undecided_of_few_documents(self):
        claim = one(tables_of(0.0, 1.0, 5))
        assert claim.outcome is UNDECIDED and "So few documents do not tell." in claim.sentence

    def test_undecided_where_others_leave_no_more_than_guessing(self):
        guessed = counted(24, (120, 4), 1)
        claim = one(tables_of(0.04, 0.05, 120, guessed=guessed))
        assert claim.outcome is UNDECIDED
        assert "about as often as by guessing (5.0%)" in claim.sentence and "controls.transfer.level" in claim.sentence

    def test_a_question_that_stands_out_is_named(self):
        correct = right_answers(0.5, 0.5, 60)
        correct[:, 0, 0], correct[:, 0, 1:], correct[:, 1:, 0] = False, True, True
        claim = one(measured(transfer_rows(correct, questions=list(QUESTIONS))))
        assert "stand out beyond what heads and questions lose throughout (State of incorporation +" in claim.sentence

    def test_nothing_is_said_where_it_was_not_asked(self):
        assert own_heads_matter_more({}, STUDY) == []
        assert not transfer(STUDY, {}).blocks

    def test_many_methods_are_summed_up(self):
        study = make_study(methods=tuple(ELEVEN_METHODS), interventions=READING)
        frames = [transfer_rows(right_answers(0.1, 0.8, 12, seed=i), method=m) for i, m in enumerate(ELEVEN_METHODS)]
        (claim,) = together(own_heads_matter_more(measured(*frames), study))
        assert claim.outcome is SUPPORTED and "each of 11 methods" in claim.sentence


def blocks(tables, kind, study=STUDY):
    return [block for block in transfer(study, tables).blocks if isinstance(block, kind)]


def test_the_section_shows_what_the_table_holds():
    found = tables_of(0.2, 0.7, random=np.ones((40, 4), bool))
    (shown,) = blocks(found, TableBlock)
    assert len(shown.rows) == 5 and shown.rows[0][1] == "all"
    tests = found["transfer_tests"]
    row = tests[tests["question"].isna()].iloc[0]
    assert shown.rows[0][shown.header.index("Without its own")] == f"{100 * row['own']:.1f}%"
    assert shown.rows[0][shown.header.index("Without random")] == "100.0%"
    assert [line[1] for line in shown.rows[1:]] == [QUESTIONS[name]["label"] for name in QUESTIONS]
    assert blocks(found, ClaimList)[0].claims == of_section("transfer", found, STUDY)
    assert "40 documents that state all facts" in blocks(found, Paragraph)[0].text
    assert not faults(blocks(found, Paragraph)[0].text)


def test_of_many_methods_the_table_names_questions_that_stand_out_alone():
    study = make_study(methods=tuple(ELEVEN_METHODS), interventions=READING)
    frames = [transfer_rows(right_answers(0.5, 0.5, 12, seed=i), method=m) for i, m in enumerate(ELEVEN_METHODS)]
    found = measured(*frames)
    (shown,) = blocks(found, TableBlock, study)
    assert len(shown.rows) == 11 + (found["transfer_tests"].dropna(subset="question")["p_holm"] < 0.05).sum()


def test_methods_without_sets_of_one_size_are_named():
    controls = {"transfer": {"methods": ["wu24", "qrhead"]}}
    study = replace(STUDY, config=STUDY.config | {"controls": controls})
    texts = [block.text for block in blocks(tables_of(0.2, 0.7), Paragraph, study)]
    assert "Ties leave no two questions top sets of one size: QRHead." in texts


def test_without_any_it_says_so():
    found = tables_of(0.2, 0.7)
    (text,) = blocks({name: table.iloc[:0] for name, table in found.items()}, Paragraph)
    assert text.text == "No two questions have top sets of one size, so none was compared."


@pytest.mark.parametrize("value", ["p", "difference"])
def test_several_settings_have_a_claim_each(value):
    frames = [transfer_rows(right_answers(0.2, 0.7, 12), context_length=length) for length in (512, 1024)]
    claims = own_heads_matter_more(measured(*frames), STUDY)
    assert [claim.about for claim in claims] == ["Wu24 in small at 512 tokens", "Wu24 in small at 1,024 tokens"]
    told(*claims)

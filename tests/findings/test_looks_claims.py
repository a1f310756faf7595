"""What the findings say of where heads look is what the tables hold, and each claim has each outcome."""

import pytest

from made_tables import make_looks, make_rankings, make_study
from plain_sentences import faults
from retrieval_heads.analysis.looks import summarise_looks
from retrieval_heads.figures import drawable
from retrieval_heads.findings.claims import Outcome
from retrieval_heads.findings.claims.looks import first_heads_rest_less, hits_are_at_the_answer
from retrieval_heads.findings.sections.blocks import Paragraph, TableBlock
from retrieval_heads.findings.sections.looks import looks as section
from retrieval_heads.study.needs import available
from retrieval_heads.study.wording import percent
from told_claims import told

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED
STUDY = make_study(methods=("wu24", "qrhead"), lengths=(512,), levels=(5,), controls={"looks": {}})
RANKINGS = make_rankings(STUDY, 10, 8)


def tables_of(looks=None, **how):
    looks = make_looks(STUDY, RANKINGS, **how) if looks is None else looks
    return summarise_looks(looks, RANKINGS, 5, 1, 200)._asdict()


def first(rule, tables):
    """The claim about the method whose first heads hit most."""
    claims = rule(tables, STUDY)
    told(*claims)
    return claims[0]


def test_hits_are_at_the_answer():
    tables = tables_of()
    claim = first(hits_are_at_the_answer, tables)
    row = tables["look_sets"].set_index("method").loc["wu24"]
    hits = row["at_answer"] + row["at_distractor"] + row["elsewhere"]
    assert claim.outcome is SUPPORTED
    assert f"have a hit in {percent(hits)} of the rows" in claim.sentence
    assert f"{percent(row['at_answer'] / hits)} are at the answer" in claim.sentence
    assert f"would have {percent(row['answer_chance'] / hits)} at the answer" in claim.sentence


def test_hits_of_heads_that_look_for_the_token_alone_are_not():
    assert first(hits_are_at_the_answer, tables_of(at_answer=0.2)).outcome is CONTRADICTED
    assert first(hits_are_at_the_answer, tables_of(at_answer=0.5, documents=40)).outcome is CONTRADICTED


@pytest.mark.parametrize("how", [{"documents": 4}, {"hits": 0.0}])
def test_few_documents_or_no_hits_do_not_tell(how):
    assert first(hits_are_at_the_answer, tables_of(**how)).outcome is UNDECIDED


def resting(beside):
    """Looks whose first heads rest on the first token this much more often than others."""
    looks, ranks = make_looks(STUDY, RANKINGS, 12), RANKINGS[RANKINGS["method"] == "wu24"]
    top = {
        question: (rows.sort_values(["layer", "head"])["last"] <= 5).to_numpy()
        for question, rows in ranks.groupby("question")
    }
    moved = [sink + beside * top[question] for sink, question in zip(looks["sink"], looks["question"], strict=True)]
    return looks.assign(sink=moved)


@pytest.mark.parametrize(
    ("beside", "outcome"), [(-0.1, SUPPORTED), (0.1, CONTRADICTED), (0.0, CONTRADICTED)], ids=["less", "more", "alike"]
)
def test_first_heads_rest_less(beside, outcome):
    claim = first(first_heads_rest_less, tables_of(resting(beside)))
    assert claim.outcome is outcome
    assert "rest on the first token in" in claim.sentence
    assert claim.effect.value == pytest.approx(100 * beside, abs=1)


def test_few_documents_do_not_tell_of_sinks():
    assert first(first_heads_rest_less, tables_of(documents=4)).outcome is UNDECIDED


def test_the_section_names_heads_and_shows_every_method():
    tables = tables_of()
    blocks = section(STUDY, tables).blocks
    (block,) = (block for block in blocks if isinstance(block, TableBlock))
    assert [row[0] for row in block.rows] == ["all heads", "Wu24", "QRHead"]
    sure = tables["look_summary"].query("p_family < 0.05 and beyond_chance > 0")
    (said,) = (block.text for block in blocks if isinstance(block, Paragraph) and "p corrected over" in block.text)
    assert not [fault for block in blocks for fault in faults(getattr(block, "text", ""))]
    assert f"{len(sure)} heads of 80 look at the answer beyond chance" in said


def test_a_study_without_it_shows_none():
    without = make_study()
    assert section(without, {}).blocks == () and hits_are_at_the_answer({}, without) == []
    assert "looks" not in drawable(available(without.config)) and "looks" in drawable(available(STUDY.config))


def test_a_model_that_answers_nothing_is_told():
    looks = make_looks(STUDY, RANKINGS).assign(correct=False)
    (block,) = section(STUDY, tables_of(looks)).blocks
    assert "answers none of the prompts" in block.text

"""What the findings say of prompts without a twin."""

from made_tables import SMALL, make_counts, small_tables
from retrieval_heads.findings.sections.blocks import Paragraph
from retrieval_heads.findings.sections.setup import data


def said(counts):
    section = data(SMALL, {**small_tables(), "dataset_counts": counts})
    return [block.text for block in section.blocks if isinstance(block, Paragraph) and "twin" in block.text]


def test_the_share_without_a_twin_is_told_with_the_reasons():
    counts = make_counts(SMALL)
    used, test = counts["status"] == "ok", counts["split"] == "test"
    counts.loc[used, "twin_status"] = "ok"
    counts.loc[used & test, "twin_status"] = "too long"
    cells = int((used & test).sum())
    (sentence,) = said(counts)
    assert sentence == (
        f"{11 * cells:,} of {21 * cells:,} prompts (52%) have a twin, which states another value of the fact. The "
        f"others have none: {10 * cells:,} × too long."
    )


def test_a_study_without_twins_says_nothing_of_them():
    assert said(make_counts(SMALL)) == []

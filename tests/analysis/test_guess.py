"""Accuracy is read between the baseline and what guessing gives, and guessing is mistaken for neither."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from made_tables import (
    TEMPLATES,
    analyse,
    make_ablation,
    make_counts,
    make_rankings,
    make_study,
)
from retrieval_heads import tables
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes, summarise
from retrieval_heads.findings import rendering
from retrieval_heads.tables.effects import EFFECTS
from retrieval_heads.tables.select import select

pytestmark = pytest.mark.thorough

STUDY = make_study(methods=("wu24", "qrhead"), questions=("inc_year", "hq_state"), levels=(5, 20))
GUESSED = ["guess", "guess_low", "guess_high", "headroom", "headroom_low", "headroom_high"]
RESULTS = {
    "rows": make_ablation(STUDY),
    "counts": summarise(make_ablation(STUDY)),
}


def without_guesses(results):
    return results[results["source"] != "no_needle"].reset_index(drop=True)


@cache
def analysed(known, guessed):
    """All tables from rows or counts, with guesses or without: made once, as no test changes them."""
    results = RESULTS[known]
    return analyse(STUDY, make_rankings(STUDY), results if guessed else without_guesses(results))


@pytest.mark.parametrize("known", RESULTS)
def test_it_is_the_accuracy_without_the_document_in_every_cell_and_pooled(known, tmp_path):
    found = analysed(known, True)["effects"]
    tables.write(found, tmp_path / "effects.parquet", EFFECTS)
    rows = RESULTS["rows"]
    for row in found.itertuples():
        cell = rows[rows["model"] == row.model]
        cell = cell if pd.isna(row.question) else cell[cell["question"] == row.question]
        cell = cell if pd.isna(row.context_length) else cell[cell["context_length"] == row.context_length]
        right = cell.groupby("source")["correct"].mean()
        assert row.guess == pytest.approx(right["no_needle"])
        assert row.headroom == pytest.approx(right["baseline"] - right["no_needle"])
        assert row.guess_low <= row.guess <= row.guess_high and row.headroom_low <= row.headroom <= row.headroom_high


@pytest.mark.parametrize("known", RESULTS)
def test_it_changes_nothing_else(known):
    guessed, not_guessed = analysed(known, True), analysed(known, False)
    for name in ("against_random", "steps", "mean_drops", "tests"):
        pd.testing.assert_frame_equal(guessed[name], not_guessed[name])
    rest = [name for name in EFFECTS.columns if name not in GUESSED]
    pd.testing.assert_frame_equal(guessed["effects"][rest], not_guessed["effects"][rest])
    assert not_guessed["effects"][GUESSED].isna().all(axis=None)


def test_it_is_over_the_prompts_that_an_effect_is_about():
    rows = RESULTS["rows"]
    lost = (rows["source"] == "method") & (rows["doc_id"] == "doc0")
    found = select(estimate_effects(as_outcomes(rows[~lost], 1, 200)).effects, pooled=["question", "context_length"])
    guesses = rows[(rows["source"] == "no_needle") & (rows["doc_id"] != "doc0")]
    assert found["guess"].to_numpy() == pytest.approx(np.full(len(found), guesses["correct"].mean()))


def test_a_cell_that_was_not_guessed_at_leaves_the_rest_known():
    rows = RESULTS["rows"]
    gone = (rows["source"] == "no_needle") & (rows["question"] == "inc_year")
    for results in (rows[~gone], summarise(rows[~gone])):
        found = estimate_effects(as_outcomes(results, 1, 200)).effects
        assert found.loc[found["question"] == "inc_year", "guess"].isna().all()
        assert found.loc[found["question"] == "hq_state", "guess"].notna().all()


def blocks(made, name):
    return [block for section in made.sections for block in section.blocks if getattr(block, "name", "") == name]


def test_findings_show_it_where_it_is_known():
    for found, known in ((analysed("rows", True), True), (analysed("counts", False), False)):
        made = {**found, "dataset_counts": make_counts(STUDY)}
        built = rendering.build(STUDY, made, {}, TEMPLATES)
        (curves,), (baseline,) = blocks(built, "effects"), blocks(built, "baseline")
        assert ("Guessing" in curves.header) == known
        assert any("without the document" in row for row in baseline.rows) == known
        assert len({len(row) for block in (curves, baseline) for row in [block.header, *block.rows]}) <= 2
        text = rendering.markdown(built)
        assert ("so guessing is not told from retrieval" in text) == (not known)
        assert ("so lost retrieval is not told from a broken model" in text) == (not known)
        assert bool(blocks(built, "guard")) == known

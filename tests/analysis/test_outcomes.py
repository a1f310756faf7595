"""Rows and counts answer alike what both can tell, and say what counts cannot."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_tables import make_ablation, make_study
from retrieval_heads import tables
from retrieval_heads.analysis.drops import drops_by_unit, mean_drops
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import BASELINE, CONFIGURATION, HeadSet, as_outcomes, summarise
from retrieval_heads.analysis.statistics import newcombe, wilson
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.ablation_summary import ABLATION_SUMMARY
from retrieval_heads.tables.against_random import AGAINST_RANDOM
from retrieval_heads.tables.columns import INTERVENTION_COLUMNS
from retrieval_heads.tables.effects import EFFECTS
from retrieval_heads.tables.mean_drops import MEAN_DROPS
from retrieval_heads.tables.steps import STEPS

HOW = {"everywhere": {"mode": "zero", "scope": "all"}, "reading": {"mode": "zero", "scope": "suffix"}}
STUDY = make_study(methods=("wu24", "qrhead"), questions=("hq_state", "inc_year"), levels=(5, 20), interventions=HOW)
TABLES = {"effects": EFFECTS, "against_random": AGAINST_RANDOM, "steps": STEPS, "mean_drops": MEAN_DROPS}
POINTS = {"accuracy", "drop", "difference", "change", "baseline", "guess", "headroom", "drop_sd"}
TOP = HeadSet("method", "wu24", k=5)


def made(**ablation):
    """Rows of both interventions, of which the second has fewer documents."""
    few = make_ablation(STUDY, 5, seed=3, top=0.4, intervention="reading")
    return pd.concat([make_ablation(STUDY, **ablation), few], ignore_index=True)


@pytest.fixture(scope="module")
def ablation():
    return made()


def analysed(results, resamples=50):
    outcomes = as_outcomes(results, 1, resamples)
    return estimate_effects(outcomes)._asdict() | {"mean_drops": mean_drops(outcomes, STUDY.categories)}


def one_configuration(results):
    return next(as_outcomes(results, 1, 50).split(CONFIGURATION))


def assert_same_points(by_rows, by_counts):
    for name, table in TABLES.items():
        rows, counts = by_rows[name], by_counts[name]
        same = [*table.key, "size", "k_to", "k_before", "prompts", "draws", "matched", "configurations"]
        same = [column for column in same if column in rows]
        pd.testing.assert_frame_equal(rows[same], counts[same], check_dtype=False)
        for column in POINTS.intersection(rows):
            assert counts[column].to_numpy(float) == pytest.approx(rows[column].to_numpy(float), nan_ok=True), column


@pytest.mark.thorough
def test_rows_and_the_counts_made_from_them_give_the_same_estimates(ablation):
    by_rows, by_counts = analysed(ablation), analysed(summarise(ablation))
    assert_same_points(by_rows, by_counts)
    assert by_counts["effects"]["documents"].isna().all() and by_rows["effects"]["documents"].notna().all()


@pytest.mark.thorough
@given(st.data())
@settings(max_examples=5, deadline=None)
def test_they_do_where_sets_tie_and_configurations_are_missing(data):
    rows = make_ablation(STUDY, 4, seed=data.draw(st.integers(0, 99)))
    size = data.draw(st.integers(1, 20))
    rows["size"] = rows["size"].where(rows["method"] != "wu24", np.minimum(rows["k"], size))
    gone = rows["question"].eq("inc_year") & rows["context_length"].eq(512)
    gone &= rows["source"].isin(data.draw(st.sets(st.sampled_from(["baseline", "method", "random", "no_needle"]))))
    assert_same_points(analysed(rows[~gone]), analysed(summarise(rows[~gone])))


@pytest.mark.thorough
def test_a_table_read_from_disk_gives_the_same(ablation, tmp_path):
    for results, table in ((ablation, ABLATION), (summarise(ablation), ABLATION_SUMMARY)):
        tables.write(results, tmp_path / table.name, table)
        read, here = analysed(tables.read(tmp_path / table.name, table)), analysed(results)
        for name in TABLES:
            pd.testing.assert_frame_equal(read[name], here[name], check_dtype=False)


@pytest.mark.thorough
@pytest.mark.parametrize("counted", [False, True])
def test_each_intervention_is_measured_for_itself(ablation, counted):
    results = summarise(ablation) if counted else ablation
    together = analysed(results)
    for name in HOW:
        alone = analysed(results[results["intervention"] == name])
        for table, frame in together.items():
            here = frame[frame["intervention"] == name].reset_index(drop=True)
            uncorrected = [column for column in frame if column not in ("p_holm", "p_every")]
            pd.testing.assert_frame_equal(here[uncorrected], alone[table][uncorrected])
    drops = drops_by_unit(as_outcomes(results, 1))
    assert set(drops["intervention"]) == set(HOW) and not drops.drop(columns="drop").duplicated().any()


def test_a_summary_counts_right_answers(ablation):
    summary = summarise(ablation)
    cell = ["model", "question", "context_length", "intervention"]
    right = ablation[ablation["source"] == "baseline"].groupby(cell)["correct"].agg(["sum", "size", "mean"])
    found = summary[summary["source"] == "baseline"].set_index(cell)[["correct", "total", "accuracy"]]
    assert found.loc[right.index].to_numpy().tolist() == right.to_numpy().tolist()


def test_what_is_shared_is_over_the_prompts_that_have_every_outcome(ablation):
    lost = (ablation["source"] == "method") & (ablation["doc_id"] == "doc0")
    cell = one_configuration(ablation[~lost])
    both, alone = cell.shared(baseline=BASELINE, ablated=TOP), cell.shared(baseline=BASELINE)
    assert (both.prompts, both.documents, alone.prompts) == (9, 9, 10)
    assert both.difference("baseline", "ablated").units.tolist() == [f"doc{number}" for number in range(1, 10)]


def test_counts_know_intervals_of_proportions_and_no_paired_test(ablation):
    cell = one_configuration(summarise(ablation))
    rows = one_configuration(ablation).frame
    right = [
        int(rows.loc[rows["source"].eq(of.source) & rows["method"].eq(of.method) & rows["k"].eq(of.k), "correct"].sum())
        for of in (BASELINE, TOP)
    ]
    shared = cell.shared(baseline=BASELINE, ablated=TOP)
    assert shared.accuracy("ablated") == wilson(right[1], 10)
    assert shared.difference("baseline", "ablated").estimate == newcombe(right[0], 10, right[1], 10)
    assert np.isnan(shared.paired_p("ablated", "baseline")) and 0 < shared.p("ablated", "baseline") <= 1
    assert shared.documents is None


def test_several_draws_count_as_their_mean_and_what_has_fewer_has_its_own_again(ablation):
    missing = (ablation["draw"] == 1) & (ablation["matching"] == "layer") & (ablation["doc_id"] < "doc5")
    cell = one_configuration(ablation[~missing])
    draws = cell.sets.controls(TOP)["layer"]
    assert [draw.draw for draw in draws] == [0, 1]
    rows = cell.frame[cell.frame["matching"].eq("layer") & cell.frame["method"].eq("wu24") & cell.frame["k"].eq(5)]
    expected = rows.groupby("doc_id")["correct"].mean().mean()
    shared = cell.shared(random=draws)
    assert shared.prompts == 10 and shared.accuracy("random").value == pytest.approx(expected)


def test_units_are_documents_or_configurations(ablation):
    rows, counts = as_outcomes(ablation, 1), as_outcomes(summarise(ablation), 1)
    assert rows.unit("question") == (["doc_id"], "document")
    assert counts.unit("method") == (["model", "question", "context_length", "variant"], "configuration")
    assert counts.unit("question") == (["model", "context_length", "variant"], "configuration group")
    by_document, by_configuration = drops_by_unit(rows), drops_by_unit(counts)
    documents = by_document.groupby([*INTERVENTION_COLUMNS, "source"])["doc_id"].nunique().groupby("intervention").max()
    assert documents.to_dict() == {"everywhere": 10, "reading": 5}
    assert by_configuration["doc_id"].isna().all()
    key = [name for name in by_document if name not in ("doc_id", "drop")]
    means = by_document.groupby(key, dropna=False)["drop"].mean()
    assert means.to_numpy() == pytest.approx(by_configuration.groupby(key, dropna=False)["drop"].mean().to_numpy())

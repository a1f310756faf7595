"""What is told of heads and sets is what tables made by hand hold, and nothing is found where nothing is."""

import numpy as np
import pandas as pd
import pytest

from made_compensation import made_heads, made_sets, study_of
from retrieval_heads.analysis.compensation import summarise_heads, summarise_sets
from retrieval_heads.tables.set_compensation import (
    BEYOND_RANDOM,
    DIRECT,
    EFFECT,
    INTERACTION,
    RANDOM_EFFECT,
    RANDOM_RESTORED,
    REPAIR,
    RESTORED,
    SINGLES,
    TOTAL,
)

STUDY = study_of(questions=("hq_state", "inc_year"))


def heads_of(heads, study=STUDY, **how):
    table = summarise_heads(made_heads(study, heads, **how), 0.05, 1, 300)
    here = table[table["intervention"] == "reading"]
    return {(row["layer"], row["head"]): row for row in here.to_dict("records")}


def sets_of(study=STUDY, intervention="other_value", **how):
    """(measure, k) → its row, of sets; (measure, k_before, k) → of steps."""
    table = summarise_sets(made_sets(study, **how), 1, 300)
    here = table[(table["intervention"] == intervention) & (table["method"] == "wu24")]
    return {
        (row["measure"], *([] if np.isnan(before) else [int(before)]), row["k"]): row
        for row, before in zip(here.to_dict("records"), here["k_before"].astype(float), strict=True)
    }


class TestHeads:
    def test_what_is_made_up_for_is_what_is_written_less_what_is_lost(self):
        found = heads_of({(3, 1): (1.0, 0.25), (4, 0): (0.5, 0.5)})
        assert found[3, 1]["direct"] == pytest.approx(1.0, abs=0.02)
        assert found[3, 1]["repair"] == pytest.approx(0.75, abs=0.03)
        assert found[3, 1]["backed_up"] is True and found[4, 0]["backed_up"] is False
        assert found[3, 1]["prompts"] == 16 and found[3, 1]["documents"] == 8

    def test_heads_that_hardly_matter_are_not_tested(self):
        found = heads_of({(3, 1): (0.04, 0.0), (4, 0): (0.5, 0.5)})
        assert np.isnan(found[3, 1]["p_family"]) and found[3, 1]["backed_up"] is None

    def test_a_mean_is_over_a_documents_prompts_and_then_over_documents(self):
        made = made_heads(STUDY, {(0, 0): (0.0, 0.0)}, documents=2, noise=0.0)
        made = made[(made["doc_id"] == "d0") | (made["question"] == "hq_state")].copy()
        of_first = made["question"].map({"hq_state": 1.0, "inc_year": 3.0})
        made["direct"] = of_first.where(made["doc_id"] == "d0", 8.0)
        table = summarise_heads(made, 0.05, 1, 300)
        assert table["direct"].tolist() == [5.0, 5.0]

    def test_one_document_has_no_interval(self):
        (row,) = heads_of({(0, 0): (1.0, 0.2)}, documents=1).values()
        assert np.isnan(row["repair_low"]) and row["backed_up"] is None

    def test_of_heads_that_nothing_is_made_up_for_hardly_any_is_said_to_be_backed_up(self):
        """A simulated null: 40 families of 20 heads, at a level of 5%."""
        wrong = 0
        for seed in range(40):
            found = heads_of({(0, head): (0.5, 0.5) for head in range(20)}, noise=0.5, seed=seed)
            wrong += any(row["backed_up"] is True for row in found.values())
        assert wrong <= 6

    def test_no_heads(self):
        assert summarise_heads(made_heads(STUDY, {}), 0.05, 1, 300).empty


class TestSets:
    def test_what_a_set_costs_beyond_the_sum_of_its_heads(self):
        found = sets_of(effect=lambda k: 3.0, singles=lambda k: 1.0)
        assert found[EFFECT, 5]["value"] == pytest.approx(3, abs=0.05)
        assert found[SINGLES, 5]["value"] == pytest.approx(1, abs=0.05)
        both = found[INTERACTION, 5]
        assert both["value"] == pytest.approx(2, abs=0.05) and both["value_low"] > 1.9 and both["p_family"] < 0.02
        assert both["prompts"] == 16 and both["documents"] == 8
        assert found[RANDOM_EFFECT, 5]["value"] == pytest.approx(3, abs=0.1)

    def test_what_is_made_up_for(self):
        found = sets_of(direct=lambda k: 2.0, total=lambda k: 0.5)
        assert found[DIRECT, 20]["value"] == pytest.approx(2, abs=0.05)
        assert found[TOTAL, 20]["value"] == pytest.approx(0.5, abs=0.05)
        assert found[REPAIR, 20]["value"] == pytest.approx(1.5, abs=0.06) and found[REPAIR, 20]["p_family"] < 0.02

    def test_what_is_restored_is_a_share_of_what_lies_between_prompt_and_twin(self):
        found = sets_of(restored=lambda k: 0.7, random=0.1)
        assert found[RESTORED, 5]["value"] == pytest.approx(0.7, abs=0.01)
        assert found[RANDOM_RESTORED, 5]["value"] == pytest.approx(0.1, abs=0.01)
        assert found[BEYOND_RANDOM, 5]["value"] == pytest.approx(0.6, abs=0.01)
        assert found[BEYOND_RANDOM, 5]["p_family"] < 0.02

    def test_where_random_heads_lie_is_told_beside_what_they_do(self):
        found = sets_of(matched=0.25)
        for measure in (RANDOM_EFFECT, RANDOM_RESTORED, BEYOND_RANDOM):
            assert found[measure, 5]["matched"] == 0.25
        assert pd.isna(found[EFFECT, 5]["matched"]) and pd.isna(found[RESTORED, 5]["matched"])

    def test_without_twins_nothing_is_restored(self):
        assert not {RESTORED, BEYOND_RANDOM} & {key[0] for key in sets_of(intervention="reading")}

    def test_nothing_is_restored_where_prompt_and_twin_are_alike(self):
        made = made_sets(STUDY)
        made["answer_logodds"] = made["twin_logodds"]
        assert not summarise_sets(made, 1, 300)["measure"].isin([RESTORED, RANDOM_RESTORED, BEYOND_RANDOM]).any()

    def test_steps_are_from_one_level_to_the_next_over_the_prompts_of_both(self):
        study = study_of(levels=(5, 10, 20))
        made = made_sets(study, total=lambda k: {5: 1.0, 10: 3.0, 20: 2.0}[k], direct=lambda k: {5: 1, 10: 3, 20: 4}[k])
        made = made[(made["doc_id"] != "d0") | (made["k"] != 20)]
        table = summarise_sets(made, 1, 300)
        table = table[(table["intervention"] == "reading") & table["k_before"].notna()]
        found = table.set_index(["k_before", "k", "measure"])
        assert set(zip(table["k_before"], table["k"], strict=True)) == {(5, 10), (10, 20)}
        assert found.loc[(10, 20, TOTAL), "value"] == pytest.approx(-1, abs=0.06)
        assert found.loc[(10, 20, REPAIR), "value"] == pytest.approx(2, abs=0.09)
        assert found.loc[(10, 20, TOTAL), "documents"] == 7 and found.loc[(5, 10, TOTAL), "documents"] == 8

    @pytest.mark.thorough
    def test_where_sets_cost_their_sum_hardly_any_is_said_to_cost_more_or_less(self):
        """A simulated null: 40 families of three methods at two levels, at a level of 5%."""
        study = study_of(methods=("summed_attention", "wu24", "qrhead"))
        wrong = 0
        for seed in range(40):
            table = summarise_sets(made_sets(study, noise=1.0, seed=seed), 1, 100)
            here = table[(table["intervention"] == "reading") & (table["measure"] == INTERACTION)]
            wrong += (here.loc[here["k_before"].isna(), "p_family"] < 0.05).any()
        assert wrong <= 6

    def test_no_sets(self):
        assert summarise_sets(made_sets(STUDY, documents=0), 1, 300).empty

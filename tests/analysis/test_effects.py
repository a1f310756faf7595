from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from made_tables import make_ablation, make_study
from retrieval_heads import tables
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes, summarise
from retrieval_heads.analysis.statistics import fisher
from retrieval_heads.errors import StudyError
from retrieval_heads.tables.ablation import ABLATION
from retrieval_heads.tables.against_random import AGAINST_RANDOM
from retrieval_heads.tables.effects import EFFECTS
from retrieval_heads.tables.select import select
from retrieval_heads.tables.steps import STEPS

pytestmark = pytest.mark.thorough

ALL = ("question", "context_length")
MADE = (EFFECTS, AGAINST_RANDOM, STEPS)


def effects_of(results, resamples=200, seed=1):
    return estimate_effects(as_outcomes(results, seed, resamples))


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.fixture(scope="module")
def ablation(study):
    return make_ablation(study)


@pytest.fixture(scope="module")
def both(ablation):
    return effects_of(ablation)


class TestEffects:
    def test_drop_and_difference_are_differences(self, both, ablation):
        effect, control = (select(frame, pooled=ALL, method="qrhead", k=20).iloc[0] for frame in both[:2])
        rows = ablation[ablation["method"] == "qrhead"]
        rows = rows[(rows["k"] == 20) & (rows["matching"] == "layer")]
        baseline = ablation.loc[ablation["source"] == "baseline", "correct"].mean()
        assert effect["drop"] == pytest.approx(baseline - effect["accuracy"])
        assert control["matching"] == "layer" and control["draws"] == 2
        assert control["accuracy"] == pytest.approx(rows["correct"].mean())
        assert control["difference"] == pytest.approx(control["accuracy"] - effect["accuracy"])
        assert control["prompts"] == 80 and control["documents"] == 10

    def test_every_pooling_is_there_once(self, both):
        for frame, sets in zip(both, (9, 18, 9), strict=True):
            assert [len(select(frame, pooled=pool)) for pool in ((), ALL[:1], ALL[1:], ALL)] == [
                8 * sets,
                2 * sets,
                4 * sets,
                sets,
            ]

    def test_pooled_intervals_are_narrower(self, both):
        def width(rows):
            return (rows["accuracy_high"] - rows["accuracy_low"]).mean()

        assert width(select(both[0], pooled=ALL, k=10)) < width(select(both[0], k=10))

    def test_correction_never_lowers_p(self, both):
        for frame in both:
            assert (frame["p_holm"] >= frame["p"]).all()

    def test_tables_fit_their_schemas(self, both, tmp_path):
        for frame, table in zip(both, MADE, strict=True):
            tables.write(frame, tmp_path / table.name, table)
            assert len(tables.read(tmp_path / table.name, table)) == len(frame)

    def test_row_order_does_not_matter_and_the_seed_does(self, both, ablation):
        shuffled = effects_of(ablation.sample(frac=1, random_state=3))
        for one, other in zip(shuffled, both, strict=True):
            pd.testing.assert_frame_equal(one, other)
        other = effects_of(ablation, seed=2).effects
        assert not other["accuracy_low"].equals(both[0]["accuracy_low"])

    def test_a_table_read_from_disk_gives_the_same(self, both, ablation, tmp_path):
        tables.write(ablation, tmp_path / "ablation.parquet", ABLATION)
        read = effects_of(tables.read(tmp_path / "ablation.parquet", ABLATION))
        for one, other in zip(read, both, strict=True):
            pd.testing.assert_frame_equal(one, other, check_dtype=False)

    def test_another_question_changes_no_other(self, both, ablation):
        fewer = effects_of(ablation[ablation["question"] != "hq_state"])[0]
        kept = select(both[0])
        kept = kept[kept["question"] != "hq_state"].drop(columns=["p_holm", "p_every"]).reset_index(drop=True)
        pd.testing.assert_frame_equal(select(fewer).drop(columns=["p_holm", "p_every"]).reset_index(drop=True), kept)

    def test_a_hole_is_compared_with_its_own_baseline(self, study, ablation):
        hole = (ablation["method"] == "wu24") & (ablation["question"] == "inc_year")
        frame, controls, steps = effects_of(ablation[~hole], 50)
        assert select(frame, pooled=ALL, method="wu24", k=5).iloc[0]["prompts"] == 60
        assert select(frame, pooled=ALL, method="qrhead", k=5).iloc[0]["prompts"] == 80
        assert select(frame, method="wu24", question="inc_year").empty
        assert select(controls, method="wu24", question="inc_year").empty
        assert select(steps, method="wu24", question="inc_year").empty

    def test_nothing_ablated_gives_empty_tables(self, ablation):
        unablated = ablation[ablation["source"] == "baseline"]
        for made in (effects_of(unablated, 50), effects_of(summarise(unablated))):
            assert all(
                frame.empty and list(frame.columns) == table.columns for frame, table in zip(made, MADE, strict=True)
            )

    def test_no_test_depends_on_what_else_is_tested(self, both, ablation):
        kept = ablation[(ablation["method"] == "qrhead") | ablation["method"].isna()]
        kept = kept[kept["k"].isin((0, 10))]
        alone = effects_of(kept)
        for one, other in zip(alone[:2], both[:2], strict=True):
            among = other[(other["method"] == "qrhead") & (other["k"] == 10)].reset_index(drop=True)
            pd.testing.assert_frame_equal(
                one.drop(columns=["p_holm", "p_every"]), among.drop(columns=["p_holm", "p_every"])
            )

    def test_the_share_of_matched_heads_is_the_mean_over_draws(self):
        study = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,), levels=(5,))
        rows = make_ablation(study, 2)
        rows["matched"] = rows["matched"].where(rows["draw"] != 1, 0.6)  # of two draws, the second
        found = select(effects_of(rows, 50).against_random).set_index("matching")
        assert found.loc["layer", "matched"] == pytest.approx(0.8) and np.isnan(found.loc["none", "matched"])

    def test_headline_level(self, study, both):
        assert study.level(both[0]) == 20
        assert make_study(level=10).level(both[0]) == 10
        with pytest.raises(StudyError, match=r"analysis\.level: 7 heads were not ablated; choose one of 5, 10, 20"):
            make_study(level=7).level(both[0])


def made_ablation(right, documents=10):
    """One configuration; ``right``: k → how many of the documents are answered right, always the first ones."""
    study = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,), levels=[k for k in right if k])
    rows = make_ablation(study, documents)
    rows = rows[rows["source"] != "random"].copy()
    number = rows["doc_id"].str.removeprefix("doc").astype(int)
    rows["correct"] = number < rows["k"].map(right)
    return rows


class TestSteps:
    RIGHT: ClassVar = {0: 9, 5: 8, 10: 2, 20: 8}

    def test_a_recovery_by_hand(self):
        for made in (made_ablation(self.RIGHT), summarise(made_ablation(self.RIGHT))):
            steps = select(effects_of(made).steps)
            assert steps["k_before"].tolist() == [0, 5, 10] and steps["k"].tolist() == [5, 10, 20]
            assert steps["change"].tolist() == pytest.approx([-0.1, -0.6, 0.6])
            assert (steps["change_low"] <= steps["change"]).all() and (steps["change"] <= steps["change_high"]).all()
            assert steps["prompts"].tolist() == [10] * 3
            assert steps["change_low"].iloc[2] > 0 > steps["change_high"].iloc[1]

    def test_with_rows_the_test_is_mcnemars(self):
        steps = select(effects_of(made_ablation(self.RIGHT)).steps)
        assert steps["p"].tolist() == pytest.approx([1.0, 2 / 2**6, 2 / 2**6])

    def test_with_counts_it_is_fishers(self):
        steps = select(effects_of(summarise(made_ablation(self.RIGHT))).steps)
        assert steps["p"].tolist() == pytest.approx([fisher(8, 10, 9, 10), fisher(2, 10, 8, 10), fisher(8, 10, 2, 10)])

    def test_a_level_that_some_configurations_lack(self, ablation, tmp_path):
        lacking = (ablation["k"] == 10) & (ablation["question"] == "hq_state")
        fewer = ablation[~lacking]
        by_rows, by_counts = (effects_of(made, 50).steps for made in (fewer, summarise(fewer)))
        for steps in (by_rows, by_counts):
            tables.write(steps, tmp_path / "steps.parquet", STEPS)
            alone = select(steps, question="hq_state", method="wu24", context_length=512)
            assert alone["k_before"].tolist() == [0, 5]
            # Pooled, a step is over the configurations that have both of its levels.
            pooled = select(steps, pooled=ALL, method="wu24")
            assert pooled["k_before"].tolist() == [0, 5, 10] and pooled["prompts"].tolist() == [80, 60, 60]
        assert by_counts["change"].tolist() == pytest.approx(by_rows["change"].tolist())


class TestRowsOfEffects:
    FRAME = pd.DataFrame(
        {
            "question": ["p", None, "p", None],
            "context_length": pd.array([8, 8, None, None], dtype="Int64"),
            "k": [1, 2, 3, 4],
        }
    )

    @pytest.mark.parametrize(
        ("pooled", "k"), [((), 1), (("question",), 2), (("context_length",), 3), (("question", "context_length"), 4)]
    )
    def test_pooled_over_exactly_these(self, pooled, k):
        assert select(self.FRAME, pooled=pooled)["k"].tolist() == [k]
        assert select(self.FRAME, pooled=iter(pooled), k=k)["k"].tolist() == [k]
        assert select(self.FRAME, pooled=pooled, k=9).empty

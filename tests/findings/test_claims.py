"""Each rule, driven to each of its outcomes by made tables."""

from functools import cache, partial

import numpy as np
import pandas as pd
import pytest

from made_tables import (
    METHODS,
    analyse,
    make_ablation,
    make_cuts,
    make_guard,
    make_rankings,
    make_reliability,
    make_study,
)
from retrieval_heads.analysis import head_profiles, overlap
from retrieval_heads.analysis.effects import estimate_effects
from retrieval_heads.analysis.outcomes import as_outcomes, summarise
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.findings import claims
from retrieval_heads.findings.claims import Outcome, agreement, baseline, categories, heads, language, scores
from retrieval_heads.findings.claims import ablation as ablation_module
from retrieval_heads.findings.claims import overlap as overlap_claims
from retrieval_heads.findings.claims.outcome import in_words
from retrieval_heads.tables import select
from retrieval_heads.tables.heads import by_grid
from retrieval_heads.tables.tests import (
    AGREEMENT_BY_LENGTH,
    CONSENSUS,
    DROP,
    HEAD_OVERLAP,
    LAYER_OVERLAP,
    LENGTH_BREAK,
    MODEL_RANKS,
    NOISE,
    SCORE_GAP,
    SPECIALISTS,
    TESTS,
)

ABOUT_RANKINGS = [module.__name__ for module in (agreement, categories, heads, overlap_claims, scores)]
SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED
BRIEF = make_study(methods=("summed_attention", "qrhead"), questions=("inc_year", "hq_state"), levels=[20])
STUDY = make_study(levels=(20,))
TWO_MODELS = make_study(
    models=("small", "large"), levels=(20,), controls={"specificity": {}, "transfer": {}, "looks": {}}
)
LENGTHS = make_study(lengths=(512, 1024, 2048), levels=(20,))
SPARSE = make_study(methods=("wu24",), questions=("inc_year", "hq_state"), levels=(5, 10, 20))


def one(rule, found, study):
    """The claim of a rule that makes one, or several of the same outcome."""
    made = rule(found, study)
    assert made and len({claim.outcome for claim in made}) == 1
    assert all(claim.sentence.endswith(".") and "nan" not in claim.sentence.lower().split() for claim in made)
    return made[0]


def result(subject, dimension, a=None, b=None, **values):
    """A tests table with one row: 12 units, p 0.001, a difference of 0.2 from 0.1 to 0.3."""
    row = dict.fromkeys(TESTS.columns) | {
        "subject": subject, "dimension": dimension, "a": a, "b": b, "test": "Wilcoxon signed-rank", "unit": "document",
        "units": 12, "statistic": 1.0, "p": 0.001, "p_holm": 0.001, "effect": "rank-biserial correlation",
        "effect_size": 0.9, "difference": 0.2, "difference_low": 0.1, "difference_high": 0.3,
    }  # fmt: skip
    return pd.DataFrame([row | values], columns=TESTS.columns)


UNSURE = {"p": 0.4, "p_holm": 0.4, "difference": 0.02, "difference_low": -0.2, "difference_high": 0.3}
NONE = {"p": 0.4, "p_holm": 0.4, "difference": 0.001, "difference_low": -0.01, "difference_high": 0.01}
REVERSED = {"difference": -0.2, "difference_low": -0.3, "difference_high": -0.1}


@pytest.fixture(scope="module")
def made():
    return analyse(STUDY, make_rankings(STUDY, 10, 8), make_ablation(STUDY), make_reliability(STUDY))


@pytest.fixture(scope="module")
def two_grids():
    """Two models of different shape, 6 × 4 and 10 × 8 heads, of one of which Wu24 scores three heads alone."""
    small, large = (make_study(models=(model,)) for model in TWO_MODELS.config["models"])
    rankings = pd.concat(
        [make_rankings(small, 6, 4), tied_behind(make_rankings(large, 10, 8, seed=1), "wu24", 3)], ignore_index=True
    )
    return analyse(TWO_MODELS, rankings, make_ablation(TWO_MODELS, levels=[6, 20]), make_reliability(TWO_MODELS))


def tied_behind(rankings, method, scored):
    """Rankings in which a method scores so many heads, and gives all others 0."""
    tied = (rankings["method"] == method) & (rankings["rank"] > scored)
    return placed(rankings.assign(score=rankings["score"].mask(tied, 0.0)))


@pytest.fixture(scope="module")
def alike():
    """Rankings that are the same for every method."""
    rankings = make_rankings(STUDY, 10, 8, shared=100.0)
    return pd.concat([rankings[rankings["method"] == "wu24"].assign(method=name) for name in METHODS])


@pytest.fixture(scope="module")
def apart(alike):
    """Rankings of three methods, none of whose top heads is another's."""
    shift = alike["method"].map({name: place for place, name in enumerate(METHODS)}) * 20
    return moved(alike, shift)


def moved(rankings, shift):
    """Rankings of 80 heads with every head so many places further down, the last ones first."""
    return placed(rankings.assign(score=-((rankings["rank"] - 1 + shift) % 80)))


def effects_of(study, **ablation):
    return estimate_effects(as_outcomes(make_ablation(study, **ablation), 1, 200))._asdict()


of_brief = cache(partial(effects_of, BRIEF))
"""The same for the brief study, found once for each way in which it is answered."""


@pytest.fixture(scope="module")
def brief():
    """All tables of the brief study."""
    return analyse(BRIEF, make_rankings(BRIEF), make_ablation(BRIEF))


@pytest.mark.thorough
class TestAblation:
    def tables(self, study=BRIEF, **ablation):
        return {**(of_brief(**ablation) if study is BRIEF else effects_of(study, **ablation))}

    def test_baseline(self):
        rule = baseline.baseline_is_usable
        assert one(rule, self.tables(), BRIEF).outcome is SUPPORTED
        low = one(rule, self.tables(baseline=0.15), BRIEF)
        assert low.outcome is CONTRADICTED and "too few right answers for ablation to show" in low.sentence
        assert one(rule, self.tables(documents=3), BRIEF).outcome is UNDECIDED

    def test_every_question(self):
        rule, made = baseline.every_question_is_answered, self.tables()
        high = made["effects"].assign(baseline=0.9, baseline_low=0.8, baseline_high=0.95)
        assert one(rule, {"effects": high}, BRIEF).outcome is SUPPORTED
        weak = high.copy()
        here = (weak["question"] == "hq_state") & (weak["context_length"] == 1024)
        weak.loc[here, ["baseline", "baseline_low", "baseline_high"]] = [0.2, 0.1, 0.3]
        found = one(rule, {"effects": weak}, BRIEF)
        assert found.outcome is CONTRADICTED
        assert "In 1 of 4 cells" in found.sentence
        assert "The lowest accuracy is 20.0% (10.0 to 30.0%), for Headquarters state at 1,024 tokens" in found.sentence
        unsure = high.assign(baseline_low=0.4)
        assert one(rule, {"effects": unsure}, BRIEF).outcome is UNDECIDED

    def test_top_heads_against_random(self):
        rule = ablation_module.top_heads_matter_more_than_random
        found = one(rule, self.tables(top=0.2), BRIEF)
        assert found.outcome is SUPPORTED
        assert "Ablating the top 20 heads of Summed attention in small takes accuracy from" in found.sentence
        assert "random heads from the same layers" in found.sentence and "Holm p < 0.001" in found.sentence
        same = one(rule, self.tables(top=1.1, random=1.1, documents=40), BRIEF)
        assert same.outcome is CONTRADICTED and "do not cost 5.0 points more" in same.sentence
        worse = one(rule, self.tables(top=0.9, random=0.2), BRIEF)
        assert worse.outcome is CONTRADICTED
        few = one(rule, self.tables(top=0.2, documents=5), BRIEF)
        assert few.outcome is UNDECIDED and "too few documents" in few.sentence
        wide = self.tables()
        unclear = {"difference": 0.05, "difference_low": -0.02, "difference_high": 0.12, "p_holm": 0.3}
        wide["against_random"] = wide["against_random"].assign(**unclear)
        wide = one(rule, wide, BRIEF)
        assert wide.outcome is UNDECIDED and "not significant" in wide.sentence

    def test_sizes_below_the_level_are_told(self):
        """At level 20 the ranking tells 7 heads apart, which are those of level 10 already: one set, one level."""
        rows = make_ablation(SPARSE, 12, top=0.2)
        rows = rows.assign(size=rows["k"].clip(upper=7))
        found = estimate_effects(as_outcomes(rows, 1, 200))._asdict()
        assert sorted(found["effects"]["k"].unique()) == [5, 10]
        claim = one(ablation_module.top_heads_matter_more_than_random, found, make_study(levels=(5, 10, 20), level=20))
        assert claim.outcome is SUPPORTED and claim.statement.startswith("The top 20 heads of Wu24")
        assert "Ablating the top 20 heads (7, as ties end some top sets early) of Wu24" in claim.sentence
        # One question's ranking stops earlier than the other's.
        earlier = rows.assign(size=rows["size"].where(rows["question"] == "hq_state", rows["size"].clip(upper=6)))
        found = estimate_effects(as_outcomes(earlier, 1, 200))._asdict()
        claim = one(ablation_module.top_heads_matter_more_than_random, found, make_study(levels=(5, 10, 20), level=20))
        assert "(6.5 on average, as ties end some top sets early)" in claim.sentence
        assert "of 8 steps from one" in one(ablation_module.more_heads_cost_more, found, SPARSE).sentence

    def test_a_level_that_is_missing_is_not_the_one_below(self):
        found = self.tables(SPARSE, top=0.2)
        lacking = {**found, "effects": found["effects"][found["effects"]["k"] != 20]}
        claim = one(
            ablation_module.top_heads_matter_more_than_random, lacking, make_study(levels=(5, 10, 20), level=20)
        )
        assert claim.outcome is UNDECIDED and "Its top heads were not ablated" in claim.sentence

    def test_a_level_of_some_configurations_is_no_other_for_that(self):
        """Six heads at one length and ten at the other: level 6 adds a head, though ten prompts lack it."""
        study = make_study(methods=("wu24",), questions=("hq_state",), levels=(5, 6))
        rows = make_ablation(study)
        rows = rows[(rows["k"] != 6) | (rows["context_length"] == 512)]
        pooled = select.select(
            estimate_effects(as_outcomes(rows, 1, 50)).effects, pooled=("question", "context_length")
        )
        assert pooled["k"].tolist() == [5, 6] and pooled["size"].tolist() == [5, 6]

    def test_what_was_drawn_is_told(self):
        rule = ablation_module.top_heads_matter_more_than_random
        made = self.tables(top=0.2)
        assert "random heads from the same layers takes it to" in one(rule, made, BRIEF).sentence
        some = {**made, "against_random": made["against_random"].assign(matched=0.85, draws=1)}
        assert "random heads (85.0% of them from the same layers, the rest from the nearest) takes it to" in (
            one(rule, some, BRIEF).sentence
        )
        assert "(one draw)" in one(rule, some, BRIEF).sentence
        controls = made["against_random"]
        other = {**made, "against_random": controls[controls["matching"] == "none"]}
        assert "layers" not in one(rule, other, BRIEF).sentence

    def test_top_heads_without_a_control(self):
        found = self.tables()
        found["against_random"] = found["against_random"].iloc[:0]
        made = one(ablation_module.top_heads_matter_more_than_random, found, BRIEF)
        assert made.outcome is UNDECIDED and "No random heads beside its top ones were ablated" in made.sentence

    def test_from_counts_the_test_is_over_configurations(self):
        rows = make_ablation(STUDY, top=0.2)
        made = analyse(STUDY, make_rankings(STUDY), summarise(rows))
        found = one(ablation_module.top_heads_matter_more_than_random, made, STUDY)
        assert found.outcome is SUPPORTED
        assert "Wilcoxon signed-rank test over 8 configurations" in found.sentence and "80 prompts)" in found.sentence
        without = {**made, "tests": made["tests"].iloc[:0]}
        assert one(ablation_module.top_heads_matter_more_than_random, without, STUDY).outcome is UNDECIDED

    @pytest.mark.parametrize(
        ("rule", "dimension", "a", "b", "study"),
        [
            (ablation_module.questions_cost_differently, "question", "inc_year", "hq_state", BRIEF),
            (ablation_module.categories_cost_differently, "category", "numerical", "categorical", BRIEF),
            (ablation_module.methods_cost_differently, "method", "summed_attention", "qrhead", BRIEF),
            (ablation_module.models_cost_differently, "model", "small", "large", TWO_MODELS),
            (ablation_module.lengths_cost_differently, "context_length", "512", "1024", BRIEF),
        ],
    )
    def test_costs(self, rule, dimension, a, b, study):
        drops = pd.DataFrame(
            [
                {"grouping": dimension, "value": value, "k": 20, "source": "method", "matching": None, "drop": drop,
                 "drop_low": drop - 0.1, "drop_high": drop + 0.1, "drop_sd": 0.1, "configurations": 4}
                for value, drop in ((a, 0.5), (b, 0.3))
            ]
        )  # fmt: skip
        made = self.tables() | {"mean_drops": drops, "rankings": make_rankings(study)}

        def outcome(**values):
            row = result(DROP, dimension, a, b, k=20, **values)
            return one(rule, {**made, "tests": row}, study)

        found = outcome()
        assert found.outcome is SUPPORTED
        assert f"50.0 (40.0 to 60.0) for {study.label(dimension, a)}" in found.sentence
        assert "Wilcoxon signed-rank test over 12 documents, Holm p = 0.001, rank-biserial correlation 0.90" in (
            found.sentence
        )
        assert outcome(**NONE).outcome is CONTRADICTED
        assert outcome(**UNSURE).outcome is UNDECIDED
        assert outcome(units=4).outcome is UNDECIDED
        alone = {**made, "tests": result(DROP, dimension, a, b, k=20), "mean_drops": drops.iloc[:1]}
        assert rule(alone, study) == []

    def test_models_of_unequal_size_are_named_with_it(self, two_grids):
        claim = one(ablation_module.models_cost_differently, two_grids, TWO_MODELS)
        assert "On average, ablating equal shares of heads costs" in claim.sentence
        assert "for small (6 of its 24 heads)" in claim.sentence and "for large (20 of its 80 heads)" in claim.sentence
        assert claim.statement == "Ablating an equal share of heads costs more accuracy for some models than for others"

    def test_models_without_an_equal_share_are_not_compared(self, two_grids):
        means = two_grids["mean_drops"]
        apart = {**two_grids, "mean_drops": means[means["k"] != 6]}
        (claim,) = ablation_module.models_cost_differently(apart, TWO_MODELS)
        assert claim.outcome is UNDECIDED
        assert "No equal share of the heads of each model was ablated" in claim.sentence
        assert "6 of 24 in small and 20 of 80 in large" in claim.sentence

    def test_heads_that_a_test_compares_are_counted_where_they_are_fewer(self):
        def words(**sizes):
            return in_words(result(DROP, "method", "a", "b", **sizes).iloc[0])

        assert "over 12 documents at 7 heads each, Holm p" in words(k=20, size_least=7, size_most=7)
        assert "over 12 documents at 7 to 20 heads each, Holm p" in words(k=20, size_least=7, size_most=20)
        for sizes in ({"k": 20, "size_least": 20, "size_most": 20}, {"size_least": 5, "size_most": 20}, {"k": 20}):
            assert "over 12 documents, Holm p" in words(**sizes)

    def test_single_pairs_are_named_where_all_differ(self):
        every = result(DROP, "method", k=20, test="Friedman", effect="Kendall's W")
        pair = result(DROP, "method", "summed_attention", "qrhead", k=20)
        drops = pd.DataFrame(
            {"grouping": "method", "value": list(METHODS), "k": 20, "source": "method", "matching": None, "drop": 0.4,
             "drop_low": 0.3, "drop_high": 0.5, "drop_sd": 0.1, "configurations": 4}
        )  # fmt: skip
        made = self.tables() | {"mean_drops": drops, "tests": pd.concat([every, pair])}
        found = one(ablation_module.methods_cost_differently, made, STUDY)
        assert (
            "Of 1 single pair, 1 differs, Summed attention from QRHead (+20.0 points, 10.0 to 30.0; Holm p = 0.001)."
            in found.sentence
        )
        alike = made | {"tests": pd.concat([every, pair.assign(p_holm=0.2)])}
        found = one(ablation_module.methods_cost_differently, alike, STUDY)
        assert found.sentence.endswith("No single pair differs after correction.")

    def test_recovery(self):
        rule, study = ablation_module.more_heads_cost_more, make_study(methods=("wu24",), questions=("hq_state",))
        steps = self.tables(study)["steps"].assign(change=-0.1, change_low=-0.2, change_high=0.01, p_holm=0.2)
        assert one(rule, {"steps": steps}, study).outcome is SUPPORTED
        risen = steps.copy()
        here = (risen["k"] == 20) & (risen["context_length"] == 1024) & (risen["question"] == "hq_state")
        risen.loc[here, ["change", "change_low", "change_high", "p_holm"]] = [0.5, 0.3, 0.7, 0.001]
        found = one(rule, {"steps": risen}, study)
        assert found.outcome is CONTRADICTED
        assert (
            "The largest rise is +50.0 points (30.0 to 70.0; Holm p = 0.001) from 10 to 20 heads of Wu24 (Headquarters "
            "state at 1,024 tokens" in found.sentence
        )
        risen.loc[here, "p_holm"] = 0.5
        assert one(rule, {"steps": risen}, study).outcome is UNDECIDED

    def test_baseline_above_guessing(self, brief):
        rule = baseline.baseline_is_above_guessing
        found = one(rule, self.tables(documents=40), BRIEF)
        assert (
            found.outcome is SUPPORTED
            and "In each of 4 cells (a question at a context length in a model)" in found.sentence
        )
        idle = one(rule, self.tables(guess=1.1), BRIEF)  # so easy that the document is not needed
        assert idle.outcome is CONTRADICTED and "the document does not help" in idle.sentence
        assert "(100.0% right with it, 100.0% without it" in idle.sentence
        assert idle in claims.warnings({**brief, **self.tables(guess=1.1)}, BRIEF)
        wide = self.tables()
        wide["effects"] = wide["effects"].assign(headroom=0.1, headroom_low=-0.05, headroom_high=0.3)
        assert one(rule, wide, BRIEF).outcome is UNDECIDED
        assert one(rule, self.tables(guess=1.1, documents=5), BRIEF).outcome is UNDECIDED
        assert rule(self.tables(guess=None), BRIEF) == []


class TestLanguage:
    """Accuracy may be lost with the retrieval, or with the model."""

    def tables(self, prose=None, random=None, **ablation):
        found = of_brief(**{"top": 0.2, **ablation})
        guard = make_guard(BRIEF, prose) if random is None else make_guard(BRIEF, prose, random)
        return {**found, "guard": guard}

    def test_retrieval_alone(self):
        rule = language.ablation_takes_retrieval_alone
        found = one(rule, self.tables(), BRIEF)
        assert found.outcome is SUPPORTED and "Retrieval is lost, and language is not" in found.sentence
        assert "Ablating the top 20 heads of Summed attention in small takes accuracy from" in found.sentence
        assert "−0.04 nats per token (mean over 4 sets of heads; lowest −0.04)" in found.sentence
        assert "Ablating as many random heads from the same layers changes it by −0.01" in found.sentence
        broken = one(rule, self.tables(prose=lambda *_: -4.3), BRIEF)
        assert broken.outcome is CONTRADICTED and "The model is broken" in broken.sentence
        kept = one(rule, self.tables(top=1.1, baseline=1.1, documents=40), BRIEF)
        assert kept.outcome is CONTRADICTED and "A loss of 5.0 points of accuracy is ruled out" in kept.sentence

    def test_retrieval_alone_is_left_open(self):
        rule = language.ablation_takes_retrieval_alone
        hurt = one(rule, self.tables(prose=lambda *_: -0.5), BRIEF)
        assert hurt.outcome is UNDECIDED and "Language suffers too" in hurt.sentence
        # Random heads hurt the language as much: where they cost no answers, answers are not lost with the language.
        as_much = {"prose": lambda *_: -0.5, "random": -0.45, "documents": 40}
        told = one(rule, self.tables(**as_much), BRIEF)
        assert told.outcome is SUPPORTED and "Language suffers about as much with random heads" in told.sentence
        tables = self.tables(**as_much)
        tables["against_random"] = tables["against_random"].assign(p_holm=0.4)
        assert one(rule, tables, BRIEF).outcome is UNDECIDED
        # On average whole, but for one question broken.
        uneven = self.tables(prose=lambda method, k, question: -1.1 if question == "hq_state" else 1.0)
        assert one(rule, uneven, BRIEF).outcome is UNDECIDED
        few = one(rule, self.tables(documents=5), BRIEF)
        assert few.outcome is UNDECIDED and "too few documents" in few.sentence
        wide = self.tables()
        wide["effects"] = wide["effects"].assign(drop=0.02, drop_low=-0.1, drop_high=0.14, p_holm=0.4)
        unclear = one(rule, wide, BRIEF)
        assert unclear.outcome is UNDECIDED and "not significant" in unclear.sentence

    def test_broken_models(self, brief):
        rule = language.ablation_breaks_no_model
        found = one(rule, self.tables(), BRIEF)
        assert found.outcome is SUPPORTED and "None of 32 ablated sets of heads" in found.sentence
        assert one(rule, self.tables(prose=lambda *_: -0.2), BRIEF).outcome is UNDECIDED
        broken = self.tables(prose=lambda method, k, question: -4.3 if question == "hq_state" else -0.01)
        worst = one(rule, broken, BRIEF)
        assert worst.outcome is CONTRADICTED and "4 of 32 ablated sets of heads break the model" in worst.sentence
        assert "the top 20 heads of Summed attention (Headquarters state at 512 tokens in small: −4.30 nats" in (
            worst.sentence
        )
        assert worst in claims.warnings({**brief, "guard": broken["guard"]}, BRIEF)
        random = {"guard": make_guard(BRIEF, random=-2.0)}
        assert "20 heads drawn at random to match those of" in one(rule, random, BRIEF).sentence

    def test_nothing_is_said_where_no_prose_was_read(self):
        without = {"effects": self.tables()["effects"]}
        assert language.ablation_takes_retrieval_alone(without, BRIEF) == []
        assert language.ablation_breaks_no_model(without, BRIEF) == []


class TestRanking:
    def overlaps(self, rankings):
        return {"rankings": rankings, "overlap": overlap.pairwise(rankings)}

    def test_shared(self, alike, apart):
        def by_method(rankings):
            found = overlap_claims.top_heads_are_shared(self.overlaps(rankings), STUDY)
            (claim,) = [claim for claim in found if claim.of["dimension"] == "method"]
            return claim

        assert by_method(alike).outcome is SUPPORTED
        found = by_method(apart)
        assert found.outcome is CONTRADICTED and "only in their method agree no more than chance" in found.sentence
        small = make_rankings(STUDY, 2, 2, shared=100.0)  # one head of four: nothing can be significant
        assert UNDECIDED in {
            claim.outcome for claim in overlap_claims.top_heads_are_shared(self.overlaps(small), STUDY)
        }

    def test_noise(self, made):
        rule = agreement.methods_differ_beyond_noise
        pairs = made["overlap"]
        pairs = pairs[(pairs["dimension"] == "method") & (pairs["a"] == "summed_attention") & (pairs["b"] == "wu24")]

        def outcome(**values):
            row = result(NOISE, "method", "summed_attention", "wu24", **values)
            return one(rule, {"overlap": pairs, "tests": row}, STUDY)

        less = outcome(**REVERSED)
        assert less.outcome is SUPPORTED and "Beyond chance, that is 0.200 (0.100 to 0.300) below" in less.sentence
        assert outcome().outcome is CONTRADICTED
        assert outcome(**UNSURE).outcome is UNDECIDED
        nothing = one(rule, {"overlap": pairs, "tests": result("other", "method")}, STUDY)
        assert nothing.outcome is UNDECIDED and "no rankings from halves" in nothing.sentence

    def test_agreement_by_length(self, made):
        def outcome(**values):
            row = result(AGREEMENT_BY_LENGTH, "context_length", "512", "1024", **values)
            return one(agreement.methods_agree_differently_by_length, {"overlap": made["overlap"], "tests": row}, STUDY)

        pairs = made["overlap"][made["overlap"]["dimension"] == "method"]
        mean = pairs[pairs["context_length"] == 1024]["jaccard"].mean()
        assert outcome().outcome is SUPPORTED and f"{mean:.3f} at 1,024 tokens. It differs" in outcome().sentence
        assert outcome(**NONE).outcome is CONTRADICTED
        assert outcome(**UNSURE).outcome is UNDECIDED
        assert outcome(units=4).outcome is UNDECIDED

    @pytest.mark.parametrize(
        ("rule", "subject"),
        [
            (categories.categories_share_heads, HEAD_OVERLAP),
            (categories.categories_share_layers, LAYER_OVERLAP),
        ],
    )
    def test_categories(self, rule, subject, made):
        def outcome(**values):
            row = result(subject, "category", "within", "between", **values)
            return one(rule, {"unions": made["unions"], "tests": row}, STUDY)

        assert "beyond chance is 0.200 higher (95% interval of the difference 0.100 to 0.300" in outcome().sentence
        assert outcome().outcome is SUPPORTED
        lower = outcome(**REVERSED)
        assert lower.outcome is CONTRADICTED and "is 0.200 lower" in lower.sentence
        assert outcome(**NONE).outcome is CONTRADICTED
        assert outcome(**UNSURE).outcome is UNDECIDED

    def test_unions_are_told_with_their_chance(self, made):
        found = categories.categories_share_heads(made, STUDY)
        assert "Taken over all configurations, top sets hold more heads" in found[0].sentence
        assert "within a category and" in found[0].sentence and "between two (by chance" in found[0].sentence

    def test_consensus(self, alike, apart, made):
        rule = heads.all_methods_agree_on_heads

        def outcome(rankings, p=0.001):
            row = result(CONSENSUS, "method", layers=10, heads=8, statistic=5.0, effect_size=4.5, p=p)
            return one(rule, {"profiles": head_profiles.profile_heads(rankings), "tests": row}, STUDY)

        same = outcome(alike)
        assert same.outcome is SUPPORTED and "By chance, 0.50 heads would on average" in same.sentence
        best = alike[alike["rank"] == 1].iloc[0]
        assert f"L{best['layer']}H{best['head']}" in same.sentence
        assert outcome(alike, p=0.3).outcome is UNDECIDED
        none = outcome(apart)
        assert none.outcome is CONTRADICTED and "No head of 80 has a mean rank below 8" in none.sentence

    def test_specialists(self, alike):
        study = make_study(methods=("wu24",), levels=(20,))
        same = alike[alike["method"] == "wu24"]
        turned = moved(same, 40 * (same["question"] == "hq_state"))

        def outcome(rankings, **values):
            same = {"layers": 10, "heads": 8, "method": "wu24", "statistic": 4.0, "effect_size": 2.5}
            row = result(SPECIALISTS, "question", **same, **values)
            made = {"profiles": head_profiles.profile_heads(rankings), "tests": row}
            return one(heads.questions_have_specialists, made, study)

        found = outcome(turned)
        assert found.outcome is SUPPORTED and "Wu24 ranks 3 heads high for one question alone" in found.sentence
        assert "(mean rank below 4 there, and beyond 16 for the others). With the questions exchanged" in found.sentence
        assert "at random it would be 1.5 on average" in found.sentence
        assert outcome(same).outcome is CONTRADICTED
        assert outcome(turned, p=0.4).outcome is UNDECIDED
        made = {"profiles": head_profiles.profile_heads(turned), "tests": result("other", "question")}
        single = one(heads.questions_have_specialists, made, study)
        assert single.outcome is UNDECIDED and "allows no test" in single.sentence

    def test_models(self):
        pairs = overlap.pairwise(make_rankings(TWO_MODELS))

        def outcome(p, effect=30.0):
            row = result(
                MODEL_RANKS, "model", "small", "large", method="wu24", statistic=40.0, effect_size=effect,
                p=p, p_holm=p, units=20,
            )  # fmt: skip
            return one(heads.models_rank_heads_differently, {"overlap": pairs, "tests": row}, TWO_MODELS)

        found = outcome(0.001)
        assert found.outcome is SUPPORTED and "differs by 40.0 places on average" in found.sentence
        assert "exchanging the models at random gives 10.0" in found.sentence
        assert outcome(0.5).outcome is UNDECIDED
        assert outcome(0.5, effect=0.0).outcome is CONTRADICTED

    def test_gaps(self, made):
        def outcome(**values):
            row = result(SCORE_GAP, "method", "summed_attention", "wu24", **values)
            return one(heads.first_heads_stand_out_differently, {"rankings": made["rankings"], "tests": row}, STUDY)

        assert outcome().outcome is SUPPORTED
        assert outcome(**NONE).outcome is CONTRADICTED
        assert outcome(**UNSURE).outcome is UNDECIDED
        assert outcome(units=3).outcome is UNDECIDED

    def test_break(self):
        pairs = overlap.pairwise(make_rankings(LENGTHS))

        def outcome(first, second, **values):
            rows = [
                result(
                    LENGTH_BREAK, "context_length", a, b, method="wu24", difference=difference,
                    difference_low=difference - 0.05, difference_high=difference + 0.05, **values,
                )
                for a, b, difference in (("512", "1024", first), ("1024", "2048", second))
            ]  # fmt: skip
            return one(
                overlap_claims.rankings_break_between_lengths, {"overlap": pairs, "tests": pd.concat(rows)}, LENGTHS
            )

        found = outcome(0.5, -0.5)
        assert found.outcome is SUPPORTED and "change between 1,024 and 2,048 tokens more" in found.sentence
        assert outcome(0.05, -0.05).outcome is CONTRADICTED
        assert outcome(0.5, -0.5, p_holm=0.2).outcome is UNDECIDED
        assert outcome(0.5, -0.5, units=4).outcome is UNDECIDED

    def test_top_sets_that_are_told_apart(self, made):
        rule, top = scores.top_sets_are_told_apart, STUDY.top_k_of(80)
        found = rule(made, STUDY)
        assert [claim.outcome for claim in found] == [SUPPORTED] * 3
        assert found[1].sentence == (
            f"Scores by Wu24 in small tell the heads of every top set apart from the rest ({top} and 20 heads)."
        )
        tied = {**made, "rankings": tied_behind(made["rankings"], "wu24", 7)}
        found = rule(tied, STUDY)
        assert [claim.outcome for claim in found] == [SUPPORTED, CONTRADICTED, SUPPORTED]
        assert found[1].sentence == (
            "Wu24 in small gives equal scores to heads of which a top set would take some (8 of 16 cases, each a "
            "ranking at a level). Told apart are 7 of the top 20. Heads that are not told apart are in no top set."
        )
        assert found[1] in claims.warnings(tied, STUDY)

    def test_top_sets_without_a_head(self, made):
        rankings = made["rankings"]
        equal = placed(rankings.assign(score=rankings["score"].mask(rankings["context_length"] == 512, 0.25)))
        found = scores.top_sets_are_told_apart({**made, "rankings": equal}, STUDY)
        assert {claim.outcome for claim in found} == {CONTRADICTED}
        assert (
            "(8 of 16 cases, " in found[0].sentence
            and "Told apart are 0 to 4 of the top 4 and 0 to 20 of the top 20." in found[0].sentence
        )
        assert " 8 top sets are empty. Heads that are not told apart" in found[0].sentence

    def test_lists_that_are_too_short_for_a_level(self, made):
        short = made["rankings"][made["rankings"]["rank"] <= 12]
        found = one(scores.top_sets_are_told_apart, {**made, "rankings": short}, STUDY)
        assert found.outcome is CONTRADICTED and "gives equal scores, or none, to heads" in found.sentence

    def test_published_sets_were_ablated_whatever_ties(self, made):
        study = make_study(levels=(20,))
        study.config["published"] = {"folder": "elsewhere"}
        del study.config["ablation"]
        found = scores.top_sets_are_told_apart({**made, "rankings": tied_behind(made["rankings"], "wu24", 7)}, study)
        assert found[1].outcome is CONTRADICTED and found[1].sentence.endswith(
            "were ablated all the same in the published results, in an order that the scores do not give."
        )

    def test_cuts_beyond_rounding(self, made):
        rule, rankings = scores.cuts_are_beyond_rounding, made["rankings"]
        found = one(rule, made, STUDY)
        assert found.outcome is SUPPORTED
        assert found.sentence == (
            "Summed attention in small ends every top set beyond numerical noise (16 top sets, each a ranking at a "
            "level). With other documents, 0 of 16 may end in another head."
        )
        # One cut of wu24 is within noise.
        cuts = make_cuts(STUDY, rankings)
        first = cuts.index[cuts["method"] == "wu24"][0]
        cuts.loc[first, "gap"] = 0.5 * cuts.loc[first, "noise"]
        found = rule({**made, "cuts": cuts}, STUDY)
        assert [claim.outcome for claim in found] == [SUPPORTED, CONTRADICTED, SUPPORTED]
        assert found[1].sentence.startswith("Wu24 in small ends 1 top set within numerical noise (of 16 top sets, ")
        assert found[1].effect.value == 1 and found[1] in claims.warnings({**made, "cuts": cuts}, STUDY)
        # Beyond rounding, though not beyond what other documents may change.
        found = one(rule, {**made, "cuts": make_cuts(STUDY, rankings, low=-0.1)}, STUDY)
        assert found.outcome is SUPPORTED and found.sentence.endswith("16 of 16 may end in another head.")

    def test_where_ties_end_top_sets_early_it_is_open_where_they_would_end(self, made):
        tied = tied_behind(made["rankings"], "wu24", 7)
        found = scores.cuts_are_beyond_rounding({**made, "rankings": tied, "cuts": make_cuts(STUDY, tied)}, STUDY)
        assert [claim.outcome for claim in found] == [SUPPORTED, UNDECIDED, SUPPORTED]
        assert "ties end some early" in found[1].sentence

    def test_published_scores_say_nothing_of_rounding(self, made):
        assert scores.cuts_are_beyond_rounding({"rankings": made["rankings"]}, STUDY) == []

    def test_enough_prompts(self, made):
        rule, rankings = scores.top_heads_rest_on_enough_prompts, made["rankings"]
        assert one(rule, {**made, "rankings": rankings}, STUDY).outcome is SUPPORTED
        few = rankings.assign(n_samples=rankings["n_samples"].where(rankings["rank"] != 2, 1))
        found = one(rule, {**made, "rankings": few}, STUDY)
        assert found.outcome is CONTRADICTED and "at rank 2 with 1 prompt" in found.sentence
        assert one(rule, {**made, "rankings": rankings.assign(n_samples=3)}, STUDY).outcome is UNDECIDED
        # A method whose top sets are all empty has no top heads to speak of.
        assert len(rule({**made, "rankings": tied_behind(rankings, "wu24", 0)}, STUDY)) == 2


@pytest.mark.thorough
def test_all_rules_speak_and_none_twice():
    made = analyse(
        TWO_MODELS, make_rankings(TWO_MODELS, 10, 8), make_ablation(TWO_MODELS), make_reliability(TWO_MODELS)
    )
    found = claims.every_claim(made, TWO_MODELS)
    rules = {rule.__name__ for section in claims.RULES.values() for rule in section}
    # One takes three lengths, one an imported list, one two methods that are QRHead, three several depths.
    silent = {
        "rankings_break_between_lengths",
        "imported_heads_are_top_heads",
        "rows_of_the_answer_prefix_matter",
        "depths_are_answered_differently",
        "depths_cost_differently",
        "depths_rank_heads_differently",
    }
    # And controls are made where a config asks for them.
    silent |= {rule.__name__ for rule in claims.RULES["compensation"]}
    assert rules - {claim.rule for claim in found} == silent
    assert len({claim.sentence for claim in found}) == len(found)


@pytest.mark.thorough
class TestGrids:
    """Of two models of different shape, no mean is over both: each grid has a claim, or numbers, of its own."""

    @pytest.mark.parametrize("dimension", ["question", "method", "context_length"])
    def test_what_rankings_share(self, two_grids, dimension):
        found = [
            claim
            for claim in overlap_claims.top_heads_are_shared(two_grids, TWO_MODELS)
            if f"only in their {dimension.replace('_', ' ')}" in claim.sentence
        ]
        pairs = two_grids["overlap"]
        pairs = pairs[pairs["dimension"] == dimension]
        assert len(found) == 2 and len(list(by_grid(pairs))) == 2
        for claim, (grid, rows) in zip(found, by_grid(pairs), strict=True):
            assert f" in models of {grid} heads agree more than chance" in claim.statement
            assert f"mean Jaccard of {rows['jaccard'].mean():.3f} " in claim.sentence
            assert (
                f"chance gives {rows['chance'].mean():.3f}, and their rankings a rank-biased overlap of "
                f"{rows['rbo'].mean():.3f}" in claim.sentence
            )
        assert not any(
            "their model" in claim.sentence for claim in overlap_claims.top_heads_are_shared(two_grids, TWO_MODELS)
        )

    @pytest.mark.parametrize(
        "rule",
        [agreement.methods_differ_beyond_noise, agreement.methods_agree_differently_by_length],
    )
    def test_numbers_beside_a_test_of_all(self, two_grids, rule):
        pairs = two_grids["overlap"]
        pairs = pairs[pairs["dimension"] == "method"]
        pairs = (
            pairs[(pairs["a"] == "summed_attention") & (pairs["b"] == "wu24")] if "noise" in rule.__name__ else pairs
        )
        made = [
            claim
            for claim in rule(two_grids, TWO_MODELS)
            if "noise" not in rule.__name__ or "Summed attention and Wu24" in claim.sentence
        ]
        for claim, model, (_, rows) in zip(made, ("small", "large"), by_grid(pairs), strict=True):
            rows = rows[rows["context_length"] == 512] if "length" in rule.__name__ else rows
            at = " at 512 tokens" if "length" in rule.__name__ else ""
            assert f"{rows['jaccard'].mean():.3f}{at}" in claim.sentence
            assert claim.sentence.startswith(f"In {model}: ") and claim.statement.endswith(f" in {model}")
            assert claim.of["model"] == model

    def test_what_ablation_costs(self, two_grids):
        """Drops by question are those of one model, and so are their tests."""
        made = ablation_module.questions_cost_differently(two_grids, TWO_MODELS)
        for claim, model in zip(made, ("small", "large"), strict=True):
            effects = select.select(two_grids["effects"], model=model, question="hq_state")
            drop = effects.loc[effects["k"] == 20, "drop"].mean()
            assert f"{100 * drop:.1f} (" in claim.sentence and claim.sentence.startswith(f"In {model}: ")

    def test_breaks_are_told_for_each_grid(self):
        study = make_study(models=("small", "large"), lengths=(512, 1024, 2048), methods=("wu24",))
        parts = [
            make_rankings(make_study(models=(model,), lengths=(512, 1024, 2048), methods=("wu24",)), *grid)
            for model, grid in (("small", (6, 4)), ("large", (10, 8)))
        ]
        found = analyse(study, pd.concat(parts, ignore_index=True), make_ablation(study, 1, levels=[]))
        pairs = found["overlap"]
        pairs = pairs[pairs["dimension"] == "context_length"]
        made = overlap_claims.rankings_break_between_lengths(found, study)
        for claim, model, (_, of_one) in zip(made, ("small", "large"), by_grid(pairs), strict=True):
            assert claim.sentence.startswith(f"In {model}: ")
            for (a, b), rows in of_one.groupby(["a", "b"]):
                if {a, b} != {"512", "2048"}:
                    assert f"{rows['jaccard'].mean():.2f} from" in claim.sentence, (model, a, b)

    def test_unions_consensus_and_specialists(self, two_grids):
        sentences = [claim.sentence for claim in categories.categories_share_heads(two_grids, TWO_MODELS)]
        unions = two_grids["unions"]
        for model, (_, rows) in zip(
            ("small", "large"), by_grid(unions[unions["dimension"] == "category"]), strict=True
        ):
            said = next(sentence for sentence in sentences if sentence.startswith(f"In {model}: "))
            union = rows["jaccard"].item()
            assert f"{100 * union:.1f}% between two" in said
        for rule in (heads.all_methods_agree_on_heads, heads.questions_have_specialists):
            made = rule(two_grids, TWO_MODELS)
            assert len({claim.statement for claim in made}) == len(made)
            for grid in ("6 × 4", "10 × 8"):
                assert any(f"in models of {grid} heads" in claim.sentence for claim in made)


@pytest.mark.thorough
@pytest.mark.parametrize("scored", [0, 3], ids=["no score", "few scores"])
def test_equal_scores_support_no_claim_about_rankings_and_are_a_sign_of_trouble(scored):
    """Few heads have scores, others for each ranking, and all else is the same: nothing is agreed on but by names."""
    study = make_study(models=("small", "large"), lengths=(512, 1024, 2048))
    rankings, rng = make_rankings(study, 10, 8), np.random.default_rng(3)
    own = rankings.assign(score=rng.exponential(size=len(rankings)))
    for method in study.methods:
        own = tied_behind(placed(own), method, scored)
    found = analyse(study, own, make_ablation(study, 1, levels=[]))
    rules = [rule for rules in claims.RULES.values() for rule in rules if rule.__module__ in ABOUT_RANKINGS]
    rules.remove(scores.top_heads_rest_on_enough_prompts)  # what heads share with the others is not its matter
    made = claims.of_rules(rules, found, study)
    assert [claim for claim in made if claim.outcome is SUPPORTED] == []
    assert all("nan" not in claim.sentence.lower().split() for claim in made)
    signs = [claim for claim in claims.warnings(found, study) if claim.rule == "top_sets_are_told_apart"]
    assert len(signs) == len(study.methods) * 2


def test_signs_of_trouble_are_told(made):
    assert claims.warnings(made, STUDY) == [
        claim for rule, sign in claims.CAUTIONS.items() for claim in rule(made, STUDY) if claim.outcome is sign
    ]
    few = made["rankings"].assign(n_samples=made["rankings"]["n_samples"].where(made["rankings"]["rank"] != 2, 1))
    assert any(
        "at rank 2 with 1 prompt" in claim.sentence for claim in claims.warnings({**made, "rankings": few}, STUDY)
    )

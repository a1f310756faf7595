"""Findings of many kinds of studies: their sentences are plain, and a program tells their claims apart."""

import re
from functools import cache

import pandas as pd
import pytest

from made_tables import (
    ELEVEN_METHODS,
    SMALL,
    TWELVE_METHODS,
    analyse,
    make_ablation,
    make_counts,
    make_rankings,
    make_reliability,
    make_study,
    small_tables,
    with_long_names,
)
from plain_sentences import faults, names
from retrieval_heads.analysis.outcomes import summarise
from retrieval_heads.analysis.rankings import placed
from retrieval_heads.findings import claims, sections
from retrieval_heads.findings.claims import (
    together,
)
from retrieval_heads.findings.claims.outcome import Effect, effect_of, effect_of_all
from retrieval_heads.findings.sections import Answer, ClaimList, Items, Paragraph
from retrieval_heads.study.wording import decimal, ends, nats, p_value, points

pytestmark = pytest.mark.thorough

RULES = [rule for rules in claims.RULES.values() for rule in rules]
THREE_WAYS = {
    "reading": {"mode": "zero", "scope": "suffix"},
    "resampled": {"mode": "resample", "scope": "suffix"},
    "everywhere": {"mode": "zero", "scope": "all"},
}


def of(study, rankings=None, ablation=None, halves=True):
    """A study with all its tables."""
    rankings = make_rankings(study, 10, 8) if rankings is None else rankings
    ablation = make_ablation(study, 6) if ablation is None else ablation
    made = analyse(study, rankings, ablation, make_reliability(study) if halves else None)
    return study, {**made, "dataset_counts": make_counts(study)}


def one_of_each():
    return of(make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,)))


def eleven_methods():
    study = make_study(methods=tuple(ELEVEN_METHODS), lengths=(512, 1024, 2048), levels=(5, 20))
    return of(study, ablation=make_ablation(study, 6, top=lambda method, k: 0.9 - 0.003 * k * len(method)))


def two_grids():
    """Two models of different shape, one of which has a method that tells few heads apart."""
    small, large = (make_study(models=(model,)) for model in ("small", "large"))
    tied = make_rankings(large, 10, 8)
    tied = placed(tied.assign(score=tied["score"].mask((tied["method"] == "wu24") & (tied["rank"] > 3), 0.0)))
    study = make_study(models=("small", "large"))
    return of(study, pd.concat([make_rankings(small, 6, 4), tied], ignore_index=True))


def two_models():
    return of(make_study(models=("small", "large"), lengths=(512, 1024, 2048)))


def long_names():
    """Two models of different shape and twelve methods, called by whole phrases."""
    how = {"methods": tuple(TWELVE_METHODS), "questions": ("hq_state", "inc_year"), "lengths": (512,), "levels": (5,)}
    parts = [
        make_rankings(make_study(models=(model,), **how), *grid) for model, grid in (("a", (6, 4)), ("b", (10, 8)))
    ]
    study = with_long_names(make_study(models=("a", "b"), controls={"specificity": {}, "transfer": {}}, **how))
    return of(study, pd.concat(parts, ignore_index=True))


def three_interventions():
    study = make_study(methods=("wu24", "qrhead"), levels=(5, 20), interventions=THREE_WAYS)
    parts = [
        make_ablation(study, 8, top=right, intervention=name)
        for name, right in zip(THREE_WAYS, (0.1, 0.9, 0.2), strict=True)
    ]
    return of(study, ablation=pd.concat(parts, ignore_index=True))


def published():
    study = make_study()
    return of(study, ablation=summarise(make_ablation(study, 8)), halves=False)


def few_documents():
    study = make_study(levels=(5,))
    return of(study, ablation=make_ablation(study, 2, baseline=0.3, guess=1.1))


def nothing_is_told_apart():
    study = make_study(lengths=(512, 1024, 2048))
    rankings = make_rankings(study, 10, 8)
    return of(study, placed(rankings.assign(score=0.5, n_samples=3)))


def lists_that_are_short():
    study = make_study(levels=(2, 5, 8, 10, 20))
    rankings = make_rankings(study, 10, 8)
    few = rankings["n_samples"].where(rankings["rank"] > 2, 1)
    return of(study, rankings.assign(n_samples=few)[rankings["rank"] <= 12])


def as_made():
    return SMALL, {**small_tables(), "dataset_counts": make_counts(SMALL)}


STUDIES = {
    make.__name__: cache(make)
    for make in (
        as_made,
        one_of_each,
        eleven_methods,
        two_grids,
        two_models,
        long_names,
        three_interventions,
        published,
        few_documents,
        nothing_is_told_apart,
        lists_that_are_short,
    )
}


WIDEST = {"eleven_methods", "two_grids", "two_models", "long_names", "three_interventions"}


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.thorough] if name in WIDEST else []) for name in STUDIES])
def made(request):
    return STUDIES[request.param]()


def test_every_sentence_is_plain(made):
    study, tables = made
    found = claims.of_rules(RULES, tables, study)
    texts = [text for claim in [*found, *together(found)] for text in (claim.statement, claim.sentence)]
    for section in sections.SECTIONS:
        for block in section(study, tables).blocks:
            match block:
                case Paragraph(text):
                    texts.append(text)
                case Items(several):
                    texts += several
                case Answer(said):
                    texts += map(str, said)
                case ClaimList(several):
                    texts += [claim.sentence for claim in several]
    called = names(study)
    assert [fault for text in dict.fromkeys(texts) for fault in faults(text, called)] == []


def test_a_program_tells_claims_apart(made):
    study, tables = made
    found = claims.of_rules(RULES, tables, study)
    names = [(claim.rule, *sorted(claim.of.items())) for claim in found]
    assert sorted({name for name in names if names.count(name) > 1}, key=str) == []
    known = {name: set(map(str, study.configured(name))) for name in ("model", "method", "question", "category")}
    for claim in found:
        assert all(isinstance(value, str | int) for value in claim.of.values())
        for name in known.keys() & claim.of.keys():
            assert str(claim.of[name]).lower() in {value.lower() for value in known[name]}, claim


TOLD_BY_MEANS = ("_cost_differently", "_by_length", "_stand_out_differently", "_break_between_lengths")
"""What rules end with whose sentences tell two means, and not their difference."""


def test_an_effect_is_the_number_that_the_sentence_shows(made):
    study, tables = made
    wrong = []
    for claim in claims.of_rules(RULES, tables, study):
        effect = claim.effect
        if effect is None:
            continue
        # In points, as a number, to hundredths, or whole; differences may be told without their sign, and 0 in words.
        forms = [points(effect.value / 100), decimal(effect.value), nats(effect.value)]
        forms += [f"{effect.value:.2f}", f"{effect.value:.1f}", f"{effect.value:g}"]
        shown = any(form.lstrip("+−-") in claim.sentence for form in forms)
        shown |= effect.value == 0 and re.search(r"\b([Nn]o|[Nn]one|every)\b", claim.sentence) is not None
        if not (shown or claim.rule.endswith(TOLD_BY_MEANS)):
            wrong.append((effect.value, claim.sentence))
        if effect.p is not None and p_value(effect.p) not in claim.sentence:
            wrong.append((effect.p, claim.sentence))
        if effect.low is not None and not effect.low <= effect.value <= effect.high:
            wrong.append((effect, claim.sentence))
    assert wrong == []


def test_an_effect_is_in_its_unit():
    row = {"difference": 0.25, "difference_low": 0.125, "difference_high": float("nan"), "p_holm": 0.01}
    assert effect_of(row) == Effect(25.0, 12.5, None, "points", 0.01)
    assert effect_of(row, unit="overlap", p=None, none=0.5) == Effect(0.25, 0.125, None, "overlap", None, 0.5)


def test_the_effect_of_a_test_of_all_is_its_size():
    of_all = {"a": None, "effect": "Kendall's W", "effect_size": 0.6, "p_holm": 0.01}
    pair = {"a": "one", "difference": 0.25, "difference_low": 0.125, "difference_high": 0.5, "p_holm": float("nan")}
    assert effect_of_all(of_all) == Effect(0.6, None, None, "Kendall's W", 0.01)
    assert effect_of_all(pair) == Effect(25.0, 12.5, 50.0, "points", None)
    assert effect_of_all(None) is None


def test_of_many_values_the_least_and_the_greatest_are_told():
    named, values = {"a": "1 for A", "b": "3 for B", "c": "2 for C"}, {"a": 1, "b": 3, "c": 2}
    assert ends(named, values, "letters") == "1 for A to 3 for B (the least and the most of 3 letters)"
    assert ends({"a": "1 for A", "b": "3 for B"}, values, "letters", "points") == "1 for A and 3 for B (points)"


def test_of_equal_values_none_is_told_for_the_least_or_the_greatest():
    named = {"a": "1 for A", "b": "1 for B", "c": "1 for C"}
    assert ends(named, dict.fromkeys(named, 1), "letters") == "1 for A (the same for each of 3 letters)"
    told = "1 for A to 3 for C (the least and the most of 3 letters, of equal ones the first)"
    assert ends(named | {"c": "3 for C"}, {"a": 1, "b": 1, "c": 3}, "letters") == told


def test_what_is_not_plain_is_found():
    assert faults("It falls (p = 0.01). It is so.") == []
    assert faults("A name " * 20 + "falls.") and not faults("A name " * 20 + "falls.", ["A name"])
    assert faults(" ".join(["word"] * 26) + ".") and faults("It falls, p = 0.01.") and faults("So (p = 0.1; p = 0.2).")

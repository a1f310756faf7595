"""The claim whether it matters whose rows QRHead reads, driven to each outcome by made tables."""

from dataclasses import replace

import pandas as pd
import pytest

from made_tables import make_effects, make_rankings, make_study
from retrieval_heads.analysis.head_effects import summarise_effects
from retrieval_heads.analysis.overlap import pairwise
from retrieval_heads.findings.claims import Outcome
from retrieval_heads.findings.claims.calibration import rows_of_the_answer_prefix_matter
from retrieval_heads.tables.quality_tests import QUALITY_TESTS
from retrieval_heads.tables.tests import NOISE, TESTS

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED


def study_of(**methods):
    """A study whose methods are these entries of a config, under their names."""
    made = make_study(methods=("wu24", "qrhead"), lengths=(512,), questions=("hq_state",))
    labels = {
        name: {"label": {"qrhead": "QRHead", "of_question": "QRHead (question)"}.get(name, name)} for name in methods
    }
    return replace(made, config={**made.config, "methods": methods}, methods=labels)


STUDY = study_of(qrhead={}, of_question={"method": "qrhead", "rows": "question"})
RANKINGS = make_rankings(STUDY, 10, 8)
EFFECTS = make_effects(STUDY, RANKINGS)


def noise(difference=0.0, width=0.02, p=0.5, units=12):
    """How much more the two agree than halves of the documents do."""
    row = dict.fromkeys(TESTS.columns) | {
        **{"subject": NOISE, "dimension": "method", "variant": "plain", "a": "of_question", "b": "qrhead"},
        **{"test": "Wilcoxon signed-rank", "unit": "configuration", "units": units, "p": p, "p_holm": p},
        **{"difference": difference, "difference_low": difference - width, "difference_high": difference + width},
    }
    return pd.DataFrame([row], columns=TESTS.columns)


def quality(difference=0.0, width=0.02, p=0.5, documents=12, a="of_question", b="qrhead"):
    """How much more the first captures than the second, of what is needed."""
    row = dict.fromkeys(QUALITY_TESTS.columns) | {
        **{"model": "small", "context_length": 512, "variant": "plain", "mode": "zero", "measure": "captured"},
        **{"k": 20, "a": a, "b": b, "p": p, "p_family": p, "prompts": 2 * documents, "documents": documents},
        **{"difference": difference, "difference_low": difference - width, "difference_high": difference + width},
    }
    return pd.DataFrame([row], columns=QUALITY_TESTS.columns)


def claim_of(noise=None, quality=None, study=STUDY):
    tables = {
        "overlap": pairwise(RANKINGS, 4),
        "tests": pd.DataFrame(columns=TESTS.columns) if noise is None else noise,
        "quality_tests": QUALITY_TESTS.empty() if quality is None else quality,
    }
    if quality is not None:
        tables["head_effect_summary"] = summarise_effects(EFFECTS, 1, 100)
    (claim,) = rows_of_the_answer_prefix_matter(tables, study)
    assert claim.sentence.endswith(".") and "nan" not in claim.sentence.split()
    return claim


def test_it_matters_where_other_heads_are_found():
    claim = claim_of(noise(-0.3, p=0.001), quality())
    assert claim.outcome is SUPPORTED
    assert "the Jaccard is 0.300 (0.280 to 0.320) below that of one method's rankings" in claim.sentence
    assert "(p = 0.002)" in claim.sentence  # twice that of the test, as there are two ways to find it


def test_it_matters_where_one_captures_more():
    claim = claim_of(noise(), quality(0.2, p=0.002))
    assert claim.outcome is SUPPORTED
    assert "QRHead (question) captures 20.0 points (18.0 to 22.0) more of what heads are needed for than QRHead" in (
        claim.sentence
    )
    turned = claim_of(noise(), quality(-0.2, p=0.002, a="qrhead", b="of_question"))
    assert turned.outcome is SUPPORTED and "captures 20.0 points (18.0 to 22.0) more" in turned.sentence


def test_it_does_not_matter_where_both_are_alike():
    assert claim_of(noise(), quality()).outcome is CONTRADICTED
    # Without a yardstick, the heads that are found decide.
    assert claim_of(noise()).outcome is CONTRADICTED


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"noise": noise(width=0.2), "quality": quality()},
        {"noise": noise(), "quality": quality(width=0.2)},
        {"noise": noise(), "quality": quality(0.2, documents=4, p=0.1)},
        # Each of two ways is tested, so neither p is below 0.05.
        {"noise": noise(-0.3, p=0.03), "quality": quality(0.2, p=0.03)},
    ],
)
def test_it_is_not_told_otherwise(given):
    assert claim_of(**given).outcome is UNDECIDED


@pytest.mark.parametrize(
    "methods",
    [
        {"qrhead": {}, "wu24": {}},
        {"qrhead": {}, "of_question": {"method": "qrhead", "rows": "suffix"}},
        # What differs in more tells nothing of the rows.
        {"qrhead": {}, "of_question": {"method": "qrhead", "rows": "question", "outlier_sd": 1.0}},
    ],
)
def test_nothing_is_said_of_methods_that_differ_otherwise(methods):
    assert rows_of_the_answer_prefix_matter({}, study_of(**methods)) == []

"""What the findings say of the needle's depth is what the tables hold, and each claim has each outcome."""

import numpy as np
import pandas as pd
import pytest

from made_tables import ablation_by_depth, analyse, make_depth_rankings, make_rankings, make_study
from plain_sentences import faults
from retrieval_heads.figures import drawable
from retrieval_heads.findings.claims import Outcome, of_rules
from retrieval_heads.findings.claims.depths import (
    depths_are_answered_differently,
    depths_cost_differently,
    depths_rank_heads_differently,
)
from retrieval_heads.findings.sections.blocks import Paragraph, TableBlock
from retrieval_heads.findings.sections.depths import depths as section
from retrieval_heads.study.needs import available
from retrieval_heads.tables.tests import ACCURACY, DROP, TESTS
from told_claims import told

SUPPORTED, CONTRADICTED, UNDECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNDECIDED
STUDY = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512, 1024), levels=(5,), depths=(0, 1))
RANKINGS = make_rankings(STUDY, 10, 8)


@pytest.fixture(scope="module")
def made():
    """Deep needles are answered less."""
    how = {depth: {"documents": 20, "baseline": 0.95 - 0.6 * depth, "seed": 0} for depth in (0, 1)}
    return analyse(STUDY, RANKINGS, ablation_by_depth(STUDY, how))


def result(subject, k=None, **values):
    """A test of the two depths: 12 documents, p 0.001, a difference of 0.2 from 0.1 to 0.3."""
    row = dict.fromkeys(TESTS.columns) | {
        **{"subject": subject, "dimension": "depth", "a": "0", "b": "1", "test": "Wilcoxon signed-rank"},
        **{"unit": "document", "units": 12, "k": k, "size_least": k, "size_most": k, "p": 0.001, "p_holm": 0.001},
        **{"effect": "rank-biserial correlation", "effect_size": 0.9, "variant": "plain"},
        **{"difference": 0.2, "difference_low": 0.1, "difference_high": 0.3},
    }
    return pd.DataFrame([row | values], columns=TESTS.columns)


ALIKE = {"p_holm": 0.4, "difference": 0.001, "difference_low": -0.01, "difference_high": 0.01}
UNSURE = {"p_holm": 0.4, "difference": 0.02, "difference_low": -0.2, "difference_high": 0.3}


@pytest.mark.parametrize(
    ("rule", "subject", "k"), [(depths_are_answered_differently, ACCURACY, None), (depths_cost_differently, DROP, 5)]
)
def test_accuracy_and_cost(rule, subject, k, made):
    def outcome(**values):
        (claim,) = rule({**made, "tests": result(subject, k, **values)}, STUDY)
        told(claim)
        return claim.outcome

    assert outcome() is SUPPORTED
    assert outcome(**ALIKE) is CONTRADICTED
    assert outcome(**UNSURE) is UNDECIDED
    assert outcome(units=4) is UNDECIDED


def test_what_the_tables_hold_is_told(made):
    (claim,) = of_rules((depths_are_answered_differently,), made, STUDY)
    rows = made["effects"]
    rows = rows[rows["question"].isna() & rows["context_length"].isna()].set_index("depth")
    assert claim.outcome is SUPPORTED
    told(claim)
    for depth, words in ((0.0, "at a depth of 0%"), (1.0, "at a depth of 100%")):
        assert f"{100 * rows.loc[depth, 'baseline']:.1f}% {words}" in claim.sentence


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ({}, SUPPORTED),
        ({"difference": 0.0, "p": 0.5}, CONTRADICTED),
        ({"difference": -0.1, "p": 0.9}, CONTRADICTED),
        ({"difference": 0.02, "p": 0.5, "width": 0.1}, UNDECIDED),
        ({"documents": 4}, UNDECIDED),
    ],
)
def test_rankings(how, outcome):
    claims = depths_rank_heads_differently({"depth_rankings": make_depth_rankings(STUDY, **how)}, STUDY)
    assert len(claims) == 2 and {claim.outcome for claim in claims} == {outcome}
    told(*claims)
    assert [claim.of["context_length"] for claim in claims] == [512, 1024]


def test_of_several_depths_the_test_of_all_decides(made):
    pair = result(ACCURACY, **ALIKE)
    every = result(
        ACCURACY, a=None, b=None, effect="Kendall's W", effect_size=0.4, difference=None, difference_low=None
    )
    (claim,) = depths_are_answered_differently({**made, "tests": pd.concat([every, pair])}, STUDY)
    told(claim)
    assert (claim.effect.value, claim.effect.unit, claim.effect.low, claim.effect.p) == (
        0.4,
        "Kendall's W",
        None,
        0.001,
    )


def test_the_section_shows_accuracy_and_rankings(made):
    assert not [fault for block in section(STUDY, made).blocks for fault in faults(getattr(block, "text", ""))]
    blocks = {block.name: block for block in section(STUDY, made).blocks if isinstance(block, TableBlock)}
    assert len(blocks["depth_accuracy"].rows) == 4 and len(blocks["depth_rankings"].rows) == 2
    first = blocks["depth_accuracy"].rows[0]
    rows = made["effects"]
    row = rows[(rows["depth"] == 0) & (rows["context_length"] == int(first[0].split()[0].replace(",", "")))]
    row = row[row["question"].isna()].iloc[0]
    assert first[-3].startswith(f"{np.round(100 * row['baseline'], 1)} [")


def test_one_length_is_told_and_one_depth_shows_nothing():
    alone = make_study(methods=("wu24",), questions=("hq_state",), lengths=(512,), levels=(5,), depths=(0, 1))
    made = analyse(alone, make_rankings(alone, 10, 8), ablation_by_depth(alone, {0: {}, 1: {"seed": 1}}))
    texts = [block.text for block in section(alone, made).blocks if isinstance(block, Paragraph)]
    assert any("512 tokens is the only context length" in text and "no grid of accuracy" in text for text in texts)
    assert "accuracy_by_depth" not in drawable(available(alone.config))
    assert "accuracy_by_depth" in drawable(available(STUDY.config))
    assert section(make_study(), {}).blocks == ()

"""Accuracy by variant, by hand: over documents, and against the plain variant over the prompts that both have."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from retrieval_heads import tables
from retrieval_heads.analysis.variant_accuracy import accuracy_by_variant
from retrieval_heads.tables.unablated import UNABLATED
from retrieval_heads.tables.variant_accuracy import VARIANT_ACCURACY

DOCUMENTS = 8


def answers(right, lengths=(512,), questions=("hq_state", "inc_year")):
    """The unablated table of two variants, in which ``right(variant, question, document)`` says what is answered."""
    rows = []
    for variant, question, length, document in product(("plain", "other"), questions, lengths, range(DOCUMENTS)):
        outcome = right(variant, question, document)
        if outcome is None:
            continue
        known = {
            "model": "small",
            "question": question,
            "context_length": length,
            "variant": variant,
            "depth": 0.5,
            "prompt_id": f"d{document}/{question}/{length}",
            "doc_id": f"d{document}",
            "answer": "Ohio",
            "generated": "",
            "contains": False,
            "answer_logprob": -1.0,
            "margin": 1.0,
        }
        rows.append(known | {"source": "baseline", "correct": outcome == "correct", "outcome": outcome})
        rows.append(known | {"source": "no_needle", "correct": document == 0, "outcome": "other"})
    return pd.DataFrame(rows)[UNABLATED.columns]


def row_of(found, variant, question=None, length=None):
    here = found[found["variant"] == variant]
    for name, value in (("question", question), ("context_length", length)):
        here = here[here[name].isna() if value is None else (here[name] == value).fillna(False)]
    return here.iloc[0]


def test_accuracy_and_its_difference_from_the_plain_variant(tmp_path):
    def right(variant, question, document):
        if variant == "plain":
            return "correct"
        return "decoy" if question == "inc_year" and document < 4 else "correct"

    found = accuracy_by_variant(answers(right), seed=1, resamples=200)
    tables.write(found, tmp_path / "variant_accuracy.parquet", VARIANT_ACCURACY)
    other = row_of(found, "other")
    assert other["accuracy"] == pytest.approx(12 / 16) and other["decoyed"] == pytest.approx(4 / 16)
    assert other["difference"] == pytest.approx(-4 / 16) and other["guess"] == pytest.approx(1 / 8)
    assert other["difference_low"] < -4 / 16 < other["difference_high"] <= 0
    year = row_of(found, "other", "inc_year")
    # McNemar's exact test of 4 discordant documents.
    assert year["difference"] == -0.5 and year["p"] == pytest.approx(2 * 0.5**4)
    plain = row_of(found, "plain")
    assert plain["accuracy"] == 1 and np.isnan(plain["difference"]) and np.isnan(plain["p"])


def test_only_prompts_that_both_have_are_compared():
    def right(variant, question, document):
        if variant == "plain":
            return "other" if document < 4 else "correct"
        return None if document < 4 else "correct"

    other = row_of(accuracy_by_variant(answers(right), 1, 200), "other")
    assert other["accuracy"] == 1 and other["difference"] == 0 and other["shared_prompts"] == 8
    assert other["prompts"] == 8 and other["documents"] == 4


def test_p_values_are_corrected_over_the_rows_of_a_pooling():
    rng = np.random.default_rng(0)
    luck = {(v, q, d): rng.uniform() for v, q, d in product(("plain", "other"), ("a", "b"), range(DOCUMENTS))}
    made = answers(
        lambda *key: "correct" if luck[key] < (0.9 if key[0] == "plain" else 0.3) else "other", questions=("a", "b")
    )
    found = accuracy_by_variant(made, 1, 200)
    two = [row_of(found, "other", question, 512) for question in ("a", "b")]
    smaller, larger = sorted(two, key=lambda row: row["p"])
    assert smaller["p_holm"] == pytest.approx(min(1, 2 * smaller["p"]))
    assert larger["p_holm"] == pytest.approx(max(min(1, 2 * smaller["p"]), larger["p"]))


@pytest.mark.thorough
def test_variants_that_are_alike_differ_significantly_as_seldom_as_they_should():
    significant = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        chance = rng.uniform(size=DOCUMENTS)
        made = answers(lambda v, q, d, rng=rng, chance=chance: "correct" if rng.uniform() < chance[d] else "other")
        significant += row_of(accuracy_by_variant(made, seed, 100), "other")["p"] < 0.05
    assert significant <= 10

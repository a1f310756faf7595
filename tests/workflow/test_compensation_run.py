"""The tiny study with the control compensation: what is made of it, and what the planted heads are said to do."""

import pandas as pd
import pytest

from projects import TINY

pytestmark = pytest.mark.slow

WAYS = """\
  interventions:
    zero_all: {}
    reading: {mode: zero, scope: suffix, context_lengths: [512]}
    carrying: {mode: resample, scope: suffix, context_lengths: [512]}
"""


def test_a_study_that_asks_for_it_says_what_heads_do_together(study):
    study.change("config/tiny.yaml", "ablation:\n", f"controls:\n  compensation: {{documents: 3}}\n\nablation:\n{WAYS}")
    stale = study.stale()
    assert stale["measure_compensation"] == 2 and stale["summarise_compensation"] == 1
    study.snakemake("--cores", "2", *TINY)
    out = study.path("results", "tiny")
    prompts = pd.read_parquet(out / "tables" / "compensation.parquet")
    assert set(prompts["intervention"]) == {"reading", "carrying"}
    assert prompts.loc[prompts["intervention"] == "carrying", "restored_logodds"].notna().all()
    assert set(prompts["source"]) == {"method", "random"} and set(prompts["matching"].dropna()) == {"layer"}
    sets = pd.read_parquet(out / "tables" / "set_compensation.parquet")
    restored = sets[(sets["k"] == 6) & sets["k_before"].isna()].set_index(["method", "measure"])["value"]
    # The six heads that were planted, which Wu24 finds, copy the answer, and no others do.
    assert restored["wu24", "restored"] > 0.9 and abs(restored["wu24", "random_restored"]) < 0.3
    heads = pd.read_parquet(out / "tables" / "head_compensation.parquet")
    assert {f"L{row.layer}H{row.head}" for row in heads.nlargest(6, "direct").itertuples()} <= {
        *("L2H1", "L2H2", "L2H7", "L3H0", "L3H3", "L3H4")
    }
    said = (out / "FINDINGS.md").read_text(encoding="utf-8")
    assert "Compensation, redundancy, sufficiency" in said and "suffice for the answer" in said
    assert all((out / "figures" / f"{name}.png").exists() for name in ("self_repair", "redundancy", "sufficiency"))
    assert study.stale() == {}

"""What a study asks of its results, each question answered by a named test with an effect size.

Units of the tests are documents where outcomes are known prompt by prompt. Elsewhere they are configurations, or groups
of configurations that were measured on the same prompts; these still share documents, so that such a p value is too
small rather than too large.
"""

from collections.abc import Iterator

import pandas as pd

from retrieval_heads.analysis.drops import drops_by_unit
from retrieval_heads.analysis.hypotheses import ablation, agreement, depths, rankings
from retrieval_heads.analysis.layer_overlap import layer_overlap
from retrieval_heads.analysis.outcomes import Outcomes
from retrieval_heads.analysis.statistics import corrected
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import GRID
from retrieval_heads.tables.tests import HEAD_OVERLAP, LAYER_OVERLAP, LENGTH_BREAK, TESTS


def run_tests(
    study: Study,
    ranked: pd.DataFrame,
    overlap: pd.DataFrame,
    profiles: pd.DataFrame,
    outcomes: Outcomes,
    reliability: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """All tests that the study's data allow.

    Parameters
    ----------
    study : the study.
    ranked : the rankings table.
    overlap, profiles : the tables of these names.
    outcomes : what the model answered with heads ablated.
    reliability : the reliability table, where scores of single prompts are known.

    Returns
    -------
    The tests table, with the tests of each variant of the prompts by themselves. P values are corrected
    (:func:`~retrieval_heads.analysis.statistics.corrected`) over the tests of the same subject, dimension, variant and
    level, of all methods; a test of all values, or all models, together is no part of the family of pairs, or of single
    models. Pairs of lengths are a family for each method, behind the gate of the method's own test of all.
    """
    parts = {part.values["variant"]: part for part in outcomes.split(["variant"])}
    found = []
    for variant in study.in_config_order("variant", [*ranked["variant"].unique(), *parts]):
        rows = _tests(
            study,
            ranked[ranked["variant"] == variant],
            overlap[overlap["variant"] == variant],
            profiles[profiles["variant"] == variant],
            None if reliability is None else reliability[reliability["variant"] == variant],
            parts.get(variant),
        )
        found += [row | {"variant": variant} for row in rows]
    frame = pd.DataFrame(found, columns=TESTS.columns)
    gated = (frame["subject"] == LENGTH_BREAK) & frame["b"].notna()
    family = [
        *(frame[name] for name in ("subject", "dimension", "variant", "k")),
        frame["b"].isna(),
        frame["method"].where(gated),
    ]
    same = [name for name in TESTS.key if name != "intervention"]
    frame = corrected(frame, family, same, "difference")
    return frame.astype({**dict.fromkeys(["k", *GRID], "Int64"), "units": int, "p_holm": float, "p_every": float})


def _tests(
    study: Study,
    ranked: pd.DataFrame,
    overlap: pd.DataFrame,
    profiles: pd.DataFrame,
    reliability: pd.DataFrame | None,
    outcomes: Outcomes | None,
) -> Iterator[dict]:
    """The tests of one variant, of which nothing may have been ablated."""
    if outcomes is not None:
        yield from ablation.by_intervention(study, drops_by_unit(outcomes), outcomes.unit)
        yield from depths.by_depth(study, outcomes)
    along_questions = overlap[overlap["dimension"] == "question"]
    yield from rankings.within_and_between_categories(study, HEAD_OVERLAP, along_questions)
    yield from rankings.within_and_between_categories(study, LAYER_OVERLAP, layer_overlap(ranked, study.top_k))
    yield from rankings.specialists_and_models(study, ranked)
    yield from rankings.consensus_of_methods(study, profiles)
    yield from rankings.score_gaps_of_methods(study, ranked)
    yield from agreement.breaks_between_lengths(study, overlap)
    yield from agreement.methods_against_noise(study, overlap, reliability)
    yield from agreement.methods_by_length(study, overlap)

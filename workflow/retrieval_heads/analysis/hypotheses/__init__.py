"""What a study asks of its results, each question answered by a named test with an effect size.

Units of the tests are documents where outcomes are known prompt by prompt. Elsewhere they are configurations, or groups
of configurations that were measured on the same prompts; these still share documents, so that such a p value is too
small rather than too large.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from retrieval_heads.analysis.drops import drops_by_unit
from retrieval_heads.analysis.hypotheses import ablation, agreement, depths, rankings
from retrieval_heads.analysis.layer_overlap import layer_overlap
from retrieval_heads.analysis.outcomes import Outcomes
from retrieval_heads.analysis.overlap import grids
from retrieval_heads.analysis.shapes import at_equal_shares, models_by_grid
from retrieval_heads.analysis.statistics import corrected
from retrieval_heads.study.study import Study
from retrieval_heads.tables.heads import GRID, Grid, of_grid
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
    The tests table, with the tests of each variant of the prompts by themselves, and of each grid of heads; but those
    that compare models are of all models, at equal shares of their heads. P values are corrected
    (:func:`~retrieval_heads.analysis.statistics.corrected`) over the tests of the same subject, dimension, variant and
    level, of all methods; a test of all values, or all models, together is no part of the family of pairs, or of single
    models. Pairs of lengths are a family for each method, behind the gate of the method's own test of all.
    """
    parts = {part.values["variant"]: part for part in outcomes.split(["variant"])}
    known = grids(ranked)
    found = []
    for variant in study.in_config_order("variant", [*ranked["variant"].unique(), *parts]):
        whole = _Part(
            ranked[ranked["variant"] == variant],
            overlap[overlap["variant"] == variant],
            profiles[profiles["variant"] == variant],
            None if reliability is None else reliability[reliability["variant"] == variant],
            parts.get(variant),
        )
        for grid, part in whole.by_grid(known):
            named = {"variant": variant, **(grid._asdict() if grid else {})}
            found += [row | named for row in _tests(study, part)]
        found += [row | {"variant": variant} for row in _between_models(study, whole, known)]
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


@dataclass(frozen=True)
class _Part:
    """The results of one variant, or of some of its models; nothing may have been ablated in them."""

    ranked: pd.DataFrame
    overlap: pd.DataFrame
    profiles: pd.DataFrame
    reliability: pd.DataFrame | None
    outcomes: Outcomes | None

    def by_grid(self, known: Mapping[str, Grid]) -> "Iterator[tuple[Grid | None, _Part]]":
        """The results of each grid of heads."""
        outcomes = self.outcomes
        ablated = [] if outcomes is None else outcomes.frame["model"].unique()
        for grid, models in models_by_grid(known, [*self.ranked["model"].unique(), *ablated]).items():
            yield (
                grid,
                _Part(
                    self.ranked[self.ranked["model"].isin(models)],
                    of_grid(self.overlap, grid) if grid else self.overlap.iloc[:0],
                    of_grid(self.profiles, grid) if grid else self.profiles.iloc[:0],
                    None if self.reliability is None else self.reliability[self.reliability["model"].isin(models)],
                    outcomes.of_models(models) if outcomes is not None and set(models) & set(ablated) else None,
                ),
            )


def _tests(study: Study, part: _Part) -> Iterator[dict]:
    """The tests of models of one grid."""
    if (outcomes := part.outcomes) is not None:
        yield from ablation.by_intervention(study, drops_by_unit(outcomes), outcomes.unit)
        yield from depths.by_depth(study, outcomes)
    along_questions = part.overlap[part.overlap["dimension"] == "question"]
    yield from rankings.within_and_between_categories(study, HEAD_OVERLAP, along_questions)
    yield from rankings.within_and_between_categories(study, LAYER_OVERLAP, layer_overlap(part.ranked, study.top_k))
    yield from rankings.specialists_and_models(study, part.ranked)
    yield from rankings.consensus_of_methods(study, part.profiles)
    yield from rankings.score_gaps_of_methods(study, part.ranked)
    yield from agreement.breaks_between_lengths(study, part.overlap)
    yield from agreement.methods_against_noise(study, part.overlap, part.reliability)
    yield from agreement.methods_by_length(study, part.overlap)


def _between_models(study: Study, whole: _Part, known: Mapping[str, Grid]) -> Iterator[dict]:
    """The tests of what ablation costs in one model and in another, which may have another grid."""
    if (outcomes := whole.outcomes) is not None:
        drops = drops_by_unit(outcomes)
        totals = {model: known[model].total for model in drops["model"].unique() if model in known}
        if len(set(totals.values())) > 1:
            drops = at_equal_shares(drops[drops["model"].isin(totals)], totals, "size")
        yield from ablation.between_models(study, drops, outcomes.unit)

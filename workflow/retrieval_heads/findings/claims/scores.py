"""Claims about whether scores can carry a ranking: are heads told apart, by more than noise, and on enough prompts?"""

import math

import pandas as pd

from retrieval_heads.analysis.noise import within_rounding, within_sampling
from retrieval_heads.analysis.overlap import grids, top_heads
from retrieval_heads.findings.claims.outcome import MIN_UNITS, POINTS, Claim, Effect, Family, Outcome, Tables
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, listed, percent, setting
from retrieval_heads.tables.heads import head_name

TABLES: dict[str, dict[str, int]] = {"cuts": {"documents": 1}, "effects": {}, "rankings": {}}

_SHOWN = 3
"""How many levels a sentence names."""


def top_sets_are_told_apart(tables: Tables, study: Study) -> list[Claim]:
    """Scores tell as many heads apart as every top set of the study should have; a claim per method and model."""
    found = []
    rankings, effects = tables["rankings"], tables["effects"]
    for model, grid in grids(rankings).items():
        levels = sorted({study.top_k_of(math.prod(grid)), *study.levels, *effects.loc[effects["model"] == model, "k"]})
        for method in study.in_config_order("method", rankings.loc[rankings["model"] == model, "method"]):
            rows = rankings[(rankings["model"] == model) & (rankings["method"] == method)]
            last = rows.groupby(["question", "context_length"])["last"]
            sizes = pd.DataFrame({k: last.apply(lambda ranks, k=k: int((ranks <= k).sum())) for k in levels})
            where = f"{study.label('method', method)} in {study.label('model', model)}"
            short = int((sizes < pd.Series(levels, index=levels)).sum().sum())
            if not short:
                outcome = Outcome.SUPPORTED
                heads = f"{listed([str(k) for k in levels])} heads"
                sentence = f"Scores by {where} tell the heads of every top set apart from the rest ({heads})."
            else:
                outcome = Outcome.CONTRADICTED
                # Heads that a ranking leaves out tie behind those that it lists.
                partial = not (last.size() == math.prod(grid)).all()
                sentence = _ties(sizes, short, where, partial, study)
            statement = f"{where} tells the heads of every top set apart from the rest"
            family = Family(f"A method's scores in {study.label('model', model)} tell the heads of every top set apart")
            about = study.label("method", method)
            of, effect = {"model": model, "method": method}, Effect(short, None, None, "cases")
            found.append(Claim("top_sets_are_told_apart", statement, outcome, sentence, family, about, of, effect))
    return found


def _ties(sizes: pd.DataFrame, cases: int, where: str, partial: bool, study: Study) -> str:
    """Which top sets end early.

    Parameters
    ----------
    sizes : of the top sets, rankings × levels.
    cases : how many of them end early.
    partial : whether some ranking leaves heads out.
    """
    short = [k for k in sizes if (sizes[k] < k).any()]
    empty = int((sizes == 0).sum().sum())
    shown = short if len(short) <= _SHOWN else [*short[: _SHOWN - 1], short[-1]]
    examples = listed([_told_apart(k, sizes[k]) for k in shown])
    none = f" {count(empty, 'top set')} {'is' if empty == 1 else 'are'} empty." if empty else ""
    scores = "equal scores, or none," if partial else "equal scores"
    fate = (
        "were ablated all the same in the published results, in an order that the scores do not give"
        if study.published
        else "are in no top set"
    )
    return (
        f"{where} gives {scores} to heads of which a top set would take some ({cases} of {count(sizes.size, 'case')}, "
        f"each a ranking at a level). Told apart are {examples}.{none} Heads that are not told apart {fate}."
    )


def _told_apart(k: int, sizes: pd.Series) -> str:
    least, most = sizes.min(), sizes.max()
    return f"{least if least == most else f'{least} to {most}'} of the top {k}"


def cuts_are_beyond_rounding(tables: Tables, study: Study) -> list[Claim]:
    """No top set ends between two heads that rounding alone may exchange; a claim per method and model.

    Published results have no scores of prompts, and no claim.
    """
    found: list[Claim] = []
    if (cuts := tables.get("cuts")) is None:
        return found
    for model in study.in_config_order("model", cuts["model"]):
        of_model = cuts[cuts["model"] == model]
        for method in study.in_config_order("method", of_model["method"]):
            rows = of_model[of_model["method"] == method]
            close, where = within_rounding(rows), f"{study.label('method', method)} in {study.label('model', model)}"
            number, sets = int(close.sum()), f"{count(len(rows), 'top set')}, each a ranking at a level"
            if number:
                outcome = Outcome.CONTRADICTED
                nearest = rows[close].sort_values("gap", kind="stable").iloc[0]
                sentence = (
                    f"{where} ends {count(number, 'top set')} within numerical noise (of {sets}). On another machine, "
                    f"the next head may stand in the last one's place. One such set is the top {nearest['size']:g} "
                    f"({setting(study, nearest)}; scores {nearest['gap']:.1e} apart)."
                )
            elif len(rows) == _asked(tables["rankings"], of_model, method) and (rows["size"] == rows["k"]).all():
                outcome = Outcome.SUPPORTED
                sentence = f"{where} ends every top set beyond numerical noise ({sets})."
            else:
                outcome = Outcome.UNDECIDED
                sentence = f"{where} ends no top set within numerical noise ({sets}), but ties end some early."
            sampled = int(within_sampling(rows).sum())
            sentence += f" With other documents, {sampled} of {len(rows)} may end in another head."
            end = "every top set beyond numerical noise"
            statement, about = f"{where} ends {end}", study.label("method", method)
            family = Family(f"A method's scores in {study.label('model', model)} end {end}")
            of, effect = {"model": model, "method": method}, Effect(number, None, None, "top sets")
            found.append(Claim("cuts_are_beyond_rounding", statement, outcome, sentence, family, about, of, effect))
    return found


def _asked(rankings: pd.DataFrame, cuts: pd.DataFrame, method: str) -> int:
    """How many top sets a method should have in the model of some cuts: one for each ranking and level."""
    rows = rankings[rankings["model"].isin(cuts["model"]) & (rankings["method"] == method)]
    return int(rows.groupby(list(DIMENSIONS)).ngroups * cuts["k"].nunique())


def top_heads_rest_on_enough_prompts(tables: Tables, study: Study) -> list[Claim]:
    """The scores of all top heads are means over most of the prompts; a claim per method."""
    found = []
    rankings = tables["rankings"]
    most = rankings.groupby(list(DIMENSIONS))["n_samples"].transform("max")
    top = top_heads(rankings, study.top_k)
    few = top[top["n_samples"] < most[top.index] / 2]
    for method in study.in_config_order("method", rankings["method"]):
        name = study.label("method", method)
        ours, weak = top[top["method"] == method], few[few["method"] == method]
        if ours.empty:  # top_sets_are_told_apart says so
            continue
        samples = most[ours.index].max()
        share = len(weak) / len(ours)
        effect: Effect | None = Effect(100 * share, None, None, POINTS)
        if samples < MIN_UNITS:
            outcome, effect = Outcome.UNDECIDED, None
            sentence = f"Under {name} no head is scored on more than {count(samples, 'prompt')}, too few for a mean."
        elif len(weak):
            outcome = Outcome.CONTRADICTED
            least = weak.sort_values(["n_samples", "rank"], kind="stable").iloc[0]
            sentence = (
                f"Under {name}, {percent(share)} of the top heads are scored on fewer than half of the prompts of the "
                f"best-covered head. One of them is "
                f"{head_name(least['layer'], least['head'])}, at rank {least['rank']:g} with "
                f"{count(least['n_samples'], 'prompt')} ({setting(study, least)}). Such ranks are noise as much as "
                "signal."
            )
        else:
            outcome = Outcome.SUPPORTED
            sentence = f"Under {name} every top head is scored on at least half of the (up to {samples:,}) prompts."
        statement = f"The top heads of {name} are scored on at least half of the prompts"
        family = Family("The top heads of a method are scored on at least half of the prompts")
        of = {"method": method}
        found.append(Claim("top_heads_rest_on_enough_prompts", statement, outcome, sentence, family, name, of, effect))
    return found

"""What the report says in words: sentences that rules write from results.

A rule looks at tables and returns claims, each with one of three outcomes. *Supported* takes a significant result in
the direction claimed; *contradicted* takes an interval that rules out a difference that matters, or a significant
result the other way; all else is *not enough data*, for a difference that was not found is not yet shown to be absent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from retrieval_heads import overlap as overlaps
from retrieval_heads.effects import at
from retrieval_heads.statistics import holm
from retrieval_heads.study import DIMENSIONS, Study
from retrieval_heads.wording import count, interval, p_value, percent, points

MIN_DOCUMENTS = 6
"""With fewer documents than this, even a loss in every one has p > 0.05 in the exact test against a single control."""

USABLE_BASELINE = 0.5
"""The unablated accuracy from which on a cut has enough right answers to take away."""

_POOLED = ("question", "context_length")


class Outcome(StrEnum):
    """What the data say about a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "not enough data"


@dataclass(frozen=True)
class Claim:
    """A sentence with the outcome that it states."""

    rule: str
    outcome: Outcome
    sentence: str


def claims(tables: Mapping[str, pd.DataFrame], study: Study) -> list[Claim]:
    """The claims of all rules.

    Parameters
    ----------
    tables : effects, against_random, overlap and rankings.
    """
    return [claim for rule in RULES for claim in rule(tables, study)]


def baseline_is_usable(tables: Mapping[str, pd.DataFrame], study: Study) -> list[Claim]:
    """Uncut, the model is right often enough for a cut to show."""
    found = []
    effects = at(tables["effects"], pooled=_POOLED)
    for model in study.order("model", effects["model"]):
        row = effects[effects["model"] == model].sort_values("prompts").iloc[-1]
        size = _size(row)
        name = study.label("model", model)
        start = f"With no head cut, {name} answers {percent(row['baseline'])} of the test prompts correctly"
        numbers = f"(95% interval {interval(row, 'baseline')}%; {size})"
        if row["baseline_low"] >= USABLE_BASELINE and not _too_few(row):
            outcome, end = Outcome.SUPPORTED, "which leaves a cut enough to take away"
        elif row["baseline_high"] < USABLE_BASELINE and not _too_few(row):
            outcome, end = Outcome.CONTRADICTED, "too few for a cut to show what a head does"
        else:
            outcome = Outcome.UNDECIDED
            end = f"which does not tell whether it can answer {percent(USABLE_BASELINE)} of such prompts"
        found.append(Claim("baseline_is_usable", outcome, f"{start} {numbers}, {end}."))
    return found


def top_heads_matter_more_than_random(tables: Mapping[str, pd.DataFrame], study: Study) -> list[Claim]:
    """Cutting a method's top heads costs more than cutting as many random ones (of the same layers, if drawn)."""
    if tables["effects"].empty:
        return []
    level = study.level(tables["effects"])
    effects = at(tables["effects"], pooled=_POOLED, k=level)
    controls = at(tables["against_random"], pooled=_POOLED, k=level)
    found = []
    for model in study.order("model", tables["effects"]["model"]):
        for method in study.order("method", tables["effects"]["method"]):
            name = study.label("method", method)
            top = effects[(effects["model"] == model) & (effects["method"] == method)]
            random = controls[(controls["model"] == model) & (controls["method"] == method)]
            if top.empty or random.empty:
                missing = "its top heads were not cut" if top.empty else "no random heads were cut beside its top ones"
                where = f"{name} in {study.label('model', model)}"
                sentence = f"Nothing can be said about the top {level} heads of {where}: {missing}."
                found.append(Claim("top_heads_matter_more_than_random", Outcome.UNDECIDED, sentence))
                continue
            # "layer" sorts before "none": the stricter control is the one to quote.
            found.append(_against_random(top.iloc[0], random.sort_values("matching").iloc[0], name, study))
    return found


def top_heads_are_shared(tables: Mapping[str, pd.DataFrame], study: Study) -> list[Claim]:
    """Rankings that differ in one dimension have more top heads in common than chance gives; a claim per dimension."""
    overlap, found = tables["overlap"], []
    for dimension in DIMENSIONS:
        pairs = overlap[overlap["dimension"] == dimension]
        if pairs.empty:
            continue
        significant = int((holm(overlaps.significance(pairs, tables["rankings"])) < study.alpha).sum())
        mean, chance = pairs["jaccard"].mean(), pairs["chance"].mean()
        numbers = (
            f"mean Jaccard {mean:.3f} of the top heads (from {pairs['jaccard'].min():.3f} to "
            f"{pairs['jaccard'].max():.3f}), where chance gives {chance:.3f}; {significant} of "
            f"{count(len(pairs), 'pair')} beyond chance (hypergeometric test, Holm)"
        )
        if mean <= chance:
            outcome, verdict = Outcome.CONTRADICTED, "agree no more than chance"
        elif significant > len(pairs) / 2:
            outcome, verdict = Outcome.SUPPORTED, "agree more than chance"
        else:
            outcome, verdict = Outcome.UNDECIDED, "are not shown to agree more than chance in most pairs"
        sentence = f"Rankings that differ only in their {dimension.replace('_', ' ')} {verdict}: {numbers}."
        found.append(Claim("top_heads_are_shared", outcome, sentence))
    return found


RULES: tuple[Callable[[Mapping[str, pd.DataFrame], Study], list[Claim]], ...] = (
    baseline_is_usable,
    top_heads_matter_more_than_random,
    top_heads_are_shared,
)


def _against_random(top: pd.Series, random: pd.Series, name: str, study: Study) -> Claim:
    k, layers = int(top["k"]), " of the same layers" if random["matching"] == "layer" else ""
    what = (
        f"Cutting the top {k} heads of {name} in {study.label('model', top['model'])} takes accuracy from "
        f"{percent(top['baseline'])} to {percent(top['accuracy'])}, "
        f"cutting {k} random heads{layers} to {percent(random['accuracy'])}"
    )
    p = p_value(random["p_holm"])
    numbers = f"95% interval {interval(random, 'difference')}; {f'Holm p {p}; ' if p else ''}{_size(random)}"
    difference = f"{points(random['difference'])} points ({numbers})"
    matters = f"{points(study.smallest_effect)} points"
    outcome = _decide(random, study)
    verdict = {
        Outcome.SUPPORTED: f"the top heads cost more, by {difference}",
        Outcome.CONTRADICTED: f"the top heads do not cost {matters} more: the difference is {difference}",
        Outcome.UNDECIDED: f"the difference of {difference} is not significant, nor is one of {matters} ruled out",
    }[outcome]
    if outcome is Outcome.UNDECIDED and _too_few(random):
        verdict = f"the difference of {difference} comes from too few documents for a test"
    return Claim("top_heads_matter_more_than_random", outcome, f"{what}; {verdict}.")


def _decide(row: pd.Series, study: Study) -> Outcome:
    if _too_few(row):
        return Outcome.UNDECIDED
    tested = pd.notna(row["p_holm"])
    above = row["p_holm"] < study.alpha and row["difference"] > 0 if tested else row["difference_low"] > 0
    below = row["p_holm"] < study.alpha and row["difference"] < 0 if tested else row["difference_high"] < 0
    if above:
        return Outcome.SUPPORTED
    if below or row["difference_high"] < study.smallest_effect:
        return Outcome.CONTRADICTED
    return Outcome.UNDECIDED


def _too_few(row: pd.Series) -> bool:
    # Counts alone do not tell how many documents there were; then the prompts stand in for them.
    units = row["documents"] if pd.notna(row["documents"]) else row["prompts"]
    return bool(units < MIN_DOCUMENTS)


def _size(row: pd.Series) -> str:
    prompts = count(row["prompts"], "prompt")
    return f"{prompts} from {count(row['documents'], 'document')}" if pd.notna(row["documents"]) else prompts

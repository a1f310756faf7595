"""Claims about what top heads are needed for: retrieval, or whatever the model does."""

from collections.abc import Iterator

import pandas as pd

from retrieval_heads.analysis.specificity import over_all_questions
from retrieval_heads.findings.claims.outcome import MIN_UNITS, Claim, Effect, Family, Outcome, Tables, effect_of
from retrieval_heads.findings.claims.rows import of_row
from retrieval_heads.study.controls import ITEM_KINDS
from retrieval_heads.study.dimensions import CELL
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    change,
    count,
    fewer_heads,
    interval,
    layers_of,
    listed,
    p_value,
    percent,
    points,
    setting,
)
from retrieval_heads.tables.specificity_summary import OK

TABLES: dict[str, dict[str, int]] = {"specificity_summary": {"specificity": 1}}


def damage_is_specific_to_retrieval(tables: Tables, study: Study) -> list[Claim]:
    """What ablating a method's top heads costs, it costs retrieval, more than what takes none and than random heads."""
    if "specificity_summary" not in tables:
        return []
    found = []
    for where, pairs in largest_sets(tables["specificity_summary"], study):
        for method, (top, random) in pairs.items():
            name, level = study.label("method", method), int(top["k"])
            outcome, verdict, by = _decide(top, study)
            statement = f"What ablating the top {level} heads of {name} costs is specific to retrieval {where}"
            sentence = f"{_what(top, random, name, where)} {verdict}"
            family = Family(f"What ablating a method's top {level} heads costs is specific to retrieval {where}")
            of = of_row(top, *CELL, "method", "k")
            found.append(Claim("damage_is_specific_to_retrieval", statement, outcome, sentence, family, name, of, by))
    return found


def largest_sets(
    summary: pd.DataFrame, study: Study
) -> Iterator[tuple[str, dict[str, tuple[pd.Series, pd.Series | None]]]]:
    """The settings of a study, in words, and in each the rows of every method over all questions.

    They are those at the level of the study's headlines: of the top heads, and of random ones if there are any.
    """
    pooled = over_all_questions(summary, study)
    for model in study.in_config_order("model", pooled["model"]):
        of_model = pooled[pooled["model"] == model]
        for length in study.in_config_order("context_length", of_model["context_length"]):
            of_length = of_model[of_model["context_length"] == length]
            for variant in study.in_config_order("variant", of_length["variant"]):
                here = of_length[of_length["variant"] == variant]
                pairs = {}
                for method in study.in_config_order("method", here["method"]):
                    rows = here[here["method"] == method].set_index("source", drop=False)
                    random = rows.loc["random"] if "random" in rows.index else None
                    pairs[method] = rows.loc["method"], random
                yield setting(study, here.iloc[0]), pairs


def _decide(top: pd.Series, study: Study) -> tuple[Outcome, str, Effect | None]:
    """The outcome, what is said of it, and the difference from random heads where that decides."""
    matters = f"{points(study.smallest_effect)} points"
    if top["status"] != OK:
        return Outcome.UNDECIDED, f"The specificity is not known: {top['status']}.", None
    found = f"The specificity is {change(top['specificity'])} points ({interval(top, 'specificity')})"
    if top["documents"] < MIN_UNITS:
        return Outcome.UNDECIDED, f"{found}, from too few documents for a test.", None
    if top["retrieval_loss_high"] < study.smallest_effect and top["control_loss_low"] < study.smallest_effect:
        verdict = f"That retrieval loses {matters} is ruled out, and that facts and sums do is not shown"
        return Outcome.UNDECIDED, f"{verdict}: there is no damage to tell of.", None
    if pd.isna(top["p_holm"]):
        return Outcome.UNDECIDED, f"{found}, and no random heads were ablated to hold it against.", None
    found += (
        f", and {change(top['difference'])} points against random heads ({interval(top, 'difference')}; Holm p "
        f"{p_value(top['p_holm'])})"
    )
    significant, by = top["p_holm"] < study.alpha, effect_of(top)
    if significant and top["difference"] > 0 and top["specificity_low"] > 0:
        return Outcome.SUPPORTED, f"{found}: it is retrieval that loses more.", by
    if (significant and top["difference"] < 0) or top["specificity_high"] < study.smallest_effect:
        return Outcome.CONTRADICTED, f"{found}: that retrieval loses {matters} more is not so.", by
    if top["difference_high"] < study.smallest_effect:
        return Outcome.CONTRADICTED, f"{found}: that it is {matters} above that with random heads is ruled out.", by
    return Outcome.UNDECIDED, f"{found}, which does not tell.", by


def _what(top: pd.Series, random: pd.Series | None, name: str, where: str) -> str:
    level = int(top["k"])
    rests_on = [count(top["prompts"], "prompt"), *(f"{top[kind]} {kind}" for kind in ("facts", "sums") if top[kind])]
    sentence = (
        f"{where[:1].upper()}{where[1:]}, ablating the top {level} heads{fewer_heads(top['size'], level)} of {name} "
        f"costs {_losses(top, 'retrieval')} (of {', '.join(rests_on)} that the whole model answers). It costs "
        f"{_losses(top, *ITEM_KINDS)}."
    )
    if random is None:
        return sentence
    drawn = layers_of(random["matching"], random["matched"])
    return f"{sentence} Ablating as many random heads ({drawn}) costs {_losses(random, 'retrieval', *ITEM_KINDS)}."


def _losses(row: pd.Series, *kinds: str) -> str:
    """What is lost, as far as it is known: 80.0% of retrieval, 5.0% of facts and 10.0% of sums."""
    known = [f"{percent(row[f'{kind}_loss'])} of {kind}" for kind in kinds if pd.notna(row[f"{kind}_loss"])]
    return listed(known) or "what is not known"

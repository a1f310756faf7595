"""Claims about what top heads are needed for: retrieval, or whatever the model does."""

from collections.abc import Iterator

import pandas as pd

from retrieval_heads.analysis.specificity import over_all_questions
from retrieval_heads.findings.claims.outcome import MIN_UNITS, Claim, Family, Outcome, Tables
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    change,
    count,
    fewer_heads,
    interval,
    p_value,
    percent,
    points,
    random_heads,
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
            outcome, verdict = _decide(top, study)
            statement = f"What ablating the top {level} heads of {name} costs is specific to retrieval {where}"
            sentence = f"{_what(top, random, name, where)} {verdict}"
            family = Family(f"What ablating a method's top {level} heads costs is specific to retrieval {where}")
            found.append(Claim("damage_is_specific_to_retrieval", statement, outcome, sentence, family, name))
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


def _decide(top: pd.Series, study: Study) -> tuple[Outcome, str]:
    matters = f"{points(study.smallest_effect)} points"
    if top["status"] != OK:
        return Outcome.UNDECIDED, f"The specificity is not known: {top['status']}."
    found = f"The specificity is {change(top['specificity'])} points ({interval(top, 'specificity')})"
    if top["documents"] < MIN_UNITS:
        return Outcome.UNDECIDED, f"{found}, from too few documents for a test."
    if top["retrieval_loss_high"] < study.smallest_effect and top["control_loss_low"] < study.smallest_effect:
        return Outcome.UNDECIDED, (
            f"That retrieval loses {matters} is ruled out, and that facts and sums do is not shown: there is no damage "
            "to tell of."
        )
    if pd.isna(top["p_holm"]):
        return Outcome.UNDECIDED, f"{found}, and no random heads were ablated to hold it against."
    found += (
        f", and {change(top['difference'])} points against random heads ({interval(top, 'difference')}; Holm p "
        f"{p_value(top['p_holm'])})"
    )
    significant = top["p_holm"] < study.alpha
    if significant and top["difference"] > 0 and top["specificity_low"] > 0:
        return Outcome.SUPPORTED, f"{found}: it is retrieval that loses more."
    if (significant and top["difference"] < 0) or top["specificity_high"] < study.smallest_effect:
        return Outcome.CONTRADICTED, f"{found}: that retrieval loses {matters} more is not so."
    if top["difference_high"] < study.smallest_effect:
        return Outcome.CONTRADICTED, f"{found}: that it is {matters} above that with random heads is ruled out."
    return Outcome.UNDECIDED, f"{found}, which does not tell."


def _what(top: pd.Series, random: pd.Series | None, name: str, where: str) -> str:
    level = int(top["k"])
    rests_on = [count(top["prompts"], "prompt"), *(f"{top[kind]} {kind}" for kind in ("facts", "sums") if top[kind])]
    sentence = (
        f"Ablating the top {level} heads{fewer_heads(top['size'], level)} of {name} {where} costs {losses(top)} "
        f"(of {', '.join(rests_on)} that the whole model answers)"
    )
    return f"{sentence}." if random is None else f"{sentence}; ablating {random_heads(random)} costs {losses(random)}."


def losses(row: pd.Series) -> str:
    """What is lost, as far as it is known: 80.0% of retrieval, 5.0% of facts and 10.0% of sums."""
    known = [
        f"{percent(row[f'{name}_loss'])} of {name}"
        for name in ("retrieval", "facts", "sums")
        if pd.notna(row[f"{name}_loss"])
    ]
    return " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known) or "what is not known"

"""Claims about other ways of asking: do the same heads serve them, and is it induction heads alone that are needed?"""

from collections.abc import Callable

import pandas as pd

from retrieval_heads.analysis.same_heads import against_plain
from retrieval_heads.findings.claims.outcome import MIN_UNITS, Claim, Family, Outcome, Tables, decide
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import (
    count,
    heads,
    hundredths,
    interval,
    layers_of,
    p_value,
    points,
)
from retrieval_heads.tables.same_heads import ALIKE, DIFFERENT, SAME
from retrieval_heads.tables.select import by_matching, select

TABLES: dict[str, dict[str, int]] = {
    "effects": {},
    "other_sets": {"other_sets": 1},
    "same_heads": {"variant": 2, "split_halves": 1},
}

_OUTCOMES = {SAME: Outcome.SUPPORTED, DIFFERENT: Outcome.CONTRADICTED}


def same_heads_serve_variant(tables: Tables, study: Study) -> list[Claim]:
    """The heads that are on top in a variant are those of the plain one."""
    found = []
    for _, row in against_plain(study, tables["same_heads"]).iterrows() if "same_heads" in tables else ():
        method, variant = study.label("method", row["method"]), study.label("variant", row["variant"])
        where = f"the variant {variant}{_in_model(study, row['model'])}"
        if row["documents"] < MIN_UNITS:
            outcome = Outcome.UNDECIDED
        else:
            outcome = _OUTCOMES.get(row["verdict"], Outcome.UNDECIDED)
        if pd.isna(row["sameness_low"]):
            what = (
                "rankings from halves of the documents do not agree surely enough with each other in both variants "
                "for this to be told"
            )
        else:
            what = (
                f"the top {row['k']} heads share {hundredths(row['sameness'])} (95% interval "
                f"{hundredths(row['sameness_low'])} to {hundredths(row['sameness_high'])}) of what halves of the "
                f"documents share within one variant; above {ALIKE:g} heads count as the same"
            )
        statement = f"By {method}, the same heads serve {where}"
        sentence = f"Between {where} and the plain one, by {method}, {what}."
        family = Family(f"The same heads serve {where}")
        found.append(Claim("same_heads_serve_variant", statement, outcome, sentence, family, method))
    return found


def plain_heads_are_needed_in_variants(tables: Tables, study: Study) -> list[Claim]:
    """The heads that are on top in the plain variant are needed in another one too."""

    def where(row: pd.Series) -> str:
        return f"the variant {study.label('variant', row['variant'])}{_in_model(study, row['model'])}"

    return _of_sets(
        tables,
        study,
        "plain",
        "plain_heads_are_needed_in_variants",
        lambda row, level: f"top {level} heads, as ranked in the plain variant, are needed in {where(row)} too",
    )


def damage_is_not_of_induction_heads_alone(tables: Tables, study: Study) -> list[Claim]:
    """Top heads are needed without those of them that are labelled induction heads."""
    return _of_sets(
        tables,
        study,
        "without_induction",
        "damage_is_not_of_induction_heads_alone",
        lambda row, level: (
            f"top {level} heads do damage{_in_model(study, row['model'])} that is not that of induction heads alone"
        ),
    )


def _of_sets(
    tables: Tables, study: Study, source: str, rule: str, claimed: Callable[[pd.Series, int], str]
) -> list[Claim]:
    """A claim for each model, variant and method that sets of a source cost more than random heads."""
    if "other_sets" not in tables or tables["effects"].empty:
        return []
    level = study.level(tables["effects"])
    rows = select(tables["other_sets"], pooled=("question", "context_length"), source=source, k=level)
    if source != "plain":
        rows = rows[rows["variant"] == PLAIN]
    found = []
    for model in study.in_config_order("model", rows["model"]):
        for variant in study.in_config_order("variant", rows["variant"]):
            for method in study.in_config_order("method", rows["method"]):
                here = rows[(rows["model"] == model) & (rows["variant"] == variant) & (rows["method"] == method)]
                if here.empty:
                    continue
                row, name = by_matching(here).iloc[0], study.label("method", method)
                what = claimed(row, level)
                found.append(
                    Claim(
                        rule,
                        f"{name}'s {what}",
                        decide(row, study, units="documents"),
                        f"{_ablated(row, name, level, study)} {_cost(row)}.",
                        Family(f"A method's {what}"),
                        name,
                    )
                )
    return found


def _ablated(row: pd.Series, name: str, level: int, study: Study) -> str:
    """What was ablated where: the beginning of a sentence about what it takes."""
    where = _in_model(study, row["model"])
    if row["source"] == "plain":
        variant = study.label("variant", row["variant"])
        return f"In the variant {variant}{where}, the top {level} heads of {name} as ranked in the plain variant take"
    left = f"{heads(row['size'])} heads are left" if row["size"] != 1 else "1 head is left"
    return f"Without induction heads, {left} of the top {level} heads of {name}{where}; ablated, these take"


def _cost(row: pd.Series) -> str:
    """What a set costs, beside its top set and random heads."""
    p = f", Holm p {p_value(row['p_holm'])}" if pd.notna(row["p_holm"]) else ""
    own = "this variant's own top set" if row["source"] == "plain" else "all of them"
    return (
        f"{points(row['drop'])} points of accuracy ({own}: {points(row['own_drop'])}), "
        f"{points(row['difference'])} more than the random heads drawn for that set, "
        f"{layers_of(row['matching'], row['matched'])} (95% interval {interval(row, 'difference')}{p}; "
        f"{count(row['prompts'], 'prompt')} from {count(row['documents'], 'document')})"
    )


def _in_model(study: Study, model: str) -> str:
    return f" in {study.label('model', model)}" if len(study.configured("model")) > 1 else ""

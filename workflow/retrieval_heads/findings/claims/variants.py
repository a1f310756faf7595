"""Claims about other ways of asking: do the same heads serve them, and is it induction heads alone that are needed?"""

from collections.abc import Callable

import pandas as pd

from retrieval_heads.analysis.same_heads import against_plain
from retrieval_heads.findings.claims.outcome import MIN_UNITS, Claim, Family, Outcome, Tables, decide, effect_of
from retrieval_heads.findings.claims.rows import of_row
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
        by = None
        if pd.isna(row["sameness_low"]):
            sentence = (
                f"By {method}, it is not told whether {where} and the plain one have the same heads. Rankings from "
                "halves of the documents do not agree surely enough with each other in both."
            )
        else:
            sentence = (
                f"In {where}, the top {row['k']} heads of {method} share {hundredths(row['sameness'])} with those of "
                f"the plain one (95% interval {hundredths(row['sameness_low'])} to "
                f"{hundredths(row['sameness_high'])}). What halves of the documents share within one variant is 1, "
                f"and above {ALIKE:g} heads count as the same."
            )
            # Held against what counts as the same, not against what chance would share.
            by = effect_of(row, "sameness", "sameness", None, ALIKE)
        statement = f"By {method}, the same heads serve {where}"
        family = Family(f"The same heads serve {where}")
        of = of_row(row, "model", "variant", "method")
        found.append(Claim("same_heads_serve_variant", statement, outcome, sentence, family, method, of, by))
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
                        f"{_ablated(row, name, level, study)} {_cost(row)}",
                        Family(f"A method's {what}"),
                        name,
                        of_row(row, "model", "variant", "method", "k"),
                        effect_of(row),
                    )
                )
    return found


def _ablated(row: pd.Series, name: str, level: int, study: Study) -> str:
    """What was ablated where, and the beginning of a sentence about what it takes."""
    where = _in_model(study, row["model"])
    if row["source"] == "plain":
        variant = study.label("variant", row["variant"])
        return f"The plain variant's top {level} heads of {name} are ablated in the variant {variant}{where}. They take"
    left = f"{heads(row['size'])} {'is' if row['size'] == 1 else 'are'} left"
    return f"Without induction heads, {left} of the top {level} heads of {name}{where}. Ablated, these take"


def _cost(row: pd.Series) -> str:
    """What a set costs, beside its top set and random heads."""
    p = f", Holm p {p_value(row['p_holm'])}" if pd.notna(row["p_holm"]) else ""
    own = "this variant's own top set" if row["source"] == "plain" else "all of them"
    return (
        f"{points(row['drop'])} points of accuracy ({own}: {points(row['own_drop'])}). That is "
        f"{points(row['difference'])} more than the random heads take that were drawn for that set "
        f"({layers_of(row['matching'], row['matched'])}; 95% interval {interval(row, 'difference')}{p}; "
        f"{count(row['prompts'], 'prompt')} from {count(row['documents'], 'document')})."
    )


def _in_model(study: Study, model: str) -> str:
    return f" in {study.label('model', model)}" if len(study.configured("model")) > 1 else ""

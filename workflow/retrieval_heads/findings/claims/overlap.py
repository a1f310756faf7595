"""Claims about what rankings share: top heads beyond chance, and breaks between neighbouring lengths."""

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from retrieval_heads.analysis.overlap import summarise
from retrieval_heads.analysis.overlap_pairs import top_sets_along
from retrieval_heads.analysis.statistics import holm
from retrieval_heads.findings.claims.grids import by_grid, for_each_grid
from retrieval_heads.findings.claims.outcome import (
    MIN_UNITS,
    OVERLAP,
    Claim,
    Effect,
    Family,
    Outcome,
    Tables,
    effect_of,
    in_words,
    of_tests,
)
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count
from retrieval_heads.tables.tests import LENGTH_BREAK

TABLES: dict[str, dict[str, int]] = {"imports": {"import": 1}, "overlap": {}, "tests": {}}

BREAK = 0.2
"""A fall of the Jaccard between two neighbouring lengths, against the other neighbours, that is no gradual change."""


def top_heads_are_shared(tables: Tables, study: Study) -> list[Claim]:
    """Rankings that differ in one dimension have more top heads in common than chance gives; a claim per dimension."""
    return [
        _beyond_chance(
            "top_heads_are_shared",
            f"Rankings that differ only in their {dimension.replace('_', ' ')}{where}",
            rows,
            study,
            {"dimension": dimension, **of},
        )
        for dimension in DIMENSIONS
        for where, of, rows in by_grid(top_sets_along(tables["overlap"], dimension))
    ]


def imported_heads_are_top_heads(tables: Tables, study: Study) -> list[Claim]:
    """A method's rankings share top heads with a list from elsewhere; a claim per list and method."""
    if (found := tables.get("imports")) is None:
        return []
    return [
        replace(
            _beyond_chance(
                "imported_heads_are_top_heads",
                f"Rankings by {study.label('method', method)} and {study.label('import', name)}",
                rows,
                study,
                {"import": name, "method": method},
            ),
            family=Family(f"Rankings by a method and {study.label('import', name)} agree more than chance"),
            about=study.label("method", method),
        )
        for name in study.in_config_order("import", found["import"])
        for method in study.in_config_order("method", found.loc[found["import"] == name, "method"])
        if len(rows := found[(found["import"] == name) & (found["method"] == method)].dropna(subset="jaccard"))
    ]


def _beyond_chance(rule: str, what: str, pairs: pd.DataFrame, study: Study, of: Mapping[str, str | int]) -> Claim:
    """Do pairs of rankings agree more than chance? The pairs are a family of Holm's correction."""
    significant = int((holm(pairs["p"]) < study.alpha).sum())
    row = summarise(pairs.assign(all=0), ["all"]).iloc[0]
    numbers = (
        f"Their top heads have a mean Jaccard of {row['jaccard']:.3f} (from {row['lowest']:.3f} to "
        f"{row['highest']:.3f}), where chance gives {row['chance']:.3f}, and their rankings a rank-biased overlap of "
        f"{row['rbo']:.3f}, where chance gives {row['rbo_chance']:.3f}. The top heads of {significant} of "
        f"{count(len(pairs), 'pair')} agree beyond chance (hypergeometric test, Holm)"
    )
    if row["jaccard"] <= row["chance"]:
        outcome, verdict = Outcome.CONTRADICTED, "agree no more than chance"
    elif significant > len(pairs) / 2:
        outcome, verdict = Outcome.SUPPORTED, "agree more than chance"
    else:
        outcome, verdict = Outcome.UNDECIDED, "are not shown to agree more than chance in most pairs"
    effect = Effect(float(row["jaccard"]), None, None, OVERLAP, none=float(row["chance"]))
    return Claim(rule, f"{what} agree more than chance", outcome, f"{what} {verdict}. {numbers}.", of=of, effect=effect)


@for_each_grid
def rankings_break_between_lengths(tables: Tables, study: Study) -> list[Claim]:
    """The top heads change between two neighbouring lengths far more than between the others; a claim per method."""
    found = []
    tests = of_tests(tables, LENGTH_BREAK)
    pairs = top_sets_along(tables["overlap"], "context_length")
    for method in study.in_config_order("method", tests["method"]):
        rows = tests[(tests["method"] == method) & tests["a"].notna()]
        every = tests[(tests["method"] == method) & tests["a"].isna()]
        differ = every.empty or every.iloc[0]["p_holm"] < study.alpha
        worst = rows.sort_values("difference", kind="stable").iloc[0]
        step, steps = (worst["a"], worst["b"]), list(zip(rows["a"], rows["b"], strict=True))
        of_method = pairs[pairs["method"] == method]
        numbers = "".join(_jaccard_by_step(of_grid, step, steps, where) for where, _, of_grid in by_grid(of_method))
        name, test = study.label("method", method), in_words(worst)
        effect: Effect | None = effect_of(worst, unit=OVERLAP)
        if worst["units"] < MIN_UNITS:
            outcome, effect = Outcome.UNDECIDED, None
            sentence = f"There are too few rankings to test {name} for a break between neighbouring lengths.{numbers}"
        elif differ and worst["p_holm"] < study.alpha and worst["difference"] <= -BREAK:
            outcome = Outcome.SUPPORTED
            sentence = (
                f"The top heads of {name} change between {_span(step, ' and ')} tokens more than between other "
                f"neighbouring lengths ({test}).{numbers} Before such rankings are compared across this step, "
                "look for what else than the length changed there."
            )
        elif (rows["difference_low"] > -BREAK).all():
            outcome = Outcome.CONTRADICTED
            sentence = f"The top heads of {name} do not break between lengths ({test}).{numbers}"
        else:
            outcome = Outcome.UNDECIDED
            sentence = (
                f"The top heads of {name} are not shown to break between lengths, and a break is not ruled out "
                f"({test}).{numbers}"
            )
        statement = f"The top heads of {name} break between two neighbouring lengths"
        family = Family("The top heads of a method break between two neighbouring lengths")
        of = {"method": method}
        found.append(Claim("rankings_break_between_lengths", statement, outcome, sentence, family, name, of, effect))
    return found


def _jaccard_by_step(pairs: pd.DataFrame, worst: tuple[str, str], steps: list[tuple[str, str]], where: str) -> str:
    """A sentence about the mean Jaccard of the two neighbouring lengths that agree least, and of the others."""
    ends = [frozenset(pair) for pair in zip(pairs["a"], pairs["b"], strict=True)]
    mean = pairs["jaccard"].groupby(ends).mean()
    known = [step for step in steps if frozenset(step) in mean]
    first = [f"{mean[frozenset(worst)]:.2f} from {_span(worst)} tokens"] if worst in known else []
    others = {step: mean[frozenset(step)] for step in known if step != worst}
    if len(others) == 1:
        ((step, value),) = others.items()
        first.append(f"{value:.2f} from {_span(step)}{'' if first else ' tokens'}")
    elif others:
        first.append(f"{min(others.values()):.2f} to {max(others.values()):.2f} between the other neighbours")
    return f" Their mean Jaccard is {', but '.join(first)}{where}." if first else ""


def _span(pair: tuple[str, str], between: str = " to ") -> str:
    return between.join(f"{int(length):,}" for length in pair)

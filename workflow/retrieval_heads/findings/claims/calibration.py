"""Claims about whose rows QRHead reads: all of the suffix, or those of the question, which alone are calibrated."""

from collections.abc import Iterator
from itertools import combinations

import pandas as pd

from retrieval_heads.analysis.overlap_pairs import top_sets_along
from retrieval_heads.analysis.ranking_quality import against
from retrieval_heads.findings.claims.grids import for_each_grid
from retrieval_heads.findings.claims.outcome import (
    MIN_UNITS,
    OVERLAP,
    Claim,
    Effect,
    Outcome,
    Tables,
    decide,
    effect_of,
    of_tests,
)
from retrieval_heads.findings.claims.quality import modes, of_setting, settings
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.method_entries import file_of, parameters_of
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, decimal, interval, p_value, plain, points
from retrieval_heads.tables.ranking_quality import CAPTURED
from retrieval_heads.tables.tests import NOISE

TABLES: dict[str, dict[str, int]] = {
    "head_effect_summary": {"yardstick": 1},
    "overlap": {},
    "quality_tests": {"documents": 1},
    "tests": {},
}

_WAYS = 2
"""How many tests say whether it matters, by overlap and by quality: each p counts so many times."""


@for_each_grid
def rows_of_the_answer_prefix_matter(tables: Tables, study: Study) -> list[Claim]:
    """QRHead finds other heads, or better ones, by the rows of the question alone than by all of the suffix."""
    return [_compared(tables, study, whole, question) for whole, question in _pairs(study)]


def _pairs(study: Study) -> Iterator[tuple[str, str]]:
    """Every two of a study's methods that are QRHead and differ in ``rows`` alone, first that of the suffix."""
    entries = study.config["methods"].items()
    known = {name: parameters_of(name, entry) for name, entry in entries if file_of(name, entry) == "qrhead"}
    for pair in combinations(known, 2):
        of_suffix, of_question = sorted(pair, key=lambda name: known[name]["rows"] == "question")
        if {**known[of_suffix], "rows": "question"} == known[of_question] != known[of_suffix]:
            yield of_suffix, of_question


def _compared(tables: Tables, study: Study, whole: str, question: str) -> Claim:
    names = study.label("method", whole), study.label("method", question)
    found = [_by_overlap(tables, study, whole, question), *_by_quality(tables, study, whole, question)]
    outcomes = {outcome for outcome, *_ in found}
    if Outcome.SUPPORTED in outcomes:
        outcome, verdict = Outcome.SUPPORTED, "So it matters whose rows are read."
    elif outcomes == {Outcome.CONTRADICTED}:
        outcome, verdict = Outcome.CONTRADICTED, "So it does not matter whose rows are read."
    else:
        outcome, verdict = Outcome.UNDECIDED, "Whether it matters whose rows are read is not told."
    statement = f"It matters whose rows QRHead reads: {names[0]} and {names[1]} differ"
    sentence = " ".join([*(said for _, said, _ in found), verdict])
    # Where several tests decide, no one number does.
    effect = found[0][2] if len(found) == 1 else None
    of = {"a": whole, "b": question}
    return Claim("rows_of_the_answer_prefix_matter", statement, outcome, sentence, of=of, effect=effect)


def _by_overlap(tables: Tables, study: Study, whole: str, question: str) -> tuple[Outcome, str, Effect | None]:
    """Whether the two find the same heads, beside what another draw of documents changes."""
    both = {whole, question}
    names = f"{study.label('method', whole)} and {study.label('method', question)}"
    pairs = top_sets_along(tables["overlap"], "method")
    pairs = pairs[pairs["a"].isin(both) & pairs["b"].isin(both)]
    if pairs.empty:
        return Outcome.UNDECIDED, f"The top heads of {names} cannot be compared.", None
    said = (
        f"The top heads of {names} have a mean Jaccard of {decimal(pairs['jaccard'].mean())} (by chance "
        f"{decimal(pairs['chance'].mean())}). Their rankings have a rank-biased overlap of "
        f"{decimal(pairs['rbo'].mean())}."
    )
    noise = of_tests(tables, NOISE, variant=PLAIN)
    noise = noise[noise["a"].isin(both) & noise["b"].isin(both)]
    if noise.empty:
        unknown = "There are no rankings from halves of the documents to hold that against."
        return Outcome.UNDECIDED, f"{said} {unknown}", None
    row = noise.iloc[0].to_dict()
    row |= {
        "p_holm": min(1.0, _WAYS * row["p_holm"]),
        "difference": -row["difference"],
        "difference_low": -row["difference_high"],
        "difference_high": -row["difference_low"],
    }
    told = (
        f"{said} Beyond chance, the Jaccard is {decimal(row['difference'])} ({plain(row, 'difference')}) below that "
        f"of one method's rankings from two halves of the documents (p {p_value(row['p_holm'])})."
    )
    return decide(row, study), told, effect_of(row, unit=OVERLAP)


def _by_quality(
    tables: Tables, study: Study, whole: str, question: str
) -> Iterator[tuple[Outcome, str, Effect | None]]:
    """Whether one of the two captures more of what heads carry, or of what is needed, in each setting."""
    held = list(settings(tables, study))
    if not held:
        return
    needed, carrying = modes(tables, study)
    for (model, length), where in held:
        tests = of_setting(tables["quality_tests"], model, length)
        tests = tests[(tests["measure"] == CAPTURED) & (tests["mode"] == (carrying or needed))]
        tests = against(tests[tests["variant"] == PLAIN], question)
        tests = tests[tests["b"] == whole]
        if tests.empty:
            yield Outcome.UNDECIDED, f"{where}, no documents tell which captures more.", None
            continue
        row = tests.iloc[0]
        p = min(1.0, _WAYS * len(held) * row["p_family"])
        yield (
            _outcome(row, p, study),
            (
                f"{where}, {study.label('method', question)} captures {points(row['difference'])} points "
                f"({interval(row, 'difference')}) more of what heads {'carry' if carrying else 'are needed for'} than "
                f"{study.label('method', whole)} (p {p_value(p)}, {count(row['documents'], 'document')})."
            ),
            effect_of({**row, "p_holm": p}),
        )


def _outcome(row: pd.Series, p: float, study: Study) -> Outcome:
    if row["documents"] < MIN_UNITS or pd.isna(row["difference_low"]):
        return Outcome.UNDECIDED
    if p < study.alpha:
        return Outcome.SUPPORTED
    alike = max(abs(row["difference_low"]), abs(row["difference_high"])) < study.smallest_effect
    return Outcome.CONTRADICTED if alike else Outcome.UNDECIDED

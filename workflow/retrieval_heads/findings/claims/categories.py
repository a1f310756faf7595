"""Claims about categories of questions: do the questions of one share more heads, or more layers, than others?"""

from dataclasses import replace

import pandas as pd

from retrieval_heads.findings.claims.grids import by_grid, for_each_grid
from retrieval_heads.findings.claims.outcome import (
    OVERLAP,
    Claim,
    Outcome,
    Tables,
    decide,
    effect_of,
    in_words,
    of_tests,
)
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import decimal, percent, plain
from retrieval_heads.tables.tests import HEAD_OVERLAP, LAYER_OVERLAP

TABLES: dict[str, dict[str, int]] = {"tests": {}, "unions": {}}


@for_each_grid
def categories_share_heads(tables: Tables, study: Study) -> list[Claim]:
    """Q2: questions of one category share more heads than questions of two."""
    found = _within_and_between(
        tables, study, HEAD_OVERLAP, "categories_share_heads", "share more top heads", "Jaccard of top heads"
    )
    if found and (unions := _unions(tables["unions"], study)):
        found[0] = replace(found[0], sentence=f"{found[0].sentence} {unions}")
    return found


@for_each_grid
def categories_share_layers(tables: Tables, study: Study) -> list[Claim]:
    """Q4: questions of one category find their heads in the same layers more than questions of two."""
    does = "have their top heads in the same layers more"
    return _within_and_between(tables, study, LAYER_OVERLAP, "categories_share_layers", does, "overlap of layers")


def _within_and_between(tables: Tables, study: Study, subject: str, rule: str, does: str, measure: str) -> list[Claim]:
    """For each category, and for all of them together, the claim that its questions share more than others do."""
    found = []
    for _, row in of_tests(tables, subject, dimension="category").iterrows():
        who = "questions of one category" if row["a"] == "within" else f"{row['a']} questions"
        outcome = decide(row, study)
        verdict = {
            Outcome.SUPPORTED: f"{_capitalized(who)} {does} than questions of different categories",
            Outcome.CONTRADICTED: f"{_capitalized(who)} do not {does} than questions of different categories",
            Outcome.UNDECIDED: f"It is open whether {who} {does} than questions of different categories",
        }[outcome]
        way = "higher" if row["difference"] >= 0 else "lower"
        numbers = (
            f"The mean {measure} beyond chance is {decimal(abs(row['difference']))} {way} (95% interval of the "
            f"difference {plain(row, 'difference')}; {in_words(row)})"
        )
        statement = f"{_capitalized(who)} {does} than questions of different categories"
        of = {} if row["a"] == "within" else {"category": row["a"]}
        effect = effect_of(row, unit=OVERLAP)
        found.append(Claim(rule, statement, outcome, f"{verdict}. {numbers}.", of=of, effect=effect))
    return found


def _unions(unions: pd.DataFrame, study: Study) -> str:
    """Sentences about the heads in the top set of any configuration; nothing where there are none to compare."""
    category = study.categories
    pairs = unions[unions["dimension"] == "question"]
    same = pairs[pairs["a"].map(category) == pairs["b"].map(category)]
    between = unions[unions["dimension"] == "category"]
    if same.empty or between.empty:
        return ""
    said = ["Taken over all configurations, top sets hold more heads and share more by chance alone."]
    for where, _, rows in by_grid(pd.concat([same, between])):
        within, across = (_range(rows.loc[rows["dimension"] == kind, "jaccard"]) for kind in ("question", "category"))
        chance = _range(rows["chance"])
        said.append(f"They share {within} within a category and {across} between two{where} (by chance {chance}).")
    return " ".join(said)


def _range(shares: pd.Series) -> str:
    return " to ".join(dict.fromkeys(percent(share) for share in (shares.min(), shares.max())))


def _capitalized(words: str) -> str:
    return words[:1].upper() + words[1:]

"""Claims about how far the methods agree, beside noise and at each length."""

from retrieval_heads.analysis.overlap_pairs import top_sets_along
from retrieval_heads.findings.claims.grids import by_grid, for_each_grid
from retrieval_heads.findings.claims.outcome import (
    Claim,
    Family,
    Outcome,
    Tables,
    decide,
    decide_all,
    in_words,
    of_tests,
)
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import decimal, listed, plain
from retrieval_heads.tables.tests import AGREEMENT_BY_LENGTH, NOISE

TABLES: dict[str, dict[str, int]] = {"overlap": {}, "tests": {}}


@for_each_grid
def methods_differ_beyond_noise(tables: Tables, study: Study) -> list[Claim]:
    """Two methods agree less than each agrees with itself on the other half of the documents."""
    found = []
    family = Family("Two methods disagree beyond noise", "pairs of methods")
    for names, pairs in top_sets_along(tables["overlap"], "method").groupby(["a", "b"]):
        a, b = study.in_config_order("method", names)
        jaccard = listed([f"{rows['jaccard'].mean():.3f}{where}" for where, rows in by_grid(pairs)])
        both = f"{study.label('method', a)} and {study.label('method', b)}"
        pair = f"{study.label('method', a)} – {study.label('method', b)}"
        statement = f"{both} disagree beyond noise"
        rows = of_tests(tables, NOISE)
        rows = rows[rows["a"].isin([a, b]) & rows["b"].isin([a, b])]
        if rows.empty:
            sentence = (
                f"How much of the disagreement of {both} (mean Jaccard {jaccard}) is noise is not known: there are no "
                "rankings from halves of the documents."
            )
            found.append(Claim("methods_differ_beyond_noise", statement, Outcome.UNDECIDED, sentence, family, pair))
            continue
        row = rows.iloc[0]
        # The other way round: how much less than its own reliability a method agrees with another.
        turned = row.to_dict() | {
            "difference": -row["difference"],
            "difference_low": -row["difference_high"],
            "difference_high": -row["difference_low"],
        }
        outcome = decide(turned, study)
        verdict = {
            Outcome.SUPPORTED: "The two disagree beyond noise",
            Outcome.CONTRADICTED: "The two disagree no more than noise makes them",
            Outcome.UNDECIDED: "This does not tell their disagreement from noise",
        }[outcome]
        sentence = (
            f"The top heads of {both} have a mean Jaccard of {jaccard}. Beyond chance, that is "
            f"{decimal(turned['difference'])} ({plain(turned, 'difference')}) below the Jaccard of one method's top "
            f"heads from two halves of the documents. {verdict} ({in_words(row)})."
        )
        found.append(Claim("methods_differ_beyond_noise", statement, outcome, sentence, family, pair))
    return found


@for_each_grid
def methods_agree_differently_by_length(tables: Tables, study: Study) -> list[Claim]:
    """The methods agree more at some context lengths than at others, so that a mean over lengths says little."""
    tests = of_tests(tables, AGREEMENT_BY_LENGTH)
    if tests.empty:
        return []
    jaccards = listed(
        [
            f"{rows['jaccard'].mean():.3f} at {study.label('context_length', length)}{where}"
            for where, pairs in by_grid(top_sets_along(tables["overlap"], "method"))
            for length, rows in pairs.groupby("context_length")
        ]
    )
    outcome, test = decide_all(tests, study)
    if test is None:
        end = "There are too few pairs of rankings for a test"
    else:
        end = {
            Outcome.SUPPORTED: f"It differs between lengths ({in_words(test)}), so a mean over all of them describes "
            "none",
            Outcome.CONTRADICTED: f"It is the same at all lengths ({in_words(test)})",
            Outcome.UNDECIDED: f"No difference between lengths is found ({in_words(test)})",
        }[outcome]
    sentence = f"The top heads of two methods have a mean Jaccard of {jaccards}. {end}."
    statement = "The methods agree more at some context lengths than at others"
    return [Claim("methods_agree_differently_by_length", statement, outcome, sentence)]

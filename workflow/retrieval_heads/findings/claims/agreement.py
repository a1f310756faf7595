"""Claims about how far the methods agree, beside noise and at each length."""

from retrieval_heads.analysis.overlap_pairs import top_sets_along
from retrieval_heads.findings.claims.grids import by_grid, for_each_grid
from retrieval_heads.findings.claims.outcome import (
    OVERLAP,
    Claim,
    Family,
    Outcome,
    Tables,
    decide,
    decide_all,
    effect_of,
    effect_of_all,
    in_words,
    of_tests,
)
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import decimal, ends, plain
from retrieval_heads.tables.tests import AGREEMENT_BY_LENGTH, NOISE

TABLES: dict[str, dict[str, int]] = {"overlap": {}, "tests": {}}


@for_each_grid
def methods_differ_beyond_noise(tables: Tables, study: Study) -> list[Claim]:
    """Two methods agree less than each agrees with itself on the other half of the documents."""
    found = []
    family = Family("Two methods disagree beyond noise", "pairs of methods")
    for names, pairs in top_sets_along(tables["overlap"], "method").groupby(["a", "b"]):
        a, b = study.in_config_order("method", names)
        jaccard, *others = (f"{rows['jaccard'].mean():.3f}{where}" for where, _, rows in by_grid(pairs))
        both = f"{study.label('method', a)} and {study.label('method', b)}"
        pair = f"{study.label('method', a)} – {study.label('method', b)}"
        statement, of = f"{both} disagree beyond noise", {"a": a, "b": b}
        mean = " ".join([f"have a mean Jaccard of {jaccard}.", *(f"It is {other}." for other in others)])
        rows = of_tests(tables, NOISE)
        rows = rows[rows["a"].isin([a, b]) & rows["b"].isin([a, b])]
        if rows.empty:
            sentence = (
                f"The top heads of {both} {mean} How much of their disagreement is noise is not known: there are no "
                "rankings from halves of the documents."
            )
            found.append(Claim("methods_differ_beyond_noise", statement, Outcome.UNDECIDED, sentence, family, pair, of))
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
            f"The top heads of {both} {mean} Beyond chance, that is "
            f"{decimal(turned['difference'])} ({plain(turned, 'difference')}) below the Jaccard of one method's top "
            f"heads from two halves of the documents. {verdict} ({in_words(row)})."
        )
        effect = effect_of(turned, unit=OVERLAP)
        found.append(Claim("methods_differ_beyond_noise", statement, outcome, sentence, family, pair, of, effect))
    return found


@for_each_grid
def methods_agree_differently_by_length(tables: Tables, study: Study) -> list[Claim]:
    """The methods agree more at some context lengths than at others, so that a mean over lengths says little."""
    tests = of_tests(tables, AGREEMENT_BY_LENGTH)
    if tests.empty:
        return []
    said = []
    for where, _, pairs in by_grid(top_sets_along(tables["overlap"], "method")):
        means = pairs.groupby("context_length")["jaccard"].mean().to_dict()
        named = {length: f"{mean:.3f} at {study.label('context_length', length)}" for length, mean in means.items()}
        said.append(f"Two methods' top heads have a mean Jaccard of {ends(named, means, 'context lengths')}{where}.")
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
    sentence = f"{' '.join(said)} {end}."
    statement = "The methods agree more at some context lengths than at others"
    effect = effect_of_all(test, OVERLAP)
    return [Claim("methods_agree_differently_by_length", statement, outcome, sentence, effect=effect)]

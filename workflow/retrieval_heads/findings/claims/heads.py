"""Claims about which heads the methods find: those that all agree on, specialists, differences between models."""

from retrieval_heads.analysis import head_profiles
from retrieval_heads.analysis.overlap_pairs import top_sets_along
from retrieval_heads.analysis.score_gaps import score_gaps
from retrieval_heads.analysis.ties import told_apart
from retrieval_heads.findings.claims.grids import by_grid, for_each_grid
from retrieval_heads.findings.claims.outcome import (
    Claim,
    Effect,
    Family,
    Outcome,
    Tables,
    decide_all,
    effect_of_all,
    in_words,
    of_tests,
)
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, ends, listed, p_value, percent
from retrieval_heads.tables.heads import Grid, head_name
from retrieval_heads.tables.heads import of_grid as rows_of_grid
from retrieval_heads.tables.tests import CONSENSUS, MODEL_RANKS, SCORE_GAP, SPECIALISTS

TABLES: dict[str, dict[str, int]] = {"overlap": {}, "profiles": {}, "rankings": {}, "tests": {}}

_SHOWN = 8
"""How many heads a sentence names."""


def all_methods_agree_on_heads(tables: Tables, study: Study) -> list[Claim]:
    """All methods rank some heads high, and more than chance would have it."""
    found = []
    every = head_profiles.select(tables["profiles"])
    for where, of, tests in by_grid(of_tests(tables, CONSENSUS)):
        (test,) = (row for _, row in tests.iterrows())
        grid = Grid.of(test)
        of_grid, total = rows_of_grid(every, grid), grid.total
        k = study.consensus_k(total)
        heads = head_profiles.consensus(of_grid, k)
        methods = count(of_grid["method"].nunique(), "method")
        expected = test["statistic"] - test["effect_size"]
        chance = f"By chance, {expected:.2f} heads would on average ({test['test']}, p {p_value(test['p'])})"
        if not len(heads):
            outcome = Outcome.CONTRADICTED
            sentence = f"No head of {total:,}{where} has a mean rank below {k} under each of {methods}. {chance}."
        else:
            outcome = Outcome.SUPPORTED if test["p"] < study.alpha else Outcome.UNDECIDED
            first = told_apart(heads.max(axis=1).to_frame("worst"), ["worst"], [True], _SHOWN).index
            names = listed([head_name(*head) for head in first])
            more = f", and {len(heads) - len(first)} more" if len(heads) > len(first) else ""
            sentence = (
                f"{count(len(heads), 'head')} of {total:,} ({percent(len(heads) / total)}){where} "
                f"{'has' if len(heads) == 1 else 'have'} a mean rank below {k} under each of {methods}. "
                f"{'It is' if len(heads) == 1 else 'They are'} {names}{more}. {chance}."
            )
        statement = f"All methods agree on more heads than chance would have it (mean rank below {k}){where}"
        effect = Effect(len(heads), None, None, "heads", float(test["p"]), float(expected))
        found.append(Claim("all_methods_agree_on_heads", statement, outcome, sentence, of=of, effect=effect))
    return found


def questions_have_specialists(tables: Tables, study: Study) -> list[Claim]:
    """There are heads that matter to one question alone, more than chance would have it; a claim per method."""
    found = []
    by_question = head_profiles.select(tables["profiles"], "question")
    for method in study.in_config_order("method", by_question["method"]):
        for where, of, of_grid in by_grid(by_question[by_question["method"] == method]):
            if of_grid["value"].nunique() < 2:
                continue
            grid = Grid.of(of_grid.iloc[0])
            total = grid.total
            within, beyond = study.top_k_of(total), study.specialist_k(total)
            name = f"{study.label('method', method)}{where}"
            number = len(head_profiles.specialists(of_grid, within, beyond))
            ranks = f"(mean rank below {within} there, and beyond {beyond} for the others)"
            sentence = (
                f"{name} ranks {count(number, 'head') if number else 'no head'} high for one question alone {ranks}."
            )
            tests = of_tests(tables, SPECIALISTS, method=method, **grid._asdict())
            if tests.empty:
                outcome, effect = Outcome.UNDECIDED, None
                sentence = f"{sentence} A single ranking per question allows no test."
            else:
                row = tests.iloc[0]
                expected = float(row["statistic"] - row["effect_size"])
                outcome = Outcome.SUPPORTED if row["p"] < study.alpha else Outcome.UNDECIDED
                effect = Effect(number, None, None, "heads", float(row["p"]), expected)
                sentence = (
                    f"{sentence} With the questions exchanged at random it would be {expected:.1f} on average "
                    f"(permutation test, p {p_value(row['p'])})."
                )
            if number == 0:
                outcome = Outcome.CONTRADICTED
            statement = f"{name} finds heads that matter to one question alone"
            family = Family(f"A method finds heads that matter to one question alone{where}")
            about = study.label("method", method)
            of = {"method": method, **of}
            found.append(Claim("questions_have_specialists", statement, outcome, sentence, family, about, of, effect))
    return found


def models_rank_heads_differently(tables: Tables, study: Study) -> list[Claim]:
    """Two models rank heads differently, beyond what exchanging their rankings at random would give."""
    found = []
    pairs, tests = top_sets_along(tables["overlap"], "model"), of_tests(tables, MODEL_RANKS)
    for method in study.in_config_order("method", tests["method"]):
        for _, row in tests[tests["method"] == method].iterrows():
            names = f"{study.label('model', row['a'])} and {study.label('model', row['b'])}"
            name = study.label("method", method)
            both = pairs[pairs["method"] == method]
            both = both[both["a"].isin([row["a"], row["b"]]) & both["b"].isin([row["a"], row["b"]])]
            if row["p_holm"] < study.alpha:
                outcome, verdict = Outcome.SUPPORTED, "rank heads differently"
            elif row["effect_size"] <= 0:
                outcome, verdict = Outcome.CONTRADICTED, "rank heads no more differently than chance"
            else:
                outcome, verdict = Outcome.UNDECIDED, "are not shown to rank heads differently"
            expected = row["statistic"] - row["effect_size"]
            jaccard = f" Their top heads have a mean Jaccard of {both['jaccard'].mean():.3f}." if len(both) else ""
            sentence = (
                f"Under {name}, {names} {verdict}. A head's mean rank differs by {row['statistic']:.1f} places on "
                f"average, where exchanging the models at random gives {expected:.1f} (permutation test, Holm p "
                f"{p_value(row['p_holm'])}).{jaccard}"
            )
            statement = f"{names} rank heads differently under {name}"
            family = Family(f"{names} rank heads differently under a method")
            of = {"method": method, "a": row["a"], "b": row["b"]}
            effect = Effect(float(row["statistic"]), None, None, "places", float(row["p_holm"]), float(expected))
            found.append(Claim("models_rank_heads_differently", statement, outcome, sentence, family, name, of, effect))
    return found


@for_each_grid
def first_heads_stand_out_differently(tables: Tables, study: Study) -> list[Claim]:
    """The first head of some methods stands further above the second than that of others."""
    tests = of_tests(tables, SCORE_GAP)
    if tests.empty:
        return []
    gaps = score_gaps(tables["rankings"]).groupby("method")["gap"].mean()
    methods = study.in_config_order("method", gaps.index)
    named = {method: f"{percent(gaps[method])} under {study.label('method', method)}" for method in methods}
    numbers = ends(named, gaps.loc[methods].to_dict(), "methods")
    outcome, test = decide_all(tests, study)
    if test is None:
        end = "There are too few configurations for a test"
    else:
        end = {
            Outcome.SUPPORTED: f"The methods differ ({in_words(test)})",
            Outcome.CONTRADICTED: f"The methods do not differ ({in_words(test)})",
            Outcome.UNDECIDED: f"No difference between the methods is found ({in_words(test)})",
        }[outcome]
    sentence = f"On average, the second head's score falls short of the first's by {numbers}. {end}."
    statement = "In some methods the first head stands further above the second than in others"
    return [Claim("first_heads_stand_out_differently", statement, outcome, sentence, effect=effect_of_all(test))]

"""Claims about transfer: whether a question depends on heads of its own."""

import pandas as pd

from retrieval_heads.findings.claims.outcome import MIN_UNITS, Claim, Family, Outcome, Tables, decide, effect_of
from retrieval_heads.findings.claims.rows import of_row
from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY, change, count, heads, hundredths, interval, p_value, percent, points

TABLES: dict[str, dict[str, int]] = {"transfer_tests": {"transfer": 1}}

_STATEMENT = "A question's own top heads matter more to it than other questions' do"


def own_heads_matter_more(tables: Tables, study: Study) -> list[Claim]:
    """A question loses more without its own top heads than without other questions'; a claim for each method."""
    tests, found = tables.get("transfer_tests"), []
    if tests is None:
        return []
    for row in in_study_order(study, tests[tests["question"].isna()]):
        outcome, verdict = _judged(row, study)
        where = f"In {study.label('model', row['model'])} at {study.label('context_length', row['context_length'])}"
        name = study.label("method", row["method"])
        sentences = [_shown(row, study, where, name), verdict, _by_question(row, tests, study), _in_nats(row)]
        several = tests.loc[tests["question"].isna(), ["model", "context_length"]].drop_duplicates().shape[0] > 1
        place = where.removeprefix("In ") if several else ""
        statement = f"{_STATEMENT}, by {name}{f' in {place}' if place else ''}"
        family = Family(_STATEMENT, "rankings" if several else "methods")
        about = f"{name} in {place}" if place else name
        sentence = " ".join(filter(None, sentences))
        of, by = of_row(row, *DIMENSIONS), effect_of(row)
        found.append(Claim("own_heads_matter_more", statement, outcome, sentence, family, about, of, by))
    return found


def in_study_order(study: Study, tests: pd.DataFrame) -> list[pd.Series]:
    """Rows of the transfer_tests table by model, length and method, each in the study's order."""
    return [
        row
        for model in study.in_config_order("model", tests["model"])
        for length in study.in_config_order("context_length", tests["context_length"])
        for method in study.in_config_order("method", tests["method"])
        for _, row in tests[
            (tests["model"] == model) & (tests["context_length"] == length) & (tests["method"] == method)
        ].iterrows()
    ]


def own_questions(row: pd.Series, tests: pd.DataFrame) -> pd.DataFrame:
    """The rows about single questions that belong to one about all of them."""
    setting = ["model", "context_length", "variant", "method"]
    return tests[(tests[setting] == row[setting]).all(axis=1) & tests["question"].notna()]


def _judged(row: pd.Series, study: Study) -> tuple[Outcome, str]:
    outcome, matters = decide(row, study, "documents"), f"{points(study.smallest_effect)} points"
    if outcome is Outcome.SUPPORTED:
        return outcome, "So questions depend on heads of their own."
    if row["documents"] < MIN_UNITS:
        return outcome, "So few documents do not tell."
    if outcome is Outcome.CONTRADICTED and row["others"] - row["guess"] < study.smallest_effect:
        # A difference that could not show is not ruled out.
        return Outcome.UNDECIDED, (
            f"Without other questions' heads, answers are right about as often as by guessing "
            f"({percent(row['guess'])}). So own heads could not cost more: a smaller `controls.transfer.level` tells."
        )
    if outcome is Outcome.CONTRADICTED and row["difference_low"] > -study.smallest_effect:
        return outcome, f"That own heads cost {matters} more is ruled out: questions use the same heads."
    if outcome is Outcome.CONTRADICTED:
        return outcome, f"That own heads cost {matters} more is ruled out."
    return outcome, f"That own heads cost {matters} more is not ruled out."


def _shown(row: pd.Series, study: Study, where: str, name: str) -> str:
    beside = [f"{percent(row['unablated'])} with all heads"]
    beside += [] if pd.isna(row["random"]) else [f"{percent(row['random'])} without as many random heads"]
    return (
        f"{where}, {percent(row['own'])} of answers are right without the question's own top {heads(row['size'])} "
        f"heads by {name}. Without another question's, {percent(row['others'])} are ({', '.join(beside)}). Own heads "
        f"cost {points(row['difference'])} points more ({interval(row, 'difference')}; permutation test over "
        f"{count(row['documents'], 'document')}, Holm p {p_value(row['p_holm'])})."
    )


def _by_question(row: pd.Series, tests: pd.DataFrame, study: Study) -> str:
    """Which single questions lose more, or less, to their own heads than all others' losses foretell."""
    each = own_questions(row, tests)
    apart = each[(each["p_holm"] < study.alpha) & (row["documents"] >= MIN_UNITS)]
    if apart.empty:
        return "No single question stands out."
    named = [f"{study.label('question', one['question'])} {change(one['difference'])}" for _, one in apart.iterrows()]
    which = f" ({', '.join(named)} points)" if len(named) <= MANY else ""
    stand = f"{len(named)} {'stands' if len(named) == 1 else 'stand'} out"
    return f"Of {count(len(each), 'question')}, {stand} beyond what heads and questions lose throughout{which}."


def _in_nats(row: pd.Series) -> str:
    if pd.isna(row["logprob_difference_low"]):
        return ""
    low, high = (hundredths(row[f"logprob_difference_{end}"]) for end in ("low", "high"))
    return (
        f"In log-probability of the answer, own heads cost {hundredths(row['logprob_difference'])} nats more ({low} to "
        f"{high}; Holm p {p_value(row['logprob_p_holm'])})."
    )

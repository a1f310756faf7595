"""Claims about what the first heads of a method look at, in the rows that produce right answers."""

from collections.abc import Callable, Iterator

import pandas as pd

from retrieval_heads.findings.claims.outcome import MIN_UNITS, POINTS, Claim, Family, Outcome, Tables, effect_of
from retrieval_heads.findings.claims.rows import of_row
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import change, count, heads, interval, p_value, percent
from retrieval_heads.tables.head_effect_summary import OVER
from retrieval_heads.tables.look_sets import BEYOND_SHARE, MORE_SINK
from retrieval_heads.tables.looks import ANSWER, ANSWER_CHANCE, DISTRACTOR, ELSEWHERE, SINK

TABLES: dict[str, dict[str, int]] = {"look_sets": {"looks": 1}}


def hits_are_at_the_answer(tables: Tables, study: Study) -> list[Claim]:
    """A method's first heads look for the answer, not for the token that is copied wherever it stands."""
    statement = "A method's first heads hit the answer, beyond what its tokens alone make of it"
    return _of_methods(tables, study, "hits_are_at_the_answer", statement, BEYOND_SHARE, _hits)


def first_heads_rest_less(tables: Tables, study: Study) -> list[Claim]:
    """A method's first heads rest on the first token less often than other heads."""
    statement = "A method's first heads rest on the first token less often than other heads"
    return _of_methods(tables, study, "first_heads_rest_less", statement, MORE_SINK, _sinks)


def _of_methods(
    tables: Tables,
    study: Study,
    rule: str,
    statement: str,
    measure: str,
    judge: Callable[[pd.Series, str, Study], tuple[Outcome, str]],
) -> list[Claim]:
    """A claim for each method in each setting."""
    if "look_sets" not in tables:
        return []
    found, family = [], Family(statement, "rankings")
    rows = tables["look_sets"]
    rows = rows[rows["method"].notna() & (rows["variant"] == PLAIN)]
    for row, where in _in_order(rows, study):
        method = study.label("method", row["method"])
        about = f"{method} {where}"
        outcome, sentence = judge(row, f"{where[:1].upper()}{where[1:]}, ", study)
        of, by = (
            of_row(row, *OVER, "method"),
            None if pd.isna(row[measure]) else effect_of(row, measure, POINTS, f"{measure}_p_family"),
        )
        found.append(Claim(rule, f"{statement}: {about}", outcome, sentence, family, about, of, by))
    return found


def _in_order(rows: pd.DataFrame, study: Study) -> Iterator[tuple[pd.Series, str]]:
    """Rows in the study's order, with the words that say where each is from."""
    orders = {name: study.in_config_order(name, rows[name]) for name in ("model", "context_length", "method")}
    rows = rows.assign(**{f"at_{name}": rows[name].map(order.index) for name, order in orders.items()})
    for _, row in rows.sort_values([f"at_{name}" for name in orders], kind="stable").iterrows():
        model, length = (study.label(name, row[name]) for name in OVER[:2])
        yield row, f"in {model} at {length}"


def _asked(row: pd.Series) -> str:
    return f"{count(row['prompts'], 'prompt')} from {count(row['documents'], 'document')}"


def _hits(row: pd.Series, where: str, study: Study) -> tuple[Outcome, str]:
    hits = row[ANSWER] + row[DISTRACTOR] + row[ELSEWHERE]
    first = f"the first heads of {study.label('method', row['method'])} ({heads(row['size'])})"
    if not hits or pd.isna(row[BEYOND_SHARE]):
        return Outcome.UNDECIDED, f"{where}{first} have no hit ({_asked(row)})."
    said = (
        f"{where}{first} have a hit in {percent(hits)} of the rows. Of these, {percent(row[ANSWER] / hits)} are at the "
        f"answer, {percent(row[DISTRACTOR] / hits)} at distractors and {percent(row[ELSEWHERE] / hits)} elsewhere. "
        f"As many at any place that holds the token would have {percent(row[ANSWER_CHANCE] / hits)} at the answer"
    )
    return _decided(row, BEYOND_SHARE, 1, study), f"{said}, a difference of {_tested(row, BEYOND_SHARE)}."


def _sinks(row: pd.Series, where: str, study: Study) -> tuple[Outcome, str]:
    first = f"the first heads of {study.label('method', row['method'])} ({heads(row['size'])})"
    if pd.isna(row[MORE_SINK]):
        return Outcome.UNDECIDED, f"{where}{first} have no others beside them."
    said = f"{where}{first} rest on the first token in {percent(row[SINK])} of the rows"
    other = f"Other heads do in {percent(row[SINK] - row[MORE_SINK])}, a difference of {_tested(row, MORE_SINK)}"
    return _decided(row, MORE_SINK, -1, study), f"{said}. {other}."


def _tested(row: pd.Series, name: str) -> str:
    return (
        f"{change(row[name])} points ({interval(row, name)}; corrected p {p_value(row[f'{name}_p_family'])}; "
        f"{_asked(row)})"
    )


def _decided(row: pd.Series, name: str, sign: int, study: Study) -> Outcome:
    """Whether a difference lies on this side of 0."""
    if row["documents"] < MIN_UNITS or pd.isna(row[f"{name}_low"]):
        return Outcome.UNDECIDED
    significant = row[f"{name}_p_family"] < study.alpha
    if significant and sign * row[name] > 0:
        return Outcome.SUPPORTED
    farthest = max(sign * row[f"{name}_low"], sign * row[f"{name}_high"])
    return Outcome.CONTRADICTED if significant or farthest < study.smallest_effect else Outcome.UNDECIDED

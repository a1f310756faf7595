"""Claims about the needle's depth: where prompts are answered, where ablation costs most, and whether heads change."""

from collections.abc import Callable

import pandas as pd

from retrieval_heads.findings.claims.grids import for_each_grid
from retrieval_heads.findings.claims.outcome import (
    MIN_UNITS,
    Claim,
    Family,
    Outcome,
    Tables,
    decide_all,
    effect_of,
    effect_of_all,
    in_words,
    of_tests,
)
from retrieval_heads.findings.claims.rows import of_row
from retrieval_heads.study.dimensions import PLAIN
from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import count, decimal, p_value, percent, plain, points
from retrieval_heads.tables.select import at_level, select
from retrieval_heads.tables.tests import ACCURACY, DROP

TABLES: dict[str, dict[str, int]] = {"depth_rankings": {"depth": 2}, "effects": {}, "tests": {}}


@for_each_grid
def depths_are_answered_differently(tables: Tables, study: Study) -> list[Claim]:
    """With no head ablated, the model is right more often with the needle at some depths."""
    statement = "With no head ablated, prompts are answered better at some depths than at others"
    found = _by_depth(tables, study, "baseline")
    start = f"With no head ablated, accuracy is {_told(found, percent, study)}"
    return _differ(tables, study, "depths_are_answered_differently", statement, ACCURACY, None, found, start)


@for_each_grid
def depths_cost_differently(tables: Tables, study: Study) -> list[Claim]:
    """Ablating as many heads costs more with the needle at some depths."""
    if tables["effects"].empty:
        return []
    level = study.level(tables["effects"])
    statement = f"Ablating the top {level} heads costs more accuracy at some depths than at others"
    found = _by_depth(tables, study, "drop")
    start = f"With the top {level} heads ablated, accuracy drops on average by {_told(found, points, study)} points"
    return _differ(tables, study, "depths_cost_differently", statement, DROP, level, found, start)


def depths_rank_heads_differently(tables: Tables, study: Study) -> list[Claim]:
    """The rankings by two documents are more alike at the same depth than at two different ones."""
    if "depth_rankings" not in tables:
        return []
    statement = "A method ranks heads differently at different depths"
    found, family = [], Family(statement, "rankings")
    rows = tables["depth_rankings"]
    rows = rows[rows["variant"] == PLAIN]
    for model in study.in_config_order("model", rows["model"]):
        for length in study.in_config_order("context_length", rows["context_length"]):
            here = rows[(rows["model"] == model) & (rows["context_length"] == length)].set_index("method")
            for method in study.in_config_order("method", here.index.to_series()):
                about = (
                    f"{study.label('method', method)} in {study.label('model', model)} at "
                    f"{study.label('context_length', length)}"
                )
                row = here.loc[method]
                outcome, sentence = _ranked(row, about, study)
                name = f"{statement}: {about}"
                of = of_row({**row, "method": method}, "model", "context_length", "method")
                by = effect_of(row, unit="correlation")
                found.append(Claim("depths_rank_heads_differently", name, outcome, sentence, family, about, of, by))
    return found


def _ranked(row: pd.Series, about: str, study: Study) -> tuple[Outcome, str]:
    if row["documents"] < MIN_UNITS:
        outcome = Outcome.UNDECIDED
    elif row["p_holm"] < study.alpha and row["difference"] > 0:
        outcome = Outcome.SUPPORTED
    elif row["difference_high"] < study.smallest_effect:
        outcome = Outcome.CONTRADICTED
    else:
        outcome = Outcome.UNDECIDED
    return outcome, (
        f"By {about}, rankings from two documents correlate at Spearman {decimal(row['same_depth'])} at the same "
        f"depth. At two different ones, it is {decimal(row['other_depth'])}, which is {decimal(row['difference'])} "
        f"less ({plain(row, 'difference')}; Holm p {p_value(row['p_holm'])}; {count(row['documents'], 'document')})."
    )


def _by_depth(tables: Tables, study: Study, column: str) -> dict[float, float]:
    """Means over models and methods, over all questions and lengths, at the level that headlines are about."""
    effects = tables["effects"]
    found: dict[float, float] = {}
    if effects.empty:
        return found
    level = study.level(effects)
    for depth in study.in_config_order("depth", effects["depth"]):
        rows = at_level(select(effects, pooled=["question", "context_length"], depth=depth), level)
        if len(rows):
            found[depth] = float(rows[column].mean())
    return found


def _told(found: dict[float, float], written: Callable[[float], str], study: Study) -> str:
    """From the least to the most, and in brackets the value at each depth."""
    ends = dict.fromkeys(written(value) for value in (min(found.values()), max(found.values()))) if found else {}
    each = [f"{written(value)} at a depth of {study.label('depth', depth)}" for depth, value in found.items()]
    return f"{' to '.join(ends)} ({', '.join(each)})"


def _differ(
    tables: Tables,
    study: Study,
    rule: str,
    statement: str,
    subject: str,
    level: int | None,
    found: dict[float, float],
    start: str,
) -> list[Claim]:
    if len(found) < 2:
        return []
    outcome, test = decide_all(of_tests(tables, subject, dimension="depth", k=level), study)
    of = {} if level is None else {"k": level}
    if test is None:
        return [Claim(rule, statement, outcome, f"{start}. There are too few documents for a test.", of=of)]
    matters = f"{points(study.smallest_effect)} points"
    end = {
        Outcome.SUPPORTED: f"Depths differ ({in_words(test)})",
        Outcome.CONTRADICTED: f"Depths do not differ by {matters} or more ({in_words(test)})",
        Outcome.UNDECIDED: f"Depths are not shown to differ ({in_words(test)}), and a difference of {matters} is not "
        "ruled out",
    }[outcome]
    return [Claim(rule, statement, outcome, f"{start}. {end}.", of=of, effect=effect_of_all(test))]

"""How numbers are written in sentences and tables."""

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import pandas as pd

from retrieval_heads.study.dimensions import CELL, DIMENSION
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.study.study import Study

MANY = 5
"""More values of a dimension than this are not told apart side by side, nor named in one sentence: figures then show
matrices or break panels into more rows, and sentences give the range and what stands at its ends."""


Value = TypeVar("Value", bound=Hashable)


def percent(share: float) -> str:
    """A share as a percentage: 42.6%."""
    return f"{_number(100 * share)}%"


def points(difference: float) -> str:
    """A difference of shares in percentage points: −3.1."""
    return _number(100 * difference)


def change(difference: float) -> str:
    """A difference of shares in percentage points, with its sign: +3.1."""
    return points(difference) if round(100 * difference, 1) <= 0 else f"+{points(difference)}"


def decimal(value: float) -> str:
    """A number such as a correlation: −0.123."""
    return f"{round(value, 3) + 0:.3f}".replace("-", "−")


def hundredths(value: float) -> str:
    """A number such as an effect size: −0.12."""
    return f"{round(value, 2) + 0:.2f}".replace("-", "−")


def nats(value: float) -> str:
    """A change of log-probability per token, with its sign: −0.12, +0.03, 0.00."""
    return f"{'+' if round(value, 2) > 0 else ''}{hundredths(value)}"


def plain(row: Mapping, name: str) -> str:
    """The ends of an interval of such a number."""
    return f"{decimal(row[f'{name}_low'])} to {decimal(row[f'{name}_high'])}"


def sizes(row: Mapping) -> str:
    """How many heads were ablated in what a test compares: 20, or 17 to 20 where some rankings tell fewer apart."""
    least, most = (int(row[name]) for name in ("size_least", "size_most"))
    return str(most) if least == most else f"{least} to {most}"


def heads(size: float) -> str:
    """How many heads the top sets have, which is a mean where they differ: 17, or 17.5 on average."""
    return f"{size:.0f}" if size == round(size) else f"{size:.1f} on average"


def fewer_heads(size: float, level: int) -> str:
    """What a sentence about the top heads at a level adds, where ties leave fewer."""
    return "" if size == level else f" ({heads(size)}, as ties end some top sets early)"


def layers_of(matching: str, matched: float) -> str:
    """Where random heads are from: any layer, the same layers, or how many of them are from where they should be.

    Parameters
    ----------
    matching, matched : the columns of these names, of ``against_random`` or of the guard.
    """
    drawn = MATCHINGS[matching]
    if not drawn.otherwise or matched == 1:
        return drawn.where
    return f"{percent(matched)} {drawn.where}, {drawn.otherwise}"


def random_heads(row: Mapping) -> str:
    """Random heads in a sentence: as many random heads from the same layers."""
    drawn = MATCHINGS[row["matching"]]
    if not drawn.otherwise or row["matched"] == 1:
        return f"as many random heads {drawn.where}"
    return f"as many random heads ({percent(row['matched'])} of them {drawn.where}, {drawn.otherwise})"


def setting(study: Study, row: Mapping) -> str:
    """Where a result belongs: Year of incorporation at 4,096 tokens in Llama-3-8B. What is pooled is left out,
    and so is the plain variant, which all is about that does not say otherwise."""
    model, *others = study.told(CELL)
    known = [name for name in (*others, model) if pd.notna(row[name]) and row[name] != DIMENSION[name].unsaid]
    return " ".join(DIMENSION[name].phrase.format(study.label(name, row[name])) for name in known)


def estimate(row: Mapping, name: str, unit: str = "%") -> str:
    """A share (unit %) or a difference (no unit) with its 95% interval, from a row's name, name_low, name_high."""
    return f"{_number(100 * row[name])}{unit} [{interval(row, name, ', ')}]"


def interval(row: Mapping, name: str, between: str = " to ") -> str:
    """The ends of an interval, in percent or points."""
    return f"{_number(100 * row[f'{name}_low'])}{between}{_number(100 * row[f'{name}_high'])}"


def p_value(p: float) -> str:
    """= 0.012, or < 0.001; nothing where there is no test."""
    if p is None or math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def p_cell(p: float) -> str:
    """The same in a table: 0.012."""
    return p_value(p).removeprefix("= ")


def count(number: int, noun: str) -> str:
    """1 prompt, 1,024 prompts."""
    return f"{int(number):,} {noun}{'' if number == 1 else 's'}"


def least_and_most(values: Mapping[Value, float]) -> tuple[Value, Value]:
    """The names of the least and of the greatest value; of equal ones the first."""
    return min(values, key=values.__getitem__), max(values, key=values.__getitem__)


def ends(named: Mapping[Value, str], values: Mapping[Value, float], plural: str, unit: str = "") -> str:
    """What a sentence says of the values of a dimension: of two what each is, of more the least and the greatest. Where
    others are equal to these, it says so.

    Parameters
    ----------
    named : value of the dimension → what it is, in words.
    values : value of the dimension → what it is.
    plural : what the values of the dimension are called.
    unit : what the numbers are in, for the brackets behind them.
    """
    if len(named) <= 2:
        return f"{listed(list(named.values()))}{f' ({unit})' if unit else ''}"
    least, most = least_and_most(values)
    alone = all(list(values.values()).count(values[end]) == 1 for end in (least, most))
    which = f"the least and the most of {len(named)} {plural}{'' if alone else ', of equal ones the first'}"
    if values[least] == values[most]:
        which = f"the same for each of {len(named)} {plural}"
    said = " to ".join(dict.fromkeys([named[least], named[most]]))
    return f"{said} ({'; '.join(filter(None, [unit, which]))})"


def listed(words: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _number(value: float) -> str:
    # Rounding first keeps a tiny negative number from becoming −0.0.
    return f"{round(value, 1) + 0:.1f}".replace("-", "−")

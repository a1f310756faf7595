"""What a claim is, and how results decide it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd

from retrieval_heads.study.study import Study
from retrieval_heads.study.wording import MANY, count, hundredths, listed, p_value, sizes

TABLES: dict[str, dict[str, int]] = {"tests": {}}

Tables = Mapping[str, pd.DataFrame]

POINTS, OVERLAP = "points", "overlap"
"""What most effects are in: hundredths of a share, and how much of two top sets, or of their layers, is the same."""

MIN_UNITS = 6
"""With fewer documents (or other units) than this, even a loss in every one has p > 0.05 in an exact paired test."""


class Outcome(StrEnum):
    """What the data say about a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    UNDECIDED = "not enough data"


@dataclass(frozen=True)
class Family:
    """Claims of one rule that say the same of several things, such as methods."""

    statement: str
    """The claim, about any of them."""

    plural: str = "methods"
    """What they are."""


@dataclass(frozen=True)
class Effect:
    """The number by which a claim is decided, as its sentence shows it."""

    value: float
    low: float | None
    """Where its 95% interval begins; None where it has none."""

    high: float | None
    unit: str
    """What it is in: points (of 100), nats, overlap, correlation, or another noun in the plural."""

    p: float | None = None
    """Of its test, corrected."""

    none: float = 0.0
    """What it would be if there were nothing to find; of heads that are held against what is enough, how much is."""


@dataclass(frozen=True)
class Claim:
    """A claim, its outcome, and the sentence that says so with its numbers."""

    rule: str
    statement: str
    outcome: Outcome
    sentence: str
    family: Family | None = None
    about: str = ""
    """What it is about that the others of its family are not."""

    of: Mapping[str, str | int] = field(default_factory=dict)
    """The values of dimensions that it is about, such as ``{"model": "a", "method": "wu24"}``: with its rule, what a
    program knows it by."""

    effect: Effect | None = None
    """The number that decides it; None where no one number does."""

    parts: tuple["Claim", ...] = ()
    """The claims that it sums up."""


Rule = Callable[[Tables, Study], list[Claim]]
"""What writes claims from the tables of one intervention."""


def together(claims: Sequence[Claim]) -> list[Claim]:
    """Claims with those of a large family summed up, one for each outcome in the place of the family's first."""
    families: dict[tuple[str, Family], list[Claim]] = {}
    for claim in claims:
        if claim.family:
            families.setdefault((claim.rule, claim.family), []).append(claim)
    found: list[Claim] = []
    for claim in claims:
        members = families.get((claim.rule, claim.family), []) if claim.family else []
        if len(members) <= MANY:
            found.append(claim)
        elif claim is members[0]:
            found += [_summed_up(members, outcome) for outcome in Outcome if any(m.outcome is outcome for m in members)]
    return found


def _summed_up(members: list[Claim], outcome: Outcome) -> Claim:
    parts, others = ([m for m in members if (m.outcome is outcome) == kept] for kept in (True, False))
    family = members[0].family or Family("")
    number = f"{len(parts)} of {len(members)} {family.plural}"
    if not others:
        whom = f"each of {len(members)} {family.plural}"
    elif len(parts) <= MANY:
        whom = f"{number} ({listed([part.about for part in parts])})"
    elif len(others) <= MANY:
        whom = f"{number} (all but {listed([other.about for other in others])})"
    else:
        whom = number
    verdict = {
        Outcome.SUPPORTED: "This holds for",
        Outcome.CONTRADICTED: "This is contradicted for",
        Outcome.UNDECIDED: "There is not enough data on this for",
    }[outcome]
    return Claim(
        members[0].rule,
        f"{family.statement}: {number}",
        outcome,
        f"{family.statement}. {verdict} {whom}.",
        parts=tuple(parts),
    )


def effect_of(
    row: Mapping, name: str = "difference", unit: str = POINTS, p: str | None = "p_holm", none: float = 0.0
) -> Effect:
    """A number of a row with its interval, from the columns of its name, as an effect.

    Parameters
    ----------
    name : the column; those of the interval's ends are name_low and name_high.
    unit : what it is in; a share in points is given in hundredths.
    p : the column of the corrected p value, if there is one.
    none : what the effect would be if there were nothing to find, in the unit.
    """
    scale = 100 if unit == POINTS else 1
    low, high = (_known(row[end], scale) for end in (f"{name}_low", f"{name}_high"))
    return Effect(scale * float(row[name]), low, high, unit, _known(row[p]) if p else None, none)


def effect_of_all(test: Mapping | None, unit: str = POINTS) -> Effect | None:
    """The effect by which :func:`decide_all` decides: the difference of two values, or of more the effect size.

    Parameters
    ----------
    test : the test that it is by.
    unit : what a difference is in.
    """
    if test is None:
        return None
    if pd.notna(test["a"]) and pd.notna(test["difference"]):
        return effect_of(test, unit=unit)
    return Effect(float(test["effect_size"]), None, None, test["effect"], _known(test["p_holm"]))


def _known(value: float | None, scale: int = 1) -> float | None:
    return None if value is None or pd.isna(value) else scale * float(value)


def decide(row: Mapping, study: Study, units: str = "units") -> Outcome:
    """Is a difference above 0?

    Supported takes a significant result in that direction. Contradicted takes a significant result the other way, or an
    interval that rules out the smallest effect that matters.

    Parameters
    ----------
    row : has the difference with its interval, ``p_holm``, and the number of units.
    units : the column that counts them.
    """
    if row[units] < MIN_UNITS or pd.isna(row["difference_low"]):
        return Outcome.UNDECIDED
    significant = row["p_holm"] < study.alpha
    if significant and row["difference"] > 0:
        return Outcome.SUPPORTED
    if significant or row["difference_high"] < study.smallest_effect:
        return Outcome.CONTRADICTED
    return Outcome.UNDECIDED


def decide_all(tests: pd.DataFrame, study: Study) -> tuple[Outcome, pd.Series | None]:
    """Do the values of a dimension differ? By the test of all of them, or of the only two there are.

    Contradicted takes intervals that rule out the smallest effect that matters between any two.

    Parameters
    ----------
    tests : rows of the tests table about one subject and dimension, of all values (a is empty) and of pairs.

    Returns
    -------
    The outcome, and the test that it is by; None where there are too few units for one.
    """
    every, pairs = tests[tests["a"].isna()], tests[tests["a"].notna()]
    found = every if len(every) else pairs
    if found.empty or found.iloc[0]["units"] < MIN_UNITS:
        return Outcome.UNDECIDED, None
    if found.iloc[0]["p_holm"] < study.alpha:
        return Outcome.SUPPORTED, found.iloc[0]
    alike = (pairs[["difference_low", "difference_high"]].abs() < study.smallest_effect).all(axis=None)
    return Outcome.CONTRADICTED if len(pairs) and alike else Outcome.UNDECIDED, found.iloc[0]


def too_few(row: pd.Series) -> bool:
    """Whether an estimate rests on fewer documents than a test needs."""
    # Counts alone do not tell how many documents there were; then the prompts stand in for them.
    units = row["documents"] if pd.notna(row["documents"]) else row["prompts"]
    return bool(units < MIN_UNITS)


def sample(row: pd.Series) -> str:
    """What an estimate rests on: 146 prompts from 40 documents."""
    prompts = count(row["prompts"], "prompt")
    return f"{prompts} from {count(row['documents'], 'document')}" if pd.notna(row["documents"]) else prompts


def of_tests(tables: Tables, subject: str, **values: object) -> pd.DataFrame:
    """Rows of the tests table about a subject with these values; None stands for empty."""
    rows = tables["tests"]
    rows = rows[rows["subject"] == subject]
    for name, value in values.items():
        rows = rows[rows[name].isna() if value is None else rows[name].eq(value).fillna(False)]
    return rows


def in_words(row: Mapping) -> str:
    """A test's result for the parentheses of a sentence: name, units, corrected p, effect size."""
    effect = "" if pd.isna(row["effect_size"]) else f", {row['effect']} {hundredths(row['effect_size'])}"
    # Where ties end a top set early, what it is compared with is as small.
    fewer = pd.notna(row["k"]) and pd.notna(row["size_least"]) and row["size_least"] < row["k"]
    return (
        f"{row['test']} test over {count(row['units'], row['unit'])}{f' at {sizes(row)} heads each' if fewer else ''}, "
        f"Holm p {p_value(row['p_holm'])}{effect}"
    )

"""Choosing rows of the tables of the analysis."""

from collections.abc import Iterable, Mapping

import pandas as pd

from retrieval_heads.study.dimensions import DIMENSION, POOLED
from retrieval_heads.study.matchings import MATCHINGS
from retrieval_heads.tables.effects import EFFECTS


def at_level(effects: pd.DataFrame, level: int) -> pd.DataFrame:
    """Rows of effects with the top set at a level, which is that of a level below where ties end it early."""
    return effects[(effects["k"] <= level) & (effects["k_to"] >= level)]


def controls_beside(controls: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """The rows of against_random that belong to rows of effects."""
    return controls.merge(effects[list(EFFECTS.key)], on=list(EFFECTS.key))


def by_matching(controls: pd.DataFrame) -> pd.DataFrame:
    """Rows of random heads in the order of matchings, the one that is shown where there is room for one first."""
    return controls.sort_values("matching", key=lambda column: column.map(list(MATCHINGS).index), kind="stable")


def strictest_control(controls: pd.DataFrame, top: pd.Series) -> pd.Series:
    """The control to hold a row of effects against: the first of the matchings that has all its prompts.

    A control can be missing in some configurations; one that has them all goes before a stricter one that has not.
    """
    whole = controls[controls["prompts"] == top["prompts"]]
    return by_matching(whole if len(whole) else controls).iloc[0]


def strictest_random(rows: pd.DataFrame, by: Iterable[str]) -> pd.DataFrame:
    """Rows of random heads, of each group those of the first of the matchings that it has.

    Parameters
    ----------
    rows : of a table with head sets.
    by : the columns of a group, within which matchings are controls of the same heads.
    """
    random = rows[rows["source"] == "random"]
    place = random["matching"].map(list(MATCHINGS).index)
    return random[place == place.groupby([random[name] for name in by]).transform("min")]


COMPARING = frozenset({"variant_accuracy", "other_sets"})
"""Tables that hold variants against each other, and so are of use as a whole."""


def of_variant(tables: Mapping[str, pd.DataFrame], name: str) -> dict[str, pd.DataFrame]:
    """The tables with what is known in one variant of the prompts, beside all that is about none or several."""
    return {
        table: frame[(frame["variant"].isna() | (frame["variant"] == name)).astype(bool)].reset_index(drop=True)
        if "variant" in frame and table not in COMPARING
        else frame
        for table, frame in tables.items()
    }


def of_intervention(tables: Mapping[str, pd.DataFrame], name: str, every: bool = False) -> dict[str, pd.DataFrame]:
    """The tables with what is known under one intervention alone, beside all that is about none.

    Parameters
    ----------
    every : whether corrected p values are to be those of what holds under every intervention.
    """
    found = {}
    for table, frame in tables.items():
        if "intervention" in frame:
            here = frame["intervention"].isna() | (frame["intervention"] == name)
            frame = frame[here.astype(bool)].reset_index(drop=True)
            frame = frame.assign(p_holm=frame["p_every"]) if every and "p_every" in frame else frame
        found[table] = frame
    return found


def select(frame: pd.DataFrame, *, pooled: Iterable[str] = (), **values: object) -> pd.DataFrame:
    """Rows of effects, against_random or steps with these values, pooled over exactly these dimensions.

    Dimensions that are always pooled, such as depth, need not be named; they are pooled unless a value is given.
    """
    chosen = pd.Series(True, index=frame.index)
    pooled = tuple(pooled)
    for name in frame.columns.intersection(POOLED):
        always = DIMENSION[name].pooled == "always" and name not in values
        chosen &= frame[name].isna() == (always or name in pooled)
    for name, value in values.items():
        chosen &= frame[name] == value
    return frame[chosen.astype(bool)]

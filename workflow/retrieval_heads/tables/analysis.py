"""The tables of the analysis, which figures and report are made from: their schemas, reading them, choosing rows.

They are described for readers in ``docs/tables.md``.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from retrieval_heads import tables
from retrieval_heads.tables import HEAD_SET, HEAD_SET_KEY, HEAD_SET_NULLABLE, INTERVENTION, INTERVENTION_COLUMNS, Table

_text, _int, _float = pa.string(), pa.int32(), pa.float64()

# What tells rankings apart.
_RANKING = (("model", _text), ("method", _text), ("question", _text), ("context_length", _int))

# How far two rankings agree. A top set without heads shares none, nor could it. Where all heads of a ranking tie, or
# the model has one head alone, ranks do not vary, and so do not correlate.
_AGREEMENT = (
    ("jaccard", _float),
    ("chance", _float),
    ("p", _float),
    ("rbo", _float),
    ("rbo_chance", _float),
    ("spearman", _float),
)
_AGREEMENT_NULLABLE = frozenset({"jaccard", "chance", "p", "spearman"})

ABLATION_SUMMARY = Table(
    "ablation_summary",
    (
        ("model", _text),
        ("question", _text),
        ("context_length", _int),
        *HEAD_SET,
        *INTERVENTION,
        ("accuracy", _float),
        ("correct", _int),
        ("total", _int),
    ),
    key=("model", "question", "context_length", *HEAD_SET_KEY, "intervention"),
    nullable=HEAD_SET_NULLABLE,
)

OVERLAP = Table(
    "overlap",
    (
        ("dimension", _text),
        ("a", _text),
        ("b", _text),
        *_RANKING,
        ("grid", _text),
        ("k", _int),
        ("size_a", _int),
        ("size_b", _int),
        *_AGREEMENT,
    ),
    key=("dimension", "a", "b", "model", "method", "question", "context_length"),
    # The dimension along which a pair differs has no single value.
    nullable=frozenset({"model", "method", "question", "context_length"}) | _AGREEMENT_NULLABLE,
)

UNIONS = Table(
    "unions",
    (
        ("grid", _text),
        ("dimension", _text),
        ("a", _text),
        ("b", _text),
        ("k", _int),
        ("heads_a", _int),
        ("heads_b", _int),
        ("jaccard", _float),
        ("chance", _float),
    ),
    key=("grid", "dimension", "a", "b"),
)

PROFILES = Table(
    "profiles",
    (
        ("grid", _text),
        ("method", _text),
        ("dimension", _text),
        ("value", _text),
        ("layer", _int),
        ("head", _int),
        ("mean_rank", _float),
        ("sd_rank", _float),
        ("best_rank", _float),
        ("worst_rank", _float),
        ("top_share", _float),
        ("top_chance", _float),
        ("listed", _int),
        ("configurations", _int),
    ),
    key=("grid", "method", "dimension", "value", "layer", "head"),
)

IMPORTS = Table(
    "imports",
    (
        ("import", _text),
        *_RANKING,
        ("k", _int),
        ("listed", _int),
        ("size_a", _int),
        ("size_b", _int),
        *_AGREEMENT,
    ),
    key=("import", "model", "method", "question", "context_length"),
    nullable=_AGREEMENT_NULLABLE,
)

RELIABILITY = Table(
    "reliability",
    (
        *_RANKING,
        ("split", _int),
        ("documents", _int),
        ("k", _int),
        ("size_a", _int),
        ("size_b", _int),
        *_AGREEMENT,
    ),
    key=("model", "method", "question", "context_length", "split"),
    nullable=_AGREEMENT_NULLABLE,
)


def _estimate(name: str) -> tuple[tuple[str, pa.DataType], ...]:
    """A value and the ends of its 95% interval."""
    return ((name, _float), (f"{name}_low", _float), (f"{name}_high", _float))


# A method's top k heads cut, in one configuration or pooled: a pooled row has no question or length of its own.
_CUT = (
    ("model", _text),
    ("question", _text),
    ("context_length", _int),
    *INTERVENTION,
    ("method", _text),
    ("k", _int),
    ("size", _float),
)
_CUT_KEY = tuple(name for name, _ in _CUT if name not in ("size", "mode", "scope"))
# A p value, corrected over a family of tests under all interventions; and the p value of what holds under each of them,
# corrected over the family alone (see :func:`retrieval_heads.analysis.statistics.corrected`).
_P = (("p", _float), ("p_holm", _float), ("p_every", _float))
_TESTED = (*_P, ("prompts", _int), ("documents", _int))
# Counts alone give neither documents nor a paired test.
_CUT_NULLABLE = frozenset({"question", "context_length", "p", "p_holm", "p_every", "documents"})
# What guessing gives is not known of published results.
_GUESSED = (*_estimate("guess"), *_estimate("headroom"))

EFFECTS = Table(
    "effects",
    (
        *_CUT,
        ("k_to", _int),
        *_estimate("baseline"),
        *_GUESSED,
        *_estimate("accuracy"),
        *_estimate("drop"),
        *_TESTED,
    ),
    key=_CUT_KEY,
    nullable=_CUT_NULLABLE | {name for name, _ in _GUESSED},
)
"""A method's top k heads ablated: accuracy, drop from the baseline, and the paired test of the drop.

Accuracy is read between the baseline and what guessing gives without the document; headroom is what lies between.
"""

AGAINST_RANDOM = Table(
    "against_random",
    (
        *_CUT,
        ("matching", _text),
        ("matched", _float),
        ("draws", _int),
        *_estimate("accuracy"),
        *_estimate("drop"),
        *_estimate("difference"),
        *_TESTED,
    ),
    key=(*_CUT_KEY, "matching"),
    nullable=_CUT_NULLABLE | {"matched"},
)
"""As many random heads cut, averaged over draws: accuracy, drop, and how much more the top k cost (difference)."""

STEPS = Table(
    "steps",
    (*_CUT, ("k_before", _int), *_estimate("change"), *_TESTED),
    key=_CUT_KEY,
    nullable=_CUT_NULLABLE,
)
"""From one level of a method's top heads (k_before) to the next (k): the change of accuracy. Above 0 is a recovery."""

MEAN_DROPS = Table(
    "mean_drops",
    (
        *INTERVENTION,
        ("grouping", _text),
        ("value", _text),
        ("k", _int),
        ("source", _text),
        ("matching", _text),
        *_estimate("drop"),
        ("drop_sd", _float),
        ("configurations", _int),
    ),
    key=("intervention", "grouping", "value", "k", "source", "matching"),
    nullable=frozenset({"k", "matching"}),
)
"""Mean drop over configurations of equal weight, by the value of a dimension; k null: over all levels."""

TESTS = Table(
    "tests",
    (
        ("subject", _text),
        ("dimension", _text),
        *INTERVENTION,
        ("grid", _text),
        ("a", _text),
        ("b", _text),
        ("method", _text),
        ("k", _int),
        ("size_least", _int),
        ("size_most", _int),
        ("test", _text),
        ("unit", _text),
        ("units", _int),
        ("statistic", _float),
        *_P,
        ("effect", _text),
        ("effect_size", _float),
        *_estimate("difference"),
    ),
    key=("subject", "dimension", "intervention", "grid", "a", "b", "method", "k"),
    nullable=frozenset(
        {
            # A test of rankings is about no ablation.
            *INTERVENTION_COLUMNS,
            "grid",
            "a",
            "b",
            "method",
            "k",
            "size_least",
            "size_most",
            "effect_size",
            "difference",
            "difference_low",
            "difference_high",
        }
    ),
)
"""Named tests with their effect sizes: what is compared (a against b, or all values of a dimension) and over what."""


DATASET_COUNTS = Table(
    "dataset_counts",
    (
        ("model", _text),
        ("question", _text),
        ("context_length", _int),
        ("split", _text),
        ("status", _text),
        ("prompts", _int),
    ),
    key=("model", "question", "context_length", "split", "status"),
)


_TABLES = {
    table.name: table
    for table in (
        tables.RANKINGS,
        tables.ABLATION,
        tables.GUARD,
        ABLATION_SUMMARY,
        OVERLAP,
        UNIONS,
        IMPORTS,
        PROFILES,
        RELIABILITY,
        EFFECTS,
        AGAINST_RANDOM,
        STEPS,
        MEAN_DROPS,
        TESTS,
        DATASET_COUNTS,
    )
}


def read_tables(paths: Iterable[str | Path]) -> dict[str, pd.DataFrame]:
    """Name → table, for files named after their tables, of which none may be made in another dtype than others."""
    paths = list(paths)
    tables.made_with(paths)
    return {Path(path).stem: tables.read(path, _TABLES[Path(path).stem]) for path in paths}


LANGUAGE_WHOLE, LANGUAGE_BROKEN = 0.1, 1.0
"""Losses of log-probability of prose, in nats per token: up to the first a model's language counts as whole, from the
second on as broken. They raise its perplexity by a tenth, and by a factor of e."""


def guard_at(guard: pd.DataFrame, by: Iterable[str] = ("model", "method", "k")) -> pd.DataFrame:
    """What ablation does to the log-probability of prose, over all questions, lengths and draws of the guard table.

    Returns
    -------
    For each source (method and random), matching ("" for a method's own heads) and value of ``by``: mean, lowest and
    highest change in nats per token, the number of sets, and the mean share of heads matched by layer.
    """
    rows = guard[guard["source"].isin(["method", "random"])]
    rows = rows.assign(matching=rows["matching"].astype(object).where(rows["matching"].notna(), ""))
    grouped = rows.groupby(["source", "matching", *by], sort=True)
    of = {"change": ("change", "mean"), "lowest": ("change", "min"), "highest": ("change", "max")}
    return grouped.agg(**of, sets=("change", "size"), matched=("matched", "mean")).reset_index()


def at_level(effects: pd.DataFrame, level: int) -> pd.DataFrame:
    """Rows of effects with the top set at a level, which is that of a level below where ties end it early."""
    return effects[(effects["k"] <= level) & (effects["k_to"] >= level)]


def beside(controls: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """The rows of against_random that belong to rows of effects."""
    return controls.merge(effects[list(EFFECTS.key)], on=list(EFFECTS.key))


def strictest(controls: pd.DataFrame, top: pd.Series) -> pd.Series:
    """The control to hold a row of effects against: matched by layer where there is such, and with all its prompts.

    A control can be missing in some configurations; one that has them all goes before a stricter one that has not.
    """
    whole = controls[controls["prompts"] == top["prompts"]]
    # "layer" sorts before "none".
    return (whole if len(whole) else controls).sort_values("matching").iloc[0]


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


def at(frame: pd.DataFrame, *, pooled: Iterable[str] = (), **values: object) -> pd.DataFrame:
    """Rows of effects, against_random or steps with these values, pooled over exactly these of question and length."""
    chosen = pd.Series(True, index=frame.index)
    pooled = tuple(pooled)
    for name in ("question", "context_length"):
        chosen &= frame[name].isna() == (name in pooled)
    for name, value in values.items():
        chosen &= frame[name] == value
    return frame[chosen.astype(bool)]

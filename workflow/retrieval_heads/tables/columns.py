"""Columns that several tables share."""

import math
from collections.abc import Iterable

import pyarrow as pa

from retrieval_heads.study.dimensions import DIMENSION, DIMENSIONS, POOLED, PROMPT
from retrieval_heads.tables.heads import GRID

TEXT, INTEGER, NUMBER, BOOLEAN = pa.string(), pa.int32(), pa.float64(), pa.bool_()

TOKEN_IDS = pa.list_(pa.int32())
POSITIONS = pa.list_(pa.int32())
HEAD_NAMES = pa.list_(pa.string())
# One number for each head of a model, layer by layer: that of head h in layer l is at l × (heads of a layer) + h.
HEAD_SCORES = pa.list_(pa.float32())

# The layers of models, and the heads in each: models with equal grids are taken together.
SHAPE = tuple((name, INTEGER) for name in GRID)

_KINDS = {"text": TEXT, "integer": INTEGER, "number": NUMBER}


def dimensions(names: Iterable[str]) -> tuple[tuple[str, pa.DataType], ...]:
    """The columns of these dimensions."""
    return tuple((name, _KINDS[DIMENSION[name].kind]) for name in names)


# What is ablated: nothing (baseline), the top set of a method's ranking at level k (method), the top set that is as
# large as that of a ranking it is compared with (equal), or a control (random) drawn for a top set, layer by layer
# (matching = layer), key-value group by group (matching = group) or from the whole model (matching = none). Or nothing,
# in a prompt without the document (no_needle): what guessing gives. `size` is the number of heads, which is below k
# where the ranking does not tell k heads apart.
HEAD_SET_KEY = ("source", "method", "matching", "draw", "k")
"""What names a head set among those of the same prompts."""

HEAD_SET = (
    ("source", TEXT),
    *dimensions(["method"]),
    ("matching", TEXT),
    ("draw", INTEGER),
    ("k", INTEGER),
    ("size", INTEGER),
    ("matched", NUMBER),
)
HEAD_SET_NULLABLE = frozenset({"method", "matching", "draw", "matched"})

# How it was ablated: an intervention, under the name that the config gives it, is a mode and a scope.
INTERVENTION = (*dimensions(["intervention"]), ("mode", TEXT), ("scope", TEXT))
INTERVENTION_COLUMNS = tuple(name for name, _ in INTERVENTION)

# What was answered, and the verdict on it.
ANSWERED = (
    ("answer", TEXT),
    ("generated", TEXT),
    ("correct", BOOLEAN),
    ("contains", BOOLEAN),
    ("outcome", TEXT),
    ("answer_logprob", NUMBER),
    ("margin", NUMBER),
)
ANSWERED_NULLABLE = frozenset({"margin"})
"""Where nothing was generated, no token was chosen."""


def known_margin(margin: float) -> float | None:
    """A margin as tables hold it: null where there was no choice, and it is infinite."""
    return margin if math.isfinite(margin) else None


# What tells rankings apart.
RANKING = dimensions(DIMENSIONS)

PROMPT_KEY = ("model", "variant", "prompt_id")
"""What tells one prompt from another: an id is the same in all models and variants, and tells the rest."""

# How far two rankings agree. A top set without heads shares none, nor could it. Where all heads of a ranking tie, or
# the model has one head alone, ranks do not vary, and so do not correlate.
AGREEMENT = (
    ("jaccard", NUMBER),
    ("chance", NUMBER),
    ("p", NUMBER),
    ("rbo", NUMBER),
    ("rbo_chance", NUMBER),
    ("spearman", NUMBER),
)
AGREEMENT_NULLABLE = frozenset({"jaccard", "chance", "p", "spearman"})


def estimate(name: str) -> tuple[tuple[str, pa.DataType], ...]:
    """A value and the ends of its 95% interval."""
    return ((name, NUMBER), (f"{name}_low", NUMBER), (f"{name}_high", NUMBER))


# A method's top k heads ablated, in one configuration or pooled: a pooled row has no value of what it is pooled over.
ABLATED = (
    *dimensions(PROMPT),
    *INTERVENTION,
    *dimensions(["method"]),
    ("k", INTEGER),
    ("size", NUMBER),
)
ABLATED_KEY = tuple(name for name, _ in ABLATED if name not in ("size", "mode", "scope"))
# A p value, corrected over a family of tests under all interventions; and the p value of what holds under each of them,
# corrected over the family alone (see :func:`retrieval_heads.analysis.statistics.corrected`).
P_VALUES = (("p", NUMBER), ("p_holm", NUMBER), ("p_every", NUMBER))
TESTED = (*P_VALUES, ("prompts", INTEGER), ("documents", INTEGER))
# Counts alone give neither documents nor a paired test.
ABLATED_NULLABLE = frozenset({*POOLED, "p", "p_holm", "p_every", "documents"})
# What guessing gives is not known of published results.
GUESSED = (*estimate("guess"), *estimate("headroom"))

"""The set_compensation table: what top sets lose together, what of it is made up for, and what they restore."""

from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, INTERVENTION, NUMBER, TEXT, dimensions, estimate
from retrieval_heads.tables.head_effect_summary import OVER

# What is measured of a set: the values of `measure`. In nats:
EFFECT, SINGLES, INTERACTION, RANDOM_EFFECT = "effect", "singles", "interaction", "random_effect"
# in centred logits:
DIRECT, TOTAL, REPAIR = "direct", "total", "repair"
# and as shares of the log-odds between the prompt and its twin.
RESTORED, RANDOM_RESTORED, BEYOND_RANDOM = "restored", "random_restored", "beyond_random"

SET_COMPENSATION = Table(
    "set_compensation",
    (
        *dimensions(OVER),
        *INTERVENTION,
        *dimensions(["method"]),
        ("k", INTEGER),
        ("k_before", INTEGER),
        ("size", NUMBER),
        ("measure", TEXT),
        ("matched", NUMBER),
        *estimate("value"),
        ("p", NUMBER),
        ("p_family", NUMBER),
        ("prompts", INTEGER),
        ("documents", INTEGER),
    ),
    key=(*OVER, "intervention", "method", "k", "k_before", "measure"),
    # A set has no level before it, a single document no interval, what is not tested no p value, and what is about no
    # random set none that are matched.
    nullable=frozenset({"k_before", "matched", "value_low", "value_high", "p", "p_family"}),
)

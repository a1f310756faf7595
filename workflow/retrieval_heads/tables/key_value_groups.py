"""The key_value_groups table: how many groups of heads that share keys and values the top sets touch."""

from retrieval_heads.study.dimensions import DIMENSIONS
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, NUMBER, RANKING

KEY_VALUE_GROUPS = Table(
    "key_value_groups",
    (
        *RANKING,
        ("k", INTEGER),
        ("size", INTEGER),
        ("touched", INTEGER),
        ("groups", INTEGER),
        ("chance", NUMBER),
        ("p", NUMBER),
        ("layers", INTEGER),
        ("chance_in_layers", NUMBER),
        ("p_in_layers", NUMBER),
        ("p_in_layers_holm", NUMBER),
    ),
    key=(*DIMENSIONS, "k"),
)

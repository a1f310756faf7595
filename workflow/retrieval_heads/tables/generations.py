"""The generations table: what the unablated model answers to each prompt that heads are scored on."""

from retrieval_heads.study.dimensions import CELL
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import BOOLEAN, NUMBER, PROMPT_KEY, TEXT, dimensions

GENERATIONS = Table(
    "generations",
    (
        *dimensions(CELL),
        ("prompt_id", TEXT),
        ("generated", TEXT),
        ("success", BOOLEAN),
        ("margin", NUMBER),
    ),
    key=PROMPT_KEY,
    nullable=frozenset({"margin"}),
)

"""The compensation_heads table: what a head writes into the answer to a prompt, and what is lost without it."""

from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, INTERVENTION, NUMBER, PROMPT_KEY, TEXT, dimensions

COMPENSATION_HEADS = Table(
    "compensation_heads",
    (
        *dimensions(PROMPT),
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        *INTERVENTION,
        ("layer", INTEGER),
        ("head", INTEGER),
        ("effect", NUMBER),
        ("direct", NUMBER),
        ("total", NUMBER),
    ),
    key=(*PROMPT_KEY, "intervention", "layer", "head"),
)

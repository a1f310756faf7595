"""The prompts table: what a model reads, and where needle and answer lie in it."""

from retrieval_heads.study.dimensions import PROMPT
from retrieval_heads.tables import Table
from retrieval_heads.tables.columns import INTEGER, POSITIONS, PROMPT_KEY, TEXT, TOKEN_IDS, dimensions

OK = "ok"
"""The status of a prompt that was not left out, and of a fact that has a twin."""

PROMPTS = Table(
    "prompts",
    (
        ("prompt_id", TEXT),
        ("doc_id", TEXT),
        ("split", TEXT),
        *dimensions(PROMPT),
        ("input_ids", TOKEN_IDS),
        ("null_ids", TOKEN_IDS),
        ("no_needle_ids", TOKEN_IDS),
        ("needle_start", INTEGER),
        ("needle_end", INTEGER),
        ("answer_start", INTEGER),
        ("answer_end", INTEGER),
        ("sentence_start", INTEGER),
        ("sentence_end", INTEGER),
        ("statement_starts", POSITIONS),
        ("statement_ends", POSITIONS),
        ("document_starts", POSITIONS),
        ("document_ends", POSITIONS),
        ("suffix_start", INTEGER),
        ("question_end", INTEGER),
        ("null_question_end", INTEGER),
        ("opening_end", INTEGER),
        ("answer", TEXT),
        ("twin_ids", TOKEN_IDS),
        ("twin_answer", TEXT),
        ("twin_status", TEXT),
        ("decoy_start", INTEGER),
        ("decoy_end", INTEGER),
        ("decoy_answer", TEXT),
        ("status", TEXT),
    ),
    key=PROMPT_KEY,
    # A prompt that was left out has its reason in `status` and no tokens; one of the train split is not guessed at;
    # a haystack of prose has no documents; some facts have no twin; and most variants have no decoys.
    nullable=frozenset(
        {"input_ids", "null_ids", "no_needle_ids", "needle_start", "needle_end", "answer_start", "answer_end"}
        | {"sentence_start", "sentence_end", "statement_starts", "statement_ends", "document_starts", "document_ends"}
        | {"suffix_start", "question_end", "null_question_end", "opening_end", "answer"}
        | {"twin_ids", "twin_answer", "twin_status", "decoy_start", "decoy_end", "decoy_answer"}
    ),
)

"""How much a study asks of a model, in plain passes: once one has been measured, that tells how long it will take."""

from retrieval_heads.engine.pace import CONTINUING, passes_over
from retrieval_heads.study.config import ablated_lengths, head_sets, interventions, unablated_documents
from retrieval_heads.study.scopes import SCOPES

_ROW = 0.70
"""What answering one prompt under one head set takes in scope ``all``, where sets share what they can of the context,
as a share of a pass over the context."""

_ASKED = 0.45
"""The same in the other scopes, beyond the context that is run once for all: as a share of a pass over the most tokens
that question and answer may have."""

GUARD_TOKENS = 257
"""Tokens of the guard's prose, with the first token that many models want."""

_GUARD_SCORED = 0.5
"""Which share of them is behind all that is read with no head ablated, beyond scope ``all``."""


def plain_passes(config: dict, documents_of_a_table: int) -> float:
    """About how many plain passes a study takes of each of its models.

    Parameters
    ----------
    config : a complete one.
    documents_of_a_table : how many each split of a table of the user's is taken to have.
    """
    prompts, documents = config["prompts"], config["documents"]
    train, test = (documents.get(split, documents_of_a_table) for split in ("train", "test"))
    depths, stated = len(prompts["depths"]), 1 - documents["missing_rate"] if "missing_rate" in documents else 1
    asked = prompts["suffix_budget"] + config["generation"]["max_new_tokens"]
    answering = {length: passes_over(length) * (1 + CONTINUING / length) for length in prompts["context_lengths"]}
    passes = sum(train * depths * each for each in answering.values())
    for length in ablated_lengths(config):
        documents, _ = unablated_documents(config, length)
        # Each document is in a context at every depth, and the haystack stands once without it.
        passes += (test if documents is None else documents) * (depths + 1) * answering[length]
    for name, one in interventions(config).items():
        sets, baselines = len(config["questions"]) * head_sets(config, name), len(config["questions"])
        asked_of = test if one["documents"] is None else one["documents"]
        everywhere = SCOPES[one["scope"]].in_context
        for length in ablated_lengths(config, name):
            once, rows = passes_over(length), asked_of * depths * stated * (sets - baselines)
            if everywhere:
                passes += rows * _ROW * once
            else:
                passes += (asked_of * depths + rows * _ASKED * asked / length) * once
            passes += sets * passes_over(GUARD_TOKENS) * (_ROW if everywhere else _GUARD_SCORED)
    return passes

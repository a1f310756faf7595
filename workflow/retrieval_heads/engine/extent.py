"""How much a study asks of a model, in plain passes. With the time of one, that tells how long the study will take."""

from retrieval_heads.engine.pace import SUFFIX_WORTH, passes_behind, passes_over
from retrieval_heads.study.interventions import ablated_lengths, count_head_sets, interventions, unablated_documents
from retrieval_heads.study.scopes import SCOPES
from retrieval_heads.study.variants import variants
from retrieval_heads.study.yardstick import yardstick

_ANSWER_EVERYWHERE = 0.70
"""Time of answering one prompt under one head set in scope ``all``, in passes over the context. It is below 1, since
sets share what they can of the context."""

_ANSWER_SUFFIX = 0.45
"""The same in the other scopes, without the context, which is run once for all sets: in passes over the most tokens
that question and answer may have."""

GUARD_TOKENS = 257
"""Tokens of the guard's prose, with the first token that many models want."""

_GUARD_SCORED = 0.5
"""The share of them that is scored. In scopes other than ``all``, only these are run under each head set."""


_SINGLE_HEADS = 0.44
"""Time of ablating every head of a prompt by itself, in that of reading its rows behind the context, each with the most
tokens that question and answer may have."""

_LABELS = 4
"""Plain passes that the labels of a model's heads take: a few short sequences, and a pass over single tokens."""

DEFAULT_GRID = (30, 9)
"""Layers of the default model, and heads in each."""


def single_head_passes(grid: tuple[int, int], length: int, asked: int) -> float:
    """About how many plain passes it takes as long as to ablate every head of a model by itself in one prompt.

    A head's row leaves the others at its layer. So of L layers with H heads each, H · L · (L + 1) / 2 rows go through
    one layer, which are as many as H · (L + 1) / 2 through the whole model.

    Parameters
    ----------
    grid : layers, and heads in each.
    length : tokens of the prompt.
    asked : the most tokens that question and answer may have.
    """
    layers, heads = grid
    return _SINGLE_HEADS * passes_behind(length, asked * heads * (layers + 1) / 2)


def method_passes(config: dict, grid: tuple[int, int], length: int) -> dict[str, float]:
    """About how many plain passes each method takes by itself for a document, at one context length, all depths.

    A method that shares its reading of a prompt with others takes at most what they take together: the context, and
    what is read and decoded behind it.

    Parameters
    ----------
    config : a complete one.
    grid : layers, and heads in each.
    length : tokens of a prompt.
    """
    asked = config["prompts"]["suffix_budget"] + config["generation"]["max_new_tokens"]
    once = passes_over(length) * (1 + SUFFIX_WORTH / length)
    alone = passes_over(length) + len(config["questions"]) * single_head_passes(grid, length, asked)
    depths = len(config["prompts"]["depths"])
    return {name: depths * (alone if name == "single_head_effect" else once) for name in config["methods"]}


def plain_passes(config: dict, documents_of_a_table: int, grid: tuple[int, int] = DEFAULT_GRID) -> float:
    """About how many plain passes a study takes of one of its models.

    Parameters
    ----------
    config : a complete one.
    documents_of_a_table : how many each split of a table of the user's is taken to have.
    grid : the model's layers, and heads in each.
    """
    prompts, documents = config["prompts"], config["documents"]
    train, test = (documents.get(split, documents_of_a_table) for split in ("train", "test"))
    depths, stated = len(prompts["depths"]), 1 - documents["missing_rate"] if "missing_rate" in documents else 1
    asked = prompts["suffix_budget"] + config["generation"]["max_new_tokens"]
    answering = {length: passes_over(length) * (1 + SUFFIX_WORTH / length) for length in prompts["context_lengths"]}
    passes = sum(train * depths * each for each in answering.values())
    for length in ablated_lengths(config):
        most, _ = unablated_documents(config, length)
        # Each document is in a context at every depth, and the haystack stands once without it.
        passes += (test if most is None else most) * (depths + 1) * answering[length]
    for name, one in interventions(config).items():
        questions = len(config["questions"])
        sets = questions * count_head_sets(config, name)
        asked_of = test if one["documents"] is None else one["documents"]
        everywhere = SCOPES[one["scope"]].in_context
        for length in ablated_lengths(config, name):
            once, rows = passes_over(length), asked_of * depths * stated * (sets - questions)
            if everywhere:
                passes += rows * _ANSWER_EVERYWHERE * once
            else:
                passes += (asked_of * depths + rows * _ANSWER_SUFFIX * asked / length) * once
            passes += sets * passes_over(GUARD_TOKENS) * (_ANSWER_EVERYWHERE if everywhere else _GUARD_SCORED)
    one_by_one = []  # number of documents, of questions, of replacements; lengths
    if (method := config["methods"].get("single_head_effect")) is not None:
        one_by_one.append((min(train, method["documents"]), len(config["questions"]), 1, prompts["context_lengths"]))
    if (held := yardstick(config)) is not None:
        asked_of = test if held["documents"] is None else held["documents"]
        one_by_one.append((asked_of, len(held["questions"]), len(held["modes"]), held["context_lengths"]))
    for number, questions, replacements, lengths in one_by_one:
        for length in lengths:
            rows = questions * stated * single_head_passes(grid, length, asked)
            passes += number * depths * replacements * (passes_over(length) + rows)
    return passes * len(variants(config)) + _LABELS

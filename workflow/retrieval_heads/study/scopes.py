"""In which tokens heads can be ablated."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """One choice of the tokens in which heads are ablated. The answer is always among them.

    Parameters
    ----------
    label : how figures and findings write it.
    definition : one sentence.
    in_context, in_question : whether heads are ablated in the tokens of the context, and in those of the question.
    """

    label: str
    definition: str
    in_context: bool
    in_question: bool


SCOPES = {
    "all": Scope(
        "all tokens",
        "Heads are ablated in every token of context, question and answer.",
        in_context=True,
        in_question=True,
    ),
    "suffix": Scope(
        "question and answer",
        "Heads are ablated in question and answer, after a context that the model has read with all its heads.",
        in_context=False,
        in_question=True,
    ),
    "decode": Scope(
        "answer",
        "Heads are ablated from the prompt's last token on, which produces the first token of the answer, as in "
        "Wu et al. 2024 (arXiv 2404.15574, section 4): the model has read the question with all its heads too.",
        in_context=False,
        in_question=False,
    ),
}
"""Config's ``scope`` → what it means."""

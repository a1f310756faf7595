"""How many heads of a ranking count as its top."""

from retrieval_heads.errors import StudyError


def top_k_for(heads: int, top_k: int | None = None) -> int:
    """The size of a top set in a model with so many heads: ``analysis.top_k`` of the config, else a share of them.

    The share is that of the top 50 of Llama-3-8B's 1,024 heads.

    Raises
    ------
    StudyError
        when the config asks for more heads than the model has.
    """
    return given_or_share(heads, 50 / 1024, top_k, "top_k")


def given_or_share(heads: int, share: float, given: int | None, key: str) -> int:
    """As many heads as the config gives under ``analysis.{key}``, else a share of the model's."""
    number = given if given is not None else max(1, round(share * heads))
    if number > heads:
        raise StudyError(
            f"analysis.{key}: {number} is more than the {heads} heads of the model; choose a smaller number."
        )
    return number

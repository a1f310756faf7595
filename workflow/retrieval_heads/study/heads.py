"""Heads that a config says were planted in a model."""

import re
from collections.abc import Sequence

from retrieval_heads.errors import StudyError


def require_planted(model: str, planted: Sequence[str], layers: int, heads: int) -> list[tuple[int, int]]:
    """Layers and heads of those that were planted in a model, by their names, such as L1H2.

    Parameters
    ----------
    model : the model's key in the config.
    layers, heads : how many layers it has, and heads in each.

    Raises
    ------
    StudyError
        when one is none of the model's, or all of them are planted.
    """
    found = set()
    for name in planted:
        layer, head = map(int, re.findall(r"\d+", name))
        if layer >= layers or head >= heads:
            last = f"L{layers - 1}H{heads - 1}"
            raise StudyError(f"models.{model}.planted: {name} is no head of this model, whose last one is {last}.")
        found.add((layer, head))
    if len(found) == layers * heads:
        raise StudyError(f"models.{model}.planted: these are all heads of the model; name those that were planted.")
    return sorted(found)

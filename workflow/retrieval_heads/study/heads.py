"""The names of heads, and those that a config says were planted in a model."""

from collections.abc import Sequence

from retrieval_heads.errors import StudyError

Head = tuple[int, int]


def head_name(layer: int, head: int) -> str:
    """``L14H31``; layers and heads count from 0."""
    return f"L{layer}H{head}"


def parse_head(name: str) -> Head:
    """(layer, head) of a head's name."""
    layer, _, head = name.removeprefix("L").partition("H")
    return int(layer), int(head)


def require_planted(model: str, planted: Sequence[str], layers: int, heads: int) -> list[Head]:
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
        layer, head = parse_head(name)
        if layer >= layers or head >= heads:
            last = head_name(layers - 1, heads - 1)
            raise StudyError(f"models.{model}.planted: {name} is no head of this model, whose last one is {last}.")
        found.add((layer, head))
    if len(found) == layers * heads:
        raise StudyError(f"models.{model}.planted: these are all heads of the model; name those that were planted.")
    return sorted(found)

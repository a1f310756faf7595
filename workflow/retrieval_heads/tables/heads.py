"""How heads are written in tables and text."""

Head = tuple[int, int]


def head_name(layer: int, head: int) -> str:
    """``L14H31``; layers and heads count from 0."""
    return f"L{layer}H{head}"


def parse_head(name: str) -> Head:
    """(layer, head) of a head's name."""
    layer, _, head = name.removeprefix("L").partition("H")
    return int(layer), int(head)

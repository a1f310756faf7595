"""What a case of bad input is, and what a message about it must be."""

import copy
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """Something that is wrong with what a user, or another program, hands in.

    kind: what is wrong, in words; no two cases have the same. given: the input. names: the key or file that the message
    begins with, as a regular expression. fix: what the message says to do, or what would be right, as another.
    """

    kind: str
    given: Any
    names: str
    fix: str


def require_one_sentence(said: str, names: str = "", fix: str = "") -> None:
    """A message is one printable line that begins with a key or file, says what to do, and has an end."""
    assert said.isprintable(), repr(said)
    assert said.endswith((".", "?")), said
    assert len(said) <= 1_100, said
    assert re.match(r"\S.*?: +\S", said), said
    assert re.match(names, said), f"{said}\ndoes not begin with {names}"
    assert re.search(fix, said), f"{said}\ndoes not say {fix}"


def changed(config: dict, changes: dict[str, Any]) -> dict:
    """A copy of a config with the values of some dotted keys put in; ``...`` takes a key away."""
    config = copy.deepcopy(config)
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = config
        for part in path:
            inner = inner.setdefault(part, {})
        if value is ...:
            del inner[last]
        else:
            inner[last] = copy.deepcopy(value)
    return config

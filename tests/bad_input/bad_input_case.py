"""What a case of bad input is, and what a message about it must be."""

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dotted import put
from retrieval_heads.errors import StudyError


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


def require_refused(case: Case, work: Callable[[], object]) -> None:
    """Some work with the input of a case ends with its message."""
    with pytest.raises(StudyError) as caught:
        work()
    require_one_sentence(str(caught.value), case.names, case.fix)


def changed(config: dict, changes: dict[str, Any]) -> dict:
    """A copy of a config with the values of some dotted keys put in; ``...`` takes a key away."""
    config = copy.deepcopy(config)
    for key, value in changes.items():
        put(config, key, copy.deepcopy(value))
    return config

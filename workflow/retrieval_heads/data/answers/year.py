"""Years: four digits from 1600 to 2099."""

import re
from collections.abc import Iterator
from typing import ClassVar

from retrieval_heads.data.answers._letters import BESIDE, Value, fold
from retrieval_heads.data.answers._numbers import IS_MONEY, NO_QUANTITY, YEAR, number_like
from retrieval_heads.data.answers._type import AnswerType

_YEAR = re.compile(
    rf"""{NO_QUANTITY}
    | (?: (?<!{BESIDE})\d{{1,2}}\.\d{{1,2}}\. | (?<!{BESIDE})(?<![$.^])(?<!\d,) )
      (?P<year>{YEAR}) (?! {BESIDE} | [.,]\d | \^ | \ ?[%‰] | \([A-Za-z]\) | {IS_MONEY} )""",
    re.VERBOSE,
)


class Year(AnswerType):
    """Years: four digits from 1600 to 2099."""

    after: ClassVar = re.compile(r"[.!?]\s+\S|\n|\s[a-z]+[^\w-]")
    """What must follow a year before no further text can make it an address or an amount of money."""

    def values(self, text: str) -> Iterator[Value]:
        """The years that a text names."""
        for match in _YEAR.finditer(fold(text)):
            if match["year"]:
                yield Value(match["year"], *match.span("year"))

    def written(self, answer: str, like: str) -> str:
        """In the digits, and with the marks between thousands, of the other one."""
        return number_like(answer, like)

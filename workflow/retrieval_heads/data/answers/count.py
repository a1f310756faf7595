"""Counts: whole numbers in digits that say how many, and not how much money, what share, or when."""

import re
from collections.abc import Iterator
from typing import ClassVar

from retrieval_heads.data.answers._letters import BESIDE, Value, fold
from retrieval_heads.data.answers._numbers import GROUPED, IS_MONEY, NO_QUANTITY, YEAR, number_like
from retrieval_heads.data.answers._type import AnswerType

_MONTH = (
    "(?:(?i:january|february|march|april|june|july|august|september|october|november|december|"
    r"jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)|May|MAY)\b\.?"
)
_DATE = rf"""
      {_MONTH}\ +\d{{1,2}}(?:st|nd|rd|th)?(?:,?\ *{YEAR}(?:\ and\ {YEAR})?)?(?!\w|,\d)
    | {_MONTH},?\ +{YEAR}(?!\w|,\d)
    | (?<![\w$.,-])\d{{1,2}}(?:st|nd|rd|th)?(?:\ of)?[ -]{_MONTH}(?:[ ,-]*{YEAR}(?!\w|,\d))?
    | (?<![\w$.,-]){YEAR}(?P<iso>[./-])\d\d?(?P=iso)\d\d?(?!\w)
    | (?<![\w$.,-])\d\d?(?P<day>[./])\d\d?(?P=day)(?:\d\d)?\d\d(?!\w)
    | \b(?i:in|since|during|until|till|before|after|as\ of|fiscal|years?|ended|ending|dated|founded|year[ -]end|
          (?:end|close|start|beginning)\ of|early|late|mid|fy|q[1-4])[\ -]+
      {YEAR}(?:(?:\ ?-\ ?|\ (?:to|and|through)\ |,\ ){YEAR})*(?!\w|[.,]\d)
"""
_SCALED = (
    r"(?i:percent|per\s+cent|percentage|pct|basis\s+points|hundred|thousand|million|billion|trillion|dozen|lakh|crore|"
    r"тыс|млн|млрд)"
)
_NO_COUNT = rf"""
      {BESIDE} | [.,/:]\d | \^ | -\w | \([A-Za-z]\) | \ \d+/\d
    | \ ?[%‰年月日号號時时章条條万萬億亿千百兆元円圆圓년월일만억조원] | {IS_MONEY} | \ {_SCALED} | \ [ap]\.?m\b
    | \ (?:to|and|or|-)\ \d+(?:\.\d+)?(?:\ ?%|\ per\ ?cent)
"""
_COUNT = re.compile(
    rf"""{_DATE} | {NO_QUANTITY}
    | (?<!{BESIDE})(?<![$.^+-])(?<!\d,)(?<!\d[/:])(?<!\w\()(?<!\)\()(?P<count>{GROUPED})(?!{_NO_COUNT})""",
    re.VERBOSE,
)


class Count(AnswerType):
    """Counts: whole numbers in digits that say how many, and not how much money, what share, or when."""

    after: ClassVar = re.compile(r"[.!?]\s+\S|\n|\s(?!(?:per|to|and|or|basis)\b)[a-z]+[^\w-]")
    """What must follow a count before no further text can make it longer, or one of dollars or "per cent"."""

    def values(self, text: str) -> Iterator[Value]:
        """The counts that a text states, in plain digits."""
        for match in _COUNT.finditer(fold(text)):
            if match["count"]:
                yield Value(re.sub(r"\D", "", match["count"]).lstrip("0") or "0", *match.span("count"))

    def written(self, answer: str, like: str) -> str:
        """In the digits, and with the marks between thousands, of the other one."""
        return number_like(answer, like)

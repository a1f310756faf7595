"""What years and counts have in common: how a whole number is written, and which numbers say no quantity."""

import re
import unicodedata

GROUPED = r"(?>\d{1,3}(?P<mark>[, '])\d{3}(?:(?P=mark)\d{3})*(?!\d)|\d{1,2}(?:,\d\d)+,\d{3}(?!\d)|\d+)"
"""A whole number, its thousands (or, as in India, thousands and hundreds of them) set apart or not."""

YEAR = r"(?:1[6-9]|20)\d\d"

_CODES = (
    "USD|EUR|GBP|JPY|CNY|RMB|INR|RUB|CHF|CAD|AUD|NZD|HKD|SGD|SEK|NOK|DKK|PLN|CZK|HUF|BRL|MXN|ZAR|KRW|ILS|AED|SAR|THB|"
    "IDR|MYR|TWD|Rs|Fr|kr"
)
_UNITS = (
    r"dollars?|cents?|euros?|pounds?|pence|sterling|yen|yuan|renminbi|rupees?|rou?bles?|francs?|pesos?|kron(?:a|or|er)|"
    r"reais|rand|lira|zlotys?|shekels?|dinars?|riyals?|dirhams?|baht|ringgit|рубл\w*|руб"
)
IS_MONEY = rf"\ ?(?:[A-Z]{{0,3}}\$|(?:{_CODES})\b|(?:[A-Z][\w.]*\ )?(?i:{_UNITS})(?!\w))"
"""What follows an amount of money; for a verbose pattern, as the next."""

NAMED = (
    "item|note|part|section|sec|rule|exhibit|suite|ste|room|floor|box|no|nos|page|pp|chapter|article|paragraph|figure|"
    "fig|table|version|route|highway|interstate|schedule|appendix|volume|vol|title|topic|phase|class|series|grade|"
    "level|tier|type|model|building|apartment|apt|gate|annex|clause|form|fortune|s&p|russell|iso|step|block|lot"
)
"""Words before a number, or a letter, that is a name and no quantity."""

_STREETS = (
    "Avenue|Ave|Street|St|Road|Rd|Boulevard|Blvd|Drive|Dr|Lane|Ln|Parkway|Pkwy|Highway|Hwy|Way|Place|Square|Plaza|"
    "Court|Terrace|Circle|Turnpike|Expressway"
)
NO_QUANTITY = rf"""
      \b(?i:{NAMED})s?\.?\ ?[#]?\ *\d+(?:\.\d+)*(?:\([A-Za-z0-9]+\))*(?:\ (?:and|or|to|through)\ \d+(?!,?\d))?(?!\w)
    | [#§]\ ?\d+
    | (?<!\w)(?:[A-Z]{{0,3}}\$|(?:{_CODES})\b\.?)\ ?{GROUPED.replace("mark", "money")}(?:\.\d+)?
    | (?<![\w$])\d+(?:-\d+)?\ (?:(?:[A-Z]\.|[A-Z][\w']*|\d+(?:st|nd|rd|th))\ ){{1,4}}?(?:{_STREETS})(?!\w)
    | ,\ +[A-Z][A-Za-z]+(?:\ [A-Z][a-z]+)?\ +\d{{5}}(?:-\d{{4}})?(?!\w)
    | (?<!\w)\(?\d{{3}}\)?[ -]\d{{3}}-\d{{4}}(?!\w)
"""
"""Numbers of sections, streets, postal areas and telephones, and amounts of money."""


def number_like(number: str, like: str) -> str:
    """A whole number, in plain digits, with the digits and the marks between thousands that another is written with."""
    digits = re.findall(r"\d", like)
    if len(digits) != len(number):
        mark = "".join(re.findall(r"\D", like))[:1] or ("," if len(digits) <= 3 else "")
        like = f"{int(number):,}".replace(",", mark)
        return like if not digits else _in_digits_of(digits[0], like)
    these = iter(number)
    return re.sub(r"\d", lambda digit: _in_digits_of(digit[0], next(these)), like)


def _in_digits_of(digit: str, number: str) -> str:
    """A number in the digits of a script, of which one is given."""
    zero = ord(digit) - unicodedata.decimal(digit)
    return re.sub("[0-9]", lambda ascii: chr(zero + int(ascii[0])), number)

"""The sentence of a text that a place lies in.

The rule: a sentence ends at a blank line, and at ``.``, ``!``, ``?`` or ``…`` (and quotes or brackets that close behind
it) where white space follows and no lower-case letter after that. But a full stop ends none behind an abbreviation
(``Inc.``, ``No.``, ``U.S.``, an initial), unless the next word is one that begins sentences and goes on from no
abbreviation, such as "The" or "We". So "1.5", "Smith & Co., Inc. of Ohio" and "the U.S. Government" are one piece, and
"Acme Inc. The company" is two. It is written for English prose such as filings; a single end of a line is a blank.
"""

import re

_STOP = re.compile(r"(?P<blank>\n[^\S\n]*\n)|(?P<sign>[.!?…]+)[\"'’”»)\]]*(?=\s)")
_LAST_WORD = re.compile(r"[\w&.'’-]*\w$")

_ABBREVIATIONS = re.compile(
    r"inc|corp|cos?|ltd|llc|plc|bros|assn|mfg|intl|dept|div|dist|univ|natl|govt"
    r"|mr|mrs|ms|messrs|drs?|prof|gen|col|capt|lt|sgt|hon|gov|sen|rep|rev|sr|jr|esq"
    r"|nos?|vols?|figs?|secs?|arts?|pars?|paras?|ch|pp?|ex|exh|approx|est|vs|v|cf|viz|al|etc|ca|incl|excl|avg|max|min"
    r"|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thurs?|fri|sat|sun"
    r"|st|ste|ave|blvd|rd|hwy|pkwy|ln|pl|sq|mt|ft|bldg|fl|rm"
    r"|ala|ariz|ark|calif|cal|colo|conn|del|fla|ga|ill|ind|kans?|ky|la|md|mass|mich|minn|miss|mo|mont|nebr?|nev|okla"
    r"|oreg?|penna?|pa|tenn|tex|vt|va|wash|wisc?|wyo",
    re.IGNORECASE,
)
# U.S, N.Y, L.P, e.g, Ph.D; and J, as in John J. Smith.
_LETTERS = re.compile(r"(?:\w{1,2}\.)+\w{1,2}|[^\W\d_]", re.IGNORECASE)
_BEGINNING = re.compile(
    r"\W*(?:The|This|These|Those|That|There|A|An|We|Our|It|Its|They|Their|He|She|His|Her|In|On|At|As|By|For|From|To"
    r"|With|Under|During|After|Before|Since|Until|If|When|While|Where|Although|Though|However|But|Both|Each|All|Some"
    r"|Most|Many|Such|Certain|Following|Additionally|Further|Furthermore|Also|Because|Through|Upon|Substantially)\b"
)


def sentence_around(text: str, start: int, end: int) -> tuple[int, int]:
    """The characters, end exclusive, of the sentence in which the characters from start to end stand.

    Where these are in several sentences, all of them. White space around the sentence is no part of it.
    """
    before, after = 0, len(text)
    for stop in _STOP.finditer(text):
        if not _ends(text, stop):
            continue
        if stop.end() <= start:
            before = stop.end()
        elif stop.end() >= end:
            after = stop.end()
            break
    piece = text[before:after]
    return before + len(piece) - len(piece.lstrip()), before + len(piece.rstrip())


def _ends(text: str, stop: re.Match) -> bool:
    """Whether a sentence ends at what looks like it."""
    if stop["blank"]:
        return True
    rest = text[stop.end() :].lstrip()
    if rest[:1].islower():
        return False
    word = _LAST_WORD.search(text[max(0, stop.start() - 40) : stop.start()])
    if stop["sign"] != "." or word is None:
        return True
    short = _ABBREVIATIONS.fullmatch(word[0]) or _LETTERS.fullmatch(word[0])
    return not short or bool(_BEGINNING.match(rest))

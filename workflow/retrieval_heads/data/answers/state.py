"""States of the USA and the District of Columbia, by name, postal code or abbreviation."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import ClassVar

from retrieval_heads.data.answers._letters import Value, fold
from retrieval_heads.data.answers._type import AnswerType

STATES = {
    "Alabama": "AL",
    "Alaska": "AK",
    "Arizona": "AZ",
    "Arkansas": "AR",
    "California": "CA",
    "Colorado": "CO",
    "Connecticut": "CT",
    "Delaware": "DE",
    "District of Columbia": "DC",
    "Florida": "FL",
    "Georgia": "GA",
    "Hawaii": "HI",
    "Idaho": "ID",
    "Illinois": "IL",
    "Indiana": "IN",
    "Iowa": "IA",
    "Kansas": "KS",
    "Kentucky": "KY",
    "Louisiana": "LA",
    "Maine": "ME",
    "Maryland": "MD",
    "Massachusetts": "MA",
    "Michigan": "MI",
    "Minnesota": "MN",
    "Mississippi": "MS",
    "Missouri": "MO",
    "Montana": "MT",
    "Nebraska": "NE",
    "Nevada": "NV",
    "New Hampshire": "NH",
    "New Jersey": "NJ",
    "New Mexico": "NM",
    "New York": "NY",
    "North Carolina": "NC",
    "North Dakota": "ND",
    "Ohio": "OH",
    "Oklahoma": "OK",
    "Oregon": "OR",
    "Pennsylvania": "PA",
    "Rhode Island": "RI",
    "South Carolina": "SC",
    "South Dakota": "SD",
    "Tennessee": "TN",
    "Texas": "TX",
    "Utah": "UT",
    "Vermont": "VT",
    "Virginia": "VA",
    "Washington": "WA",
    "West Virginia": "WV",
    "Wisconsin": "WI",
    "Wyoming": "WY",
}

_ABBREVIATIONS = {
    "Ala": "AL", "Ariz": "AZ", "Ark": "AR", "Calif": "CA", "Cal": "CA", "Colo": "CO", "Conn": "CT", "Del": "DE",
    "Fla": "FL", "Ga": "GA", "Ill": "IL", "Ind": "IN", "Kans": "KS", "Kan": "KS", "Ky": "KY", "La": "LA", "Md": "MD",
    "Mass": "MA", "Mich": "MI", "Minn": "MN", "Miss": "MS", "Mo": "MO", "Mont": "MT", "Nebr": "NE", "Neb": "NE",
    "Nev": "NV", "NH": "NH", "NJ": "NJ", "NM": "NM", "NMex": "NM", "NY": "NY", "NC": "NC", "ND": "ND", "NDak": "ND",
    "Okla": "OK", "Oreg": "OR", "Ore": "OR", "Penna": "PA", "Penn": "PA", "Pa": "PA", "RI": "RI", "SC": "SC",
    "SD": "SD", "SDak": "SD", "Tenn": "TN", "Tex": "TX", "Vt": "VT", "Va": "VA", "Wash": "WA", "WVa": "WV",
    "Wisc": "WI", "Wis": "WI", "Wyo": "WY",
}  # fmt: skip
_BY_CODE = {code: name for name, code in STATES.items()}
_BY_NAME = {name.lower(): name for name in STATES}

_NAMES = "|".join(name.replace(" ", r"\s+") for name in sorted(STATES, key=len, reverse=True))

# Places and institutions that bear a state's name and do not, or not only, lie there.
_STREETS = (
    "[Aa]venue|Ave|[Ss]treet|St|Road|Rd|[Bb]oulevard|Blvd|Drive|Dr|Lane|Ln|[Pp]arkway|Pkwy|[Hh]ighway|Hwy|Way|Place|"
    "Square|Plaza|Terrace|Circle|Turnpike|Expressway|Freeway|Trail|Pike|Loop|Court|Ct|Alley"
)
_BEARERS = (
    rf"{_STREETS}|[Cc]ounty|[Pp]arish|[Tt]ownship|Borough|[Rr]iver|Valley|Bay|Water\ Gap|Stock\ Exchange|"
    r"Mercantile\ Exchange|(?:State\ )?University|[Bb]uilding|Center|Tower|Mall|Hospital|Hall|A&M|Times|Post"
)
_CITIES = r"(?:arkansas|colorado|kansas|michigan|missouri|nevada|virginia)\s+city|maryland\s+heights"

# N.Y. and W. Va. have a full stop in them, Calif. is told by the one after it.
_DOTTED = (r"\.[ ]?".join(re.findall("[A-Z][a-z]*", short)) for short in _ABBREVIATIONS)
_SHORT = "|".join([*_BY_CODE, *(short if "." in short else rf"{short}(?=\.|$)" for short in _DOTTED)])
_STATE = re.compile(
    rf"""(?<![\w&])(?:
      (?P<elsewhere> (?i:{_CITIES})(?!\w)
        | (?:Fort|Ft\.|Port|Mount|Mt\.|Lake|Cape|Baja|George|Gulf\ of)\ +(?i:{_NAMES})(?!\w)
        | (?i:{_NAMES})[ ]+(?:{_BEARERS})(?!\w) )
    | (?P<dc> (?i: (?:washington,?\ +\(?)?d\.\ ?c(?!\w) | washington,?\ +\(?dc(?!\w) ))
    | (?P<name> (?i:{_NAMES})(?!\w) )
    | (?P<short> (?:{_SHORT})(?![\w&'-]) )
    )""",
    re.VERBOSE,
)

# Codes that are words or titles too.
_WORDS = {"CO", "HI", "ID", "IN", "LA", "MA", "MD", "ME", "MS", "OH", "OK", "OR", "PA"}

# A code is a state where a place is told: "CT scans" and "the PA system" tell none.
_ENDS = re.compile(
    r"""\.?(?: \W*$ | [,;:.)!?"'*] | \s*\n | -based
      | \ +(?:and|or|but|since|where|which|who|that|with|when|while|as|on|in|at|to|for|by|under|because|is|was|are
             |were|has|had|USA|U\.S|United\ States|\d{5}(?!\d)) (?!\w) )""",
    re.VERBOSE,
)
_LINE_ENDS = re.compile(r"\W*(?:\n|$)")
_CAPITAL = re.compile(r"\s+[A-Z]")
_ZIP = re.compile(r"\.? +\d{5}(?!\d)")
_AFTER_COMMA = re.compile(r"(?:^\s*|[A-Z]\w*[a-z]\.?|[A-Z]{4,}),\s?$")
_AFTER_PLACE_WORD = re.compile(r"(?<!\w)(?:[Ii]n|[Ff]rom|[Nn]ear|[Oo]utside|[Ss]tate:?|[Ss]tate of|laws of) +$")
_AFTER_VERB = re.compile(r"(?:(?<!\w)(?:is|to|at)|[:=]) *$")
_AFTER_ARTICLE = re.compile(r"(?<!\w)an? +$")
_AFTER_CITY = re.compile(
    r"(?<!\w)(?!(?:The|This|That|These|Those|Each|Every|Our|Its|An|For|With|And|But|When|If|As|By)\b)"
    r"[A-Z][a-z]+(?:['-][A-Z]?[a-z]+)* +$"
)
_COMPANY = re.compile(r" +(?:corporation|company|limited|LLC|domestic)\b")

_CITY_IN_STATE = re.compile(
    r"(?P<city>[ ]+(?:beach|bluff|center|city|court house|falls|grove|heights|mills|park|springs))?,\s*"
    r"(?:(?:[a-z]+[ ])?[a-z]+[ ]county,\s*)?",
    re.IGNORECASE,
)
_IN_LIST = re.compile(r",\s*|,?\s+(?:and|or|&)\s+", re.IGNORECASE)


class State(AnswerType):
    """States of the USA and the District of Columbia, by name, postal code or abbreviation."""

    after: ClassVar = re.compile(r"[.!?]\s+\S")
    """What must follow a state before no further text can change it: a comma could still make it a city's name."""

    def values(self, text: str) -> Iterator[Value]:
        """The states that a text names as places."""
        plain = fold(text)
        found: list[Value] = []
        for match in _STATE.finditer(plain):
            if match["elsewhere"]:
                continue
            if match["short"] and not _is_place(plain, match, found[-1].end if found else None):
                continue
            found.append(Value(_name(match), match.start(), match.end()))
        gaps = [plain[a.end : b.start] for a, b in pairwise(found)]
        for i, value in enumerate(found):
            city = _CITY_IN_STATE.fullmatch(gaps[i]) if i < len(gaps) else None
            # "Delaware, Ohio" is a city, "Delaware, Ohio and Texas" are three states.
            in_list = any(_IN_LIST.fullmatch(gaps[j]) for j in (i - 1, i + 1) if 0 <= j < len(gaps))
            if not city or (in_list and not city["city"]):
                yield value

    def written(self, answer: str, like: str) -> str:
        """By name, code or abbreviation, as the other one is; by name where it has no such abbreviation."""
        short = re.sub(r"\W", "", like)
        if short in _BY_CODE and "." not in like:
            return STATES[answer]
        if short in _ABBREVIATIONS or short in _BY_CODE:
            for abbreviation, code in _ABBREVIATIONS.items():
                if code == STATES[answer] and abbreviation.isupper() == short.isupper():
                    return (". " if ". " in like else ".").join(re.findall("[A-Z][a-z]*", abbreviation))
        return answer.upper() if like.isupper() else answer.lower() if like.islower() else answer


def _name(match: re.Match) -> str:
    if match["dc"]:
        return "District of Columbia"
    if match["name"]:
        return _BY_NAME[" ".join(match["name"].lower().split())]
    short = re.sub(r"\W", "", match["short"])
    return _BY_CODE[_ABBREVIATIONS.get(short, short)]


def _is_place(text: str, match: re.Match, last: int | None) -> bool:
    """Whether a code or an abbreviation stands where a place is told, and not for something else.

    last: where the state before it ends.
    """
    start, after, is_word = match.start(), match.end(), match["short"] in _WORDS
    before = text[max(0, start - 80) : start]
    first = not text[:start].strip()
    if _LINE_ENDS.match(text, after) and (first or not before.rpartition("\n")[2].strip(" \t\"'(*")):
        return True  # alone on its line
    if _ZIP.match(text, after):
        return True
    if _AFTER_COMMA.search(before):
        return not (is_word and _CAPITAL.match(text, after))
    if _AFTER_ARTICLE.search(before):
        return bool(_COMPANY.match(text, after))
    if not _ENDS.match(text, after):
        return False
    if last is not None and _IN_LIST.fullmatch(text[last:start]):
        return True
    if _AFTER_PLACE_WORD.search(before) or _AFTER_CITY.search(before):
        return True
    return not is_word and (first or bool(_AFTER_VERB.search(before)))
